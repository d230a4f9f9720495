// Command policy decides whether a GitLab job may act in the cluster and signs
// the grants that say so. The tunnel calls it; it talks to the Kubernetes API to
// check its callers, and to nobody outside the cluster.
package main
