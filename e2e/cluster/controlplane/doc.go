// Controlplane runs a Kubernetes control plane in one process: etcd,
// kube-apiserver, kube-controller-manager and kube-scheduler, the real ones, on
// a free loopback port, with its own certificates and with RBAC on.
//
// It exists for tests, the demo and benchmarks: package cluster of the e2e
// module builds and starts it and hands out the kubeconfig. It lives in a module
// of its own, outside go.work, because a module that links Kubernetes must
// replace all of its libraries, and replacements in a workspace apply to every
// module of it.
//
// It never runs a container (there is no kubelet, so pods stay Pending), never
// listens on anything but the loopback interface, and never keeps data safe:
// etcd writes without fsync.
package main
