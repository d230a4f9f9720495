package gatetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"

	"github.com/towline/towline/e2e/cluster"
	"github.com/towline/towline/e2e/kubelet"
)

// inPods is a job that may edit a namespace with a running pod "p", whose
// containers are "main" and "side".
type inPods struct {
	*bench
	session    *session
	client     *kubernetes.Clientset
	ns         string
	main, side *kubelet.Container
}

func pods(t *testing.T, ports map[int32]string) *inPods {
	t.Helper()
	b, s, c, ns := deploying(t, nil)
	k, err := kubelet.Start(t.Context(), b.admin)
	b.must(err)
	t.Cleanup(func() { b.must(k.Stop()) })
	p := &inPods{
		bench: b, session: s, client: c, ns: ns,
		main: &kubelet.Container{Name: "main", Dir: t.TempDir()}, side: &kubelet.Container{Name: "side", Dir: t.TempDir()},
	}
	b.must(k.Run(t.Context(), &kubelet.Pod{
		Namespace: ns, Name: "p", Labels: map[string]string{"app": "p"}, Ports: ports, Containers: []*kubelet.Container{p.main, p.side},
	}))
	_, _ = p.main.Write([]byte("one\ntwo\nthree\n"))
	_, _ = p.side.Write([]byte("beside\n"))
	return p
}

// executors runs a command both ways.
func (p *inPods) executors(command ...string) map[string]remotecommand.Executor {
	p.t.Helper()
	url := p.client.CoreV1().RESTClient().Post().Resource("pods").Name("p").Namespace(p.ns).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: "main", Command: command, Stdin: true, Stdout: true, Stderr: true}, scheme.ParameterCodec).URL()
	spdyWay, err := remotecommand.NewSPDYExecutor(p.config(p.session), http.MethodPost, url)
	p.must(err)
	socket, err := remotecommand.NewWebSocketExecutor(p.config(p.session), http.MethodGet, url.String())
	p.must(err)
	return map[string]remotecommand.Executor{"SPDY": spdyWay, "WebSocket": socket}
}

func TestCommandsRunInPodsBothWays(t *testing.T) {
	p := pods(t, nil)
	const size = 1 << 20
	in := bytes.Repeat([]byte("towline "), size/8)
	for name, way := range p.executors("sh", "-c", "cat; echo wrong >&2; exit 7") {
		var out, errs bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		err := way.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: bytes.NewReader(in), Stdout: &out, Stderr: &errs})
		cancel()
		if err == nil || !strings.Contains(err.Error(), "exit code 7") || errs.String() != "wrong\n" || !bytes.Equal(out.Bytes(), in) {
			t.Errorf("%s: %v, %d bytes, %q", name, err, out.Len(), &errs)
		}
	}
}

// TestCommandsEndWithTheSession: a job that is over leaves nothing running.
func TestCommandsEndWithTheSession(t *testing.T) {
	p := pods(t, nil)
	ended := make(chan string, 2)
	for name, way := range p.executors("sh", "-c", "echo started; sleep 300") {
		r, w := io.Pipe()
		go func() {
			err := way.StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdin: new(never), Stdout: w, Stderr: io.Discard})
			_ = w.CloseWithError(fmt.Errorf("%s ended: %w", name, err))
			ended <- name
		}()
		if _, err := io.ReadFull(r, make([]byte, len("started\n"))); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.Copy(io.Discard, r) }()
	}
	p.session.Close()
	for range 2 {
		select {
		case <-ended:
		case <-time.After(patience):
			t.Fatal("a command goes on")
		}
	}
}

// never is an input that has nothing to say.
type never struct{}

// Read implements io.Reader.
func (never) Read([]byte) (int, error) { select {} }

func TestPortsOfPodsAreReached(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "from the pod") })}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	p := pods(t, map[int32]string{8080: l.Addr().String()})
	url := p.client.CoreV1().RESTClient().Post().Resource("pods").Name("p").Namespace(p.ns).SubResource("portforward").URL()
	tripper, upgrader, err := spdy.RoundTripperFor(p.config(p.session))
	p.must(err)
	spdyWay := spdy.NewDialer(upgrader, &http.Client{Transport: tripper}, http.MethodPost, url)
	socket, err := portforward.NewSPDYOverWebsocketDialer(url, p.config(p.session))
	p.must(err)
	stop := make(chan struct{})
	defer close(stop)
	overSPDY, err := portforward.New(spdyWay, []string{"0:8080"}, stop, make(chan struct{}), io.Discard, io.Discard)
	p.must(err)
	overSocket, err := portforward.New(socket, []string{"0:8080"}, stop, make(chan struct{}), io.Discard, io.Discard)
	p.must(err)
	for name, f := range map[string]*portforward.PortForwarder{"SPDY": overSPDY, "WebSocket": overSocket} {
		if got := p.fetch(f); got != "from the pod" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// fetch starts forwarding and gets what the pod serves.
func (p *inPods) fetch(f *portforward.PortForwarder) string {
	p.t.Helper()
	done := make(chan error, 1)
	go func() { done <- f.ForwardPorts() }()
	select {
	case <-f.Ready:
	case err := <-done:
		p.t.Fatal(err)
	}
	forwarded, err := f.GetPorts()
	p.must(err)
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/", forwarded[0].Local), nil)
	p.must(err)
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	p.must(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	p.must(err)
	return string(body)
}

// TestEmbeddedKubectlInPods runs the runner's kubectl and the real one against
// this gate: services/runner holds the commands, and this the pods.
func TestEmbeddedKubectlInPods(t *testing.T) {
	real, err := cluster.Kubectl(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	p := pods(t, nil)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	p.must(clientcmd.WriteToFile(p.kubeconfig(), kubeconfig))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // a build may come first
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-timeout=5m", "-tags", "integration,pods", "-run", "^TestInPods", "./internal/toolbox/kubectl")
	cmd.Dir = filepath.Join("..", "..", "services", "runner")
	cmd.Env = append(os.Environ(), "TOWLINE_E2E_KUBECONFIG="+kubeconfig, "TOWLINE_E2E_KUBECTL="+real, "TOWLINE_E2E_CONTAINER="+p.main.Dir)
	// The whole group ends with its time: what a test has started must not keep
	// the output open.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = patience
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// kubeconfig is what the runner writes for a job.
func (p *inPods) kubeconfig() clientcmdapi.Config {
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters["c"] = &clientcmdapi.Cluster{Server: p.url, CertificateAuthorityData: p.ca}
	cfg.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: p.session.token}
	cfg.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u", Namespace: p.ns}
	cfg.CurrentContext = "x"
	return *cfg
}
