// Withcluster runs a command with a Kubernetes control plane beside it:
//
//	withcluster [flags] -- COMMAND [ARGS...]
//	withcluster --build-only [--kubectl]
//
// It starts one plane, or uses the cluster that TOWLINE_E2E_KUBECONFIG names,
// sets that variable for the command, passes signals on, and ends with the
// command's exit code; its own failures end with 125. Continuous integration
// wraps a whole test run in it, people their experiments. It never touches
// ~/.kube and never leaves a plane behind.
package main
