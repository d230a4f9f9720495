//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/towline/towline/e2e/cluster"
)

// Outside is an address beside the cluster's, for what a test wants to be
// reached by pods as if it were another machine.
const Outside = outsideAddress

// Node is a running node with its control plane.
type Node struct {
	cluster *cluster.Cluster
	kube    kubernetes.Interface
	dir     string
	api     string // where the API server listens
	undo    []func()
}

// start starts a node; progress gets a line for each step.
func start(ctx context.Context, dir string, programs cluster.NodePrograms, progress io.Writer) (*Node, error) {
	n := &Node{dir: dir}
	if err := n.begin(ctx, programs, progress); err != nil {
		return nil, errors.Join(err, n.stop())
	}
	return n, nil
}

func (n *Node) begin(ctx context.Context, programs cluster.NodePrograms, progress io.Writer) error {
	if err := n.startControlPlane(ctx, progress); err != nil {
		return err
	}
	if err := n.writeFiles(); err != nil {
		return err
	}
	if err := n.startContainerd(ctx); err != nil {
		return err
	}
	proxy, err := launch(n.dir, nil, programs.KubeProxy, "--config="+n.file("kube-proxy.yaml"))
	if err != nil {
		return err
	}
	n.undo = append(n.undo, proxy.stop)
	kubelet, err := launch(n.dir, nil, programs.Kubelet, "--config="+n.file("kubelet.yaml"), "--kubeconfig="+n.cluster.Kubeconfig(),
		"--hostname-override="+nodeName, "--node-ip="+nodeAddress)
	if err != nil {
		return err
	}
	n.undo = append(n.undo, kubelet.stop)
	if err := n.importOwn(ctx); err != nil {
		return err
	}
	if err := n.startPolicies(ctx, programs.NetworkPolicies); err != nil {
		return err
	}
	if err := n.startDNS(ctx); err != nil {
		return err
	}
	if err := n.makeVolumes(ctx); err != nil {
		return err
	}
	if err := kubelet.until(ctx, n.ready); err != nil {
		return err
	}
	return proxy.until(ctx, n.dnsReady)
}

// startControlPlane starts the API server and gives pods a way to it.
func (n *Node) startControlPlane(ctx context.Context, progress io.Writer) error {
	var err error
	if n.cluster, err = cluster.Start(ctx, cluster.Options{Progress: progress, Log: n.file("controlplane.log")}); err != nil {
		return err
	}
	cfg, err := n.cluster.RESTConfig()
	if err != nil {
		return err
	}
	if n.kube, err = kubernetes.NewForConfig(cfg); err != nil {
		return err
	}
	u, err := url.Parse(cfg.Host)
	if err != nil {
		return err
	}
	n.api = u.Host
	return n.forwardAPI(ctx)
}

func (n *Node) startContainerd(ctx context.Context) error {
	d, err := launch(n.dir, nil, "containerd", "--config="+n.file("containerd.toml"))
	if err != nil {
		return err
	}
	n.undo = append(n.undo, d.stop)
	return d.until(ctx, func(ctx context.Context) error { return ctr(ctx, "version") })
}

// ctr runs containerd's client among the images of Kubernetes.
func ctr(ctx context.Context, args ...string) error {
	return command(ctx, "ctr", append([]string{"--address=" + containerdSocket, "--namespace=k8s.io"}, args...)...)
}

// Import gives the node the image of an OCI archive by the given name, with its
// tag.
func (n *Node) Import(ctx context.Context, archive, name string) error {
	// The archive itself knows only a tag, and needs a name to it that no other has.
	base := name[:strings.LastIndex(name, ":")]
	return ctr(ctx, "images", "import", "--base-name="+base, "--index-name="+name, archive)
}

// importOwn gives the node the images that this package has made.
func (n *Node) importOwn(ctx context.Context) error {
	archives, err := filepath.Glob(n.file(ownArchives))
	if err != nil || len(archives) == 0 {
		return fmt.Errorf("no images in %s (%w)", n.dir, err)
	}
	for _, a := range archives {
		if err := ctr(ctx, "images", "import", a); err != nil {
			return err
		}
	}
	return nil
}

// ready says whether the scheduler may use the node.
func (n *Node) ready(ctx context.Context) error {
	node, err := n.kube.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	var said []string
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			return nil
		}
		said = append(said, c.Message)
	}
	return errors.New(strings.Join(said, "; "))
}

// Cluster is the control plane.
func (n *Node) Cluster() *cluster.Cluster { return n.cluster }

// stop ends what start has started. Containers end with the namespaces.
func (n *Node) stop() error {
	for i := len(n.undo) - 1; i >= 0; i-- {
		n.undo[i]()
	}
	if n.cluster == nil {
		return nil
	}
	return n.cluster.Stop()
}

// forward passes connections on until the listener closes.
func forward(l net.Listener, to string) {
	for {
		from, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer from.Close()
			target, err := net.Dial("tcp", to)
			if err != nil {
				return
			}
			defer target.Close()
			done := make(chan struct{}, 2)
			for _, pair := range [][2]net.Conn{{from, target}, {target, from}} {
				go func() {
					_, _ = io.Copy(pair[0], pair[1])
					done <- struct{}{}
				}()
			}
			<-done
		}()
	}
}
