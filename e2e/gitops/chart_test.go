package gitops

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// resyncs is how often a release without a change is synced.
const resyncs = 20

func TestAChartIsInstalledAndKept(t *testing.T) {
	const charts = `
gitops:
  charts:
    - release_name: shop
      source: {project: {id: acme/apps/shop, path: charts/shop}}
      namespace: NAMESPACE
      max_history: 5
      values: [{inline: {color: red, size: small}}, {file: {file: values/prod.yaml}}]
`
	b := open(t, charts, map[string]string{
		"charts/shop/Chart.yaml":       "apiVersion: v2\nname: shop\nversion: 1.0.0\n",
		"charts/shop/templates/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop}\ndata: {color: {{ .Values.color }}, size: {{ .Values.size }}}\n",
		"values/prod.yaml":             "size: large\n",
	})
	b.eventually("the release", func(context.Context) bool { d := b.data("shop"); return d["color"] == "red" && d["size"] == "large" })
	for n := range resyncs {
		again := b.push(map[string]string{"README.md": fmt.Sprintf("nothing of the chart, %d", n)})
		if got := b.status(b.namespace+"/shop", again, "success"); got != "shop 1.0.0, revision 1 deployed" {
			t.Fatalf("without a change: %q", got)
		}
	}
	revisions := func() int {
		list, err := b.kube.CoreV1().Secrets(b.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "owner=helm,name=shop"})
		b.must(err)
		return len(list.Items)
	}
	if n := revisions(); n != 1 {
		t.Errorf("%d revisions without a change", n)
	}
	changed := b.push(map[string]string{"values/prod.yaml": "size: huge\n"})
	b.status(b.namespace+"/shop", changed, "success")
	if n := revisions(); n != 2 || b.data("shop")["size"] != "huge" {
		t.Errorf("%d revisions, %v", n, b.data("shop"))
	}
	b.helmsOwn(changed)
	wrong := b.push(map[string]string{"charts/shop/templates/a.yaml": "{{ .Values.none.such }}\n"})
	b.status(b.namespace+"/shop", wrong, "failed")
	if n := revisions(); n != 4 {
		t.Errorf("%d revisions after a mistake", n)
	}
}

// helmsOwn has the helm binary work on the release, of which revision 2 is
// deployed: what it has changed is put right by a revision of its own.
func (b *bench) helmsOwn(commit string) {
	b.Helper()
	if out := b.helm(b.namespace, "list", "--filter", "^shop$", "--output", "json"); !strings.Contains(out, `"revision":"2"`) || !strings.Contains(out, `"status":"deployed"`) {
		b.Errorf("helm list: %s", out)
	}
	b.helm(b.namespace, "rollback", "shop", "1")
	if size := b.data("shop")["size"]; size != "large" {
		b.Errorf("helm has rolled back to %q", size)
	}
	again := b.push(map[string]string{"README.md": "after the rollback of " + commit})
	if got := b.status(b.namespace+"/shop", again, "success"); got != "shop 1.0.0, revision 4 deployed" || b.data("shop")["size"] != "huge" {
		b.Errorf("after helm rollback: %q, %v", got, b.data("shop"))
	}
	var history []struct{ Description string }
	b.must(json.Unmarshal([]byte(b.helm(b.namespace, "history", "shop", "--output", "json")), &history))
	var said []string
	for _, h := range history {
		said = append(said, h.Description)
	}
	if got := strings.Join(said, ", "); got != "Install complete, Upgrade complete, Rollback to 1, Upgrade complete" {
		b.Errorf("helm history: %s", got)
	}
}
