package kubelet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// CommandTimeout bounds one command in a container.
const CommandTimeout = 30 * time.Second

// Kubelet is one Node and the server behind it. It is safe for concurrent use.
type Kubelet struct {
	client kubernetes.Interface
	node   string
	server *httptest.Server
	cancel context.CancelFunc

	mu   sync.Mutex
	pods map[string]*Pod // by namespace/name
}

// Start registers a Node in the cluster of client and serves it until Stop.
func Start(ctx context.Context, client kubernetes.Interface) (*Kubelet, error) {
	k := &Kubelet{client: client, pods: map[string]*Pod{}}
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	k.cancel = cancel
	k.server = httptest.NewUnstartedServer(k.handler())
	k.server.Config.BaseContext = func(net.Listener) context.Context { return serving }
	k.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	// Upgrades to SPDY need HTTP/1.1, as a real kubelet's clients use.
	k.server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	k.server.StartTLS()
	if err := k.register(ctx); err != nil {
		return nil, errors.Join(err, k.Stop())
	}
	return k, nil
}

// Stop ends the containers and the server and removes the Node.
func (k *Kubelet) Stop() error {
	k.mu.Lock()
	for _, p := range k.pods {
		p.stop()
	}
	k.mu.Unlock()
	k.cancel()
	k.server.CloseClientConnections()
	k.server.Close()
	if k.node == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), CommandTimeout)
	defer cancel()
	err := k.client.CoreV1().Nodes().Delete(ctx, k.node, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// Node is the name of the Node.
func (k *Kubelet) Node() string { return k.node }

// register makes the Node and says where its kubelet is.
func (k *Kubelet) register(ctx context.Context) error {
	addr, ok := k.server.Listener.Addr().(*net.TCPAddr)
	if !ok {
		return fmt.Errorf("kubelet listens on %v", k.server.Listener.Addr())
	}
	nodes := k.client.CoreV1().Nodes()
	node, err := nodes.Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{GenerateName: "stand-in-"}}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	k.node = node.Name
	node.ResourceVersion = "" // controllers write to it as well
	now := metav1.Now()
	node.Status = corev1.NodeStatus{
		Addresses:       []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: addr.IP.String()}},
		DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: int32(addr.Port)}},
		Conditions: []corev1.NodeCondition{{
			Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "StandIn", LastHeartbeatTime: now, LastTransitionTime: now,
		}},
	}
	if _, err := nodes.UpdateStatus(ctx, node, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("node %s: %w", node.Name, err)
	}
	return nil
}

// container finds one by the parts of a request's path.
func (k *Kubelet) container(r *http.Request) (*Container, error) {
	pod, err := k.pod(r)
	if err != nil {
		return nil, err
	}
	for _, c := range pod.Containers {
		if c.Name == r.PathValue("container") {
			return c, nil
		}
	}
	return nil, fmt.Errorf("container %s not found in pod %s", r.PathValue("container"), pod.Name)
}

func (k *Kubelet) pod(r *http.Request) (*Pod, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	pod := k.pods[r.PathValue("namespace")+"/"+r.PathValue("pod")]
	if pod == nil {
		return nil, fmt.Errorf("pod %s does not exist here", r.PathValue("pod"))
	}
	return pod, nil
}
