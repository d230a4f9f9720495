//go:build integration

package job

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/towline/towline/services/runner/internal/sandbox"
)

// clusterEnv names a kubeconfig of a real API server.
const clusterEnv = "TOWLINE_E2E_KUBECONFIG"

// nsName is the name of a namespace of these tests.
var nsName = regexp.MustCompile(`job-[a-z0-9]{5}`)

// clusterSpec is a confined job with a namespace of its own and two manifests
// in its project directory.
func clusterSpec(t testing.TB, script ...string) *Spec {
	t.Helper()
	requireSandbox(t)
	path := os.Getenv(clusterEnv)
	if path == "" {
		t.Fatalf("%s is not set", clusterEnv)
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	client := kubernetes.NewForConfigOrDie(cfg)
	ns, err := client.CoreV1().Namespaces().Create(context.Background(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "job-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.CoreV1().Namespaces().Delete(context.Background(), ns.Name, metav1.DeleteOptions{}) })

	raw, err := clientcmd.LoadFromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := clientcmdapi.FlattenConfig(raw); err != nil {
		t.Fatal(err)
	}
	raw.Contexts[raw.CurrentContext].Namespace = ns.Name
	text, err := clientcmd.Write(*raw)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(cfg.Host)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	spec := testSpecIn(t.TempDir(), script...)
	spec.Sandbox, spec.Kubeconfig, spec.Ports = sandbox.ModeEnforce, string(text), []uint16{uint16(port)}
	if err := os.CopyFS(filepath.Join(spec.ProjectDir, "k8s"), os.DirFS("testdata/k8s")); err != nil {
		t.Fatal(err)
	}
	return spec
}

func TestDeployToRealCluster(t *testing.T) {
	spec := clusterSpec(t,
		"echo deploying",
		"kubectl apply -f k8s/deployment.yaml", "kubectl apply -f k8s/service.yaml",
		"kubectl apply -f k8s/",
		"cd k8s && kubectl apply -f deployment.yaml; cd ..",
		"cat k8s/service.yaml | kubectl apply -f -",
		"kubectl apply --filename=- < k8s/service.yaml",
		"kubectl create configmap c --from-file=k8s/service.yaml --from-file=in=/dev/stdin --dry-run=client -o name <<< text",
		"kubectl kustomize k8s/kustomize | kubectl apply -f -",
		"kubectl apply -k k8s/kustomize",
		"kubectl get deploy web -o jsonpath='{.spec.replicas}'; echo",
		"kubectl get cm nope || echo rc $?",
		"kubectl auth can-i create pods", "kubectl auth can-i create pods --as=nobody || echo rc $?",
		"kubectl wait --for=jsonpath='{.spec.replicas}'=1 deploy/web --timeout=5s",
		"kubectl scale deploy web --replicas=0", "kubectl label deploy web a=b", "kubectl annotate deploy web a=b",
		"kubectl set image deploy/web web=nginx:2", "kubectl patch deploy web -p '{\"spec\":{\"replicas\":1}}'",
		"kubectl delete deploy,svc --all", "kubectl config current-context >/dev/null",
		"kubectl version | grep x || true",
	)
	c := startChild(t)
	got := c.run(t, spec)
	want := strings.Join([]string{
		"deploying", "deployment.apps/web created", "service/web created",
		"deployment.apps/web unchanged", "service/web unchanged", "deployment.apps/web unchanged",
		"service/web unchanged", "service/web unchanged", "configmap/c",
		"configmap/settings created", "configmap/settings unchanged",
		"1", "rc 1", "yes", "rc 1", "deployment.apps/web condition met", "deployment.apps/web scaled",
		"deployment.apps/web labeled", "deployment.apps/web annotated", "deployment.apps/web image updated",
		"deployment.apps/web patched", `deployment.apps "web" deleted from ` + "NS namespace", `service "web" deleted from ` + "NS namespace", "",
	}, "\n")
	said := nsName.ReplaceAllString(got.said(), "NS")
	if said != want {
		t.Errorf("stdout\n%s\nwant\n%s\nstderr %s\nraw %s", said, want, got.stderr, c.raw.String())
	}
	if got.result.State != StateSuccess {
		t.Errorf("result %+v", got.result)
	}
}

// BenchmarkWarmJob is a job of two applies in a process that was already
// waiting: from writing the Spec to the last frame.
func BenchmarkWarmJob(b *testing.B) {
	script := []string{"echo deploying", "kubectl apply -f k8s/deployment.yaml", "kubectl apply -f k8s/service.yaml"}
	for b.Loop() {
		b.StopTimer()
		spec, c := clusterSpec(b, script...), startChild(b)
		time.Sleep(300 * time.Millisecond) // the process warms up
		b.StartTimer()
		if err := c.give(spec); err != nil {
			b.Fatal(err)
		}
		if err := ReadFrames(c.frames, func(Frame) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
