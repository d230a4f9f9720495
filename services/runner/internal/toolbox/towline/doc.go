// Package towline is the command `towline` inside a job: who the job is
// (whoami), whether what it applied is rolled out (wait), whether a commit
// has been applied by gitops (sync), and what an apply would change (diff).
//
// The toolbox calls it for scripts. It speaks to the cluster with the
// kubeconfig that kubectl would use, and changes nothing there. About entries of
// gitops it asks the runner, which decides what a job may know.
package towline
