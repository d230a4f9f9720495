// Package rules is the rules of the cluster's owner: conditions in CEL, with the
// functions and limits that Kubernetes gives its own CEL, over what GitLab has
// said of a job and, at the gate, over each request to the Kubernetes API.
//
// The policy service asks the rules of the stage "job", the runner's gate those
// of the stage "request". Rules narrow what the agent's configuration allows:
// they refuse, or leave fewer namespaces, and nothing that they say widens
// anything. A rule that cannot be evaluated refuses. The package reads files and
// nothing else; it talks to nobody and reads no clock but in its Watcher.
package rules
