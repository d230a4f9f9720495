// Package node is a real node for tests: containerd, kubelet, kube-proxy, CoreDNS
// and what enforces NetworkPolicies beside package cluster's control plane, so that
// `helm install` starts pods. A test package calls Main from TestMain and Shared
// from its tests:
//
//	func TestMain(m *testing.M) { os.Exit(node.Main(m)) }
//
// It needs Linux with cgroup v1, root, and of Debian containerd, runc,
// containernetworking-plugins, iptables and iproute2; Missing names what is not
// there. On other machines it does not run, and says so.
//
// Everything happens in mount, network, process, IPC and cgroup namespaces that
// Main makes: the machine's mounts, its packet filter and its processes are not
// touched, nothing sent there leaves it, and whatever runs ends with the first
// process in it, however that ends. On the machine itself there are only a
// temporary directory and, below the caller's own cgroups, one directory in each
// hierarchy; both are removed at the end.
//
// Images come from archives: `make images` makes those of the services, this
// package those of the pause container, Redis, CoreDNS and the simulated GitLab from
// programs of this machine. Nothing is ever pulled.
package node
