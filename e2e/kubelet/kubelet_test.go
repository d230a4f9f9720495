package kubelet_test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/towline/towline/e2e/cluster"
	"github.com/towline/towline/e2e/kubelet"
)

func TestMain(m *testing.M) { os.Exit(cluster.Main(m)) }

// TestAPIServerReachesItsContainers is the road of kubectl logs and exec
// without anything of ours in between.
func TestAPIServerReachesItsContainers(t *testing.T) {
	c := cluster.Shared(t)
	cfg, err := c.RESTConfig()
	must(t, err)
	client, err := kubernetes.NewForConfig(cfg)
	must(t, err)
	ns := c.Namespace(t)
	k, err := kubelet.Start(t.Context(), client)
	must(t, err)
	t.Cleanup(func() { must(t, k.Stop()) })
	main := &kubelet.Container{Name: "main", Dir: t.TempDir()}
	must(t, k.Run(t.Context(), &kubelet.Pod{Namespace: ns, Name: "p", Containers: []*kubelet.Container{main}}))
	_, _ = main.Write([]byte("one\ntwo\nthree\n"))

	for name, want := range map[int64]string{-1: "one\ntwo\nthree\n", 2: "two\nthree\n", 9: "one\ntwo\nthree\n"} {
		opts := &corev1.PodLogOptions{}
		if name >= 0 {
			opts.TailLines = &name
		}
		got, err := client.CoreV1().Pods(ns).GetLogs("p", opts).DoRaw(t.Context())
		if err != nil || string(got) != want {
			t.Errorf("the last %d lines: %q, %v", name, got, err)
		}
	}

	url := client.CoreV1().RESTClient().Post().Resource("pods").Name("p").Namespace(ns).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Command: []string{"sh", "-c", "cat; echo wrong >&2; exit 7"}, Stdin: true, Stdout: true, Stderr: true}, scheme.ParameterCodec).URL()
	spdy, err := remotecommand.NewSPDYExecutor(cfg, http.MethodPost, url)
	must(t, err)
	socket, err := remotecommand.NewWebSocketExecutor(cfg, http.MethodGet, url.String())
	must(t, err)
	for name, way := range map[string]remotecommand.Executor{"SPDY": spdy, "WebSocket": socket} {
		var out, errs bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), kubelet.CommandTimeout)
		err := way.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: strings.NewReader("in"), Stdout: &out, Stderr: &errs})
		cancel()
		if err == nil || !strings.Contains(err.Error(), "exit code 7") || out.String() != "in" || errs.String() != "wrong\n" {
			t.Errorf("%s: %v, %q, %q", name, err, &out, &errs)
		}
	}

	must(t, k.Stop())
	if _, err := client.CoreV1().Nodes().Get(t.Context(), k.Node(), metav1.GetOptions{}); err == nil {
		t.Error("the node is still there")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
