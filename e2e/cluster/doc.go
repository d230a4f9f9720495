// Package cluster gives tests, the demo and benchmarks a real Kubernetes control
// plane: etcd, kube-apiserver, kube-controller-manager and kube-scheduler in one
// process, ready about three seconds after it is asked for.
//
// Tests call Shared and then Namespace; a test package that wants its plane
// stopped before it ends calls Main from TestMain. Everything else calls Start.
// When the environment variable TOWLINE_E2E_KUBECONFIG names a kubeconfig, that
// cluster is used and left alone; command withcluster sets it, so that one plane
// serves a whole test run.
//
// The plane's program is built from the module in the folder controlplane on
// first use, which takes minutes, and cached. Kubectl builds the real kubectl of
// the same version.
//
// The package never links Kubernetes itself, never runs a container (pods stay
// Pending: there is no kubelet), never touches ~/.kube, and needs a Unix system
// and the go command, but no root and no container engine.
package cluster
