//go:build integration

package release

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/towline/towline/services/runner/internal/toolbox/helm/helmtest"
)

// clusterEnv names a kubeconfig of a real API server.
const clusterEnv = "TOWLINE_E2E_KUBECONFIG"

// place is a namespace of one test with an engine for it.
type place struct {
	*Engine
	config    *rest.Config
	client    kubernetes.Interface
	namespace string
}

func newPlace(t testing.TB) *place {
	t.Helper()
	path := os.Getenv(clusterEnv)
	if path == "" {
		t.Fatalf("%s is not set", clusterEnv)
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	cfg.QPS = -1
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := New(cfg, Options{Cache: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ns, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "release-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.CoreV1().Namespaces().Delete(context.WithoutCancel(t.Context()), ns.Name, metav1.DeleteOptions{})
	})
	return &place{Engine: engine, config: cfg, client: client, namespace: ns.Name}
}

// helm runs the real helm in the place's namespace.
func (p *place) helm(t testing.TB, args string) string {
	t.Helper()
	out, err := p.tryHelm(t, args)
	if err != nil {
		t.Fatalf("helm %s: %v\n%s", args, err, out)
	}
	return out
}

func (p *place) tryHelm(t testing.TB, args string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), helmtest.Binary(t), strings.Fields(args)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+os.Getenv(clusterEnv), "HELM_NAMESPACE="+p.namespace, "HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// revisions are the records as helm lists them, oldest first: "1 deployed".
func (p *place) revisions(t testing.TB, name string) []string {
	t.Helper()
	var out []string
	for line := range strings.SplitSeq(p.helm(t, "history "+name+" --max 100"), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 7 {
			continue
		}
		if _, err := strconv.Atoi(fields[0]); err == nil {
			out = append(out, fields[0]+" "+fields[6])
		}
	}
	return out
}

// webChart is a ConfigMap and a Deployment without replicas.
func webChart() map[string]string {
	return map[string]string{
		"Chart.yaml":  "apiVersion: v2\nname: web\nversion: 1.2.3\nappVersion: \"9\"\n",
		"values.yaml": "message: hello\nreplicas: 0\n",
		"templates/config.yaml": `apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}, labels: {app: web}}
data:
  message: {{ .Values.message | quote }}
`,
		"templates/deployment.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: example.com/web:1
        resources: {requests: {cpu: 1000m}}
`,
	}
}

func (p *place) spec(dir string, values ...Values) Spec {
	return Spec{Name: "web", Namespace: p.namespace, Chart: Chart{Directory: &Directory{Root: dir}}, Values: values}
}

// must reconciles and expects these actions.
func (p *place) must(t testing.TB, spec Spec, actions ...Action) *Result {
	t.Helper()
	result, err := p.Reconcile(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if !equal(result.Actions, actions) {
		t.Fatalf("actions %v, want %v", result.Actions, actions)
	}
	return result
}

func equal(a, b []Action) bool {
	return strings.Join(texts(a), " ") == strings.Join(texts(b), " ")
}

func texts(actions []Action) []string {
	var out []string
	for _, a := range actions {
		out = append(out, string(a))
	}
	return out
}

func inline(pairs ...any) Values {
	v := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		v[pairs[i].(string)] = pairs[i+1]
	}
	return Values{Inline: v}
}

// TestNoRevisionWithoutAChange is what the old agent got wrong: every run made a
// revision, and the history told nothing.
func TestNoRevisionWithoutAChange(t *testing.T) {
	p := newPlace(t)
	spec := p.spec(files(t, webChart()), inline("message", "one"))
	p.must(t, spec, ActionInstall)
	for range 20 {
		p.must(t, spec)
	}
	if got := p.revisions(t, "web"); len(got) != 1 || got[0] != "1 deployed" {
		t.Errorf("history %q after 20 runs without a change", got)
	}
	spec.Values[0].Inline["message"] = "two"
	p.must(t, spec, ActionUpgrade)
	p.must(t, spec)
	if got := p.helm(t, "get values web"); !strings.Contains(got, "message: two") {
		t.Error(got)
	}
}

// TestHelmWorksOnOurReleases: list, history, rollback, upgrade and uninstall by
// the helm binary, and ours on its releases.
func TestHelmWorksOnOurReleases(t *testing.T) {
	p := newPlace(t)
	dir := files(t, webChart())
	spec := p.spec(dir, inline("message", "one"))
	spec.MaxHistory = 10
	p.must(t, spec, ActionInstall)
	if got := p.helm(t, "list"); !strings.Contains(got, "web-1.2.3") || !strings.Contains(got, "deployed") {
		t.Error(got)
	}
	spec.Values = []Values{inline("message", "two")}
	p.must(t, spec, ActionUpgrade)
	p.helm(t, "rollback web 1")
	p.must(t, spec, ActionUpgrade) // the repository has the last word
	p.must(t, spec)
	p.helm(t, "upgrade web "+dir+" --set message=manual")
	p.must(t, spec, ActionUpgrade)
	want := "1 superseded, 2 superseded, 3 superseded, 4 superseded, 5 superseded, 6 deployed"
	if got := strings.Join(p.revisions(t, "web"), ", "); got != want {
		t.Errorf("history %q, want %q", got, want)
	}
	p.helm(t, "uninstall web")
	p.must(t, spec, ActionInstall)

	p.helm(t, "install other "+dir)
	spec.Name = "other"
	p.must(t, spec, ActionUpgrade) // adopted
	p.must(t, spec)
}
