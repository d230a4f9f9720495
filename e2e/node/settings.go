//go:build linux

package node

import (
	"fmt"
	"os"
	"path/filepath"
)

// Addresses. All but the cluster's are of the ranges for documentation, and
// none is ever used outside the network namespace.
const (
	nodeName       = "node"
	nodeAddress    = "192.0.2.10"
	gatewayAddress = "192.0.2.1"
	outsideAddress = "198.51.100.10"
	podRange       = "10.244.0.0/24"
	dnsAddress     = "10.96.0.10" // of the control plane's range of services
	apiPort        = "6443"

	containerdSocket = "/run/containerd/containerd.sock"
	clusterDomain    = "cluster.local"
)

// files are the settings of the node's programs by file name.
func (n *Node) files() map[string]string {
	return map[string]string{
		// AppArmor and lower OOM scores are not to be had in every machine that
		// is a container or a small virtual one itself.
		"containerd.toml": fmt.Sprintf(`version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = %q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q
    conf_dir = %q
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
`, containerdSocket, pauseImage, cniDir(), n.file("cni")),

		// Pods hang on routes, not on a bridge: there the answers of a pod to
		// another would pass by the packet filter and keep the wrong address.
		"cni/10-node.conflist": fmt.Sprintf(`{"cniVersion": "0.4.0", "name": "node", "plugins": [
  {"type": "ptp", "ipMasq": false, "ipam": {"type": "host-local", "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}]}}
]}
`, podRange),

		"resolv.conf": "nameserver " + dnsAddress + "\n",

		// Changed Secrets and ConfigMaps reach their pods with the next sync of the
		// pod, which is a minute away unless said otherwise.
		"kubelet.yaml": fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
cgroupDriver: cgroupfs
clusterDNS: [%s]
clusterDomain: %s
containerRuntimeEndpoint: unix://%s
enforceNodeAllocatable: []
evictionHard: {memory.available: 1%%, nodefs.available: 1%%, imagefs.available: 1%%}
failCgroupV1: false
failSwapOn: false
imageGCHighThresholdPercent: 100
resolvConf: %s
serializeImagePulls: false
syncFrequency: 5s
volumePluginDir: %s
`, dnsAddress, clusterDomain, containerdSocket, n.file("resolv.conf"), n.file("plugins")),

		"kube-proxy.yaml": fmt.Sprintf(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: %s}
clusterCIDR: %s
conntrack: {maxPerCore: 0}
hostnameOverride: %s
mode: iptables
`, n.cluster.Kubeconfig(), podRange, nodeName),
	}
}

// writeFiles writes the settings.
func (n *Node) writeFiles() error {
	for name, content := range n.files() {
		if err := os.MkdirAll(filepath.Dir(n.file(name)), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(n.file(name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) file(name string) string { return filepath.Join(n.dir, name) }
