// Package kubectl is upstream kubectl inside the runner's own process: the
// exported constructors of k8s.io/kubectl under a root of our own, with
// everything that belongs to one command (streams, directory, environment,
// exit code, warnings) taken from the caller instead of from the process.
//
// The toolbox calls it for each `kubectl` of a script. It never executes
// another program: plugins, credential plugins, editors and the external diff
// are refused. Discovery is kept for the length of the process, one cache for
// each complete credential, so the process must not outlive its job.
package kubectl
