package gitops

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// helm runs the real helm, built from the version that the runner links.
func (b *bench) helm(namespace string, args ...string) string {
	b.Helper()
	path, err := exec.CommandContext(b.Context(), "go", "-C", "../../services/runner", "tool", "-n", "helm").Output()
	b.must(err)
	cmd := exec.CommandContext(b.Context(), strings.TrimSpace(string(path)), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+b.cluster.Kubeconfig(), "HELM_NAMESPACE="+namespace, "HOME="+b.TempDir())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("helm %q: %v\n%s", args, err, stderr.String())
	}
	return string(out)
}

// TestOldCharts: a release of GitLab's agent, which was Helm's own with Helm's
// defaults, is gone on with: its objects stay, and from the second look on a
// revision is made for a change only.
func TestOldCharts(t *testing.T) {
	values := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/yaml")
		_, _ = io.WriteString(w, "size: tiny\ntone: warm\n")
	}))
	t.Cleanup(values.Close)
	host := values.Listener.Addr().String()
	b := openOld(t, "--egress-hosts="+host)
	s := b.shape("charts")
	s.values = host
	dir := t.TempDir()
	for name, text := range b.repository(s, "before") {
		b.must(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		b.must(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	for range 3 { // it made a revision each five minutes, and kept one
		b.helm(s.namespace, "upgrade", "--install", "shop", filepath.Join(dir, "charts/shop"), "--history-max=1", "-f", filepath.Join(dir, "values/production.yaml"), "--set", "color=red,tone=warm")
	}
	r := b.resources()
	was := map[ref]types.UID{}
	for _, kind := range []string{"ConfigMap", "ServiceAccount"} {
		o := ref(kind + " " + s.namespace + "/shop")
		was[o] = r.uid(o)
	}
	said := func(commit string) {
		t.Helper()
		st, err := b.gitlab.WaitCommitStatus(t.Context(), s.project, commit, "towline/"+agentName+"/"+s.namespace+"/shop", "success", "failed")
		b.must(err)
		if st.Status != "success" {
			t.Errorf("%s: %s", st.Status, st.Description)
		}
		for o, uid := range was {
			if got := r.uid(o); got != uid || uid == "" {
				t.Errorf("%s was %q and is %q", o, uid, got)
			}
		}
	}
	expect := func(size string, revision int) {
		t.Helper()
		if got := b.dataIn(s.namespace, "shop"); got["size"] != size || got["color"] != "red" || got["tone"] != "warm" {
			t.Errorf("the release holds %v", got)
		}
		var history []struct {
			Revision int
			Status   string
		}
		b.must(json.Unmarshal([]byte(b.helm(s.namespace, "history", "shop", "-o", "json")), &history))
		// Helm keeps the one that was deployed before in any case.
		if last := history[len(history)-1]; len(history) > 2 || last.Revision != revision || last.Status != "deployed" {
			t.Errorf("history %+v, want revision %d", history, revision)
		}
	}
	expect("large", 3)
	first := b.pushShape(s, "before")
	b.configureOld(s)
	said(first)
	expect("large", 4)
	note := "nothing of the chart"
	again, err := b.gitlab.PushFiles(s.project, "", map[string]*string{"README.md": &note})
	b.must(err)
	said(again)
	expect("large", 4)
	said(b.pushShape(s, "after"))
	expect("huge", 5)

	// Flux keeps the records of a release in the namespace of its HelmRelease:
	// without them the objects are recognised by Helm's marks on them.
	b.must(b.kube.CoreV1().Secrets(s.namespace).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "owner=helm,name=shop"}))
	small := "size: small\n"
	last, err := b.gitlab.PushFiles(s.project, "", map[string]*string{"values/production.yaml": &small})
	b.must(err)
	said(last)
	expect("small", 1)
}
