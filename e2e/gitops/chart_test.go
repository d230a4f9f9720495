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
	b := openWith(t, jobAccess, charts, map[string]string{
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
	b.chartPreviews()
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

// chartPreviews shows what working trees would change of the release.
func (b *bench) chartPreviews() {
	b.Helper()
	entry := b.namespace + "/shop"
	j := b.job(shop, "towline diff "+entry)
	b.expect(j, 2, "towline diff: ", "forbidden", "the rights of this job")
	b.Allow("gitlab:ci_job", "edit")
	j = b.job(shop, "towline diff --exit-code "+entry)
	b.expect(j, 0, "nothing to change, 1 as they are\n")
	j = b.job(shop, `printf 'size: tiny\n' > values/prod.yaml`,
		`printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: before, annotations: {helm.sh/hook: pre-upgrade}}\n' > charts/shop/templates/before.yaml`,
		"towline diff --report changes.json "+entry, "cat changes.json", "towline diff --exit-code "+entry)
	name := "ConfigMap " + entry
	b.expect(j, 1, "--- "+name+" (in the cluster)\n+++ "+name+" (charts/shop/templates/a.yaml:1)\n", "\n-  size: huge\n+  size: tiny\n",
		"ConfigMap "+b.namespace+"/before would run, as hook pre-upgrade (charts/shop/templates/before.yaml)\n",
		"release "+entry+": upgrade of chart shop 1.0.0, which makes revision 5\n1 to change, 0 as they are\n",
		`"description": "`+name+` would be changed: .data.size"`, `"path": "charts/shop/templates/a.yaml"`)
	if size := b.data("shop")["size"]; size != "huge" {
		b.Errorf("a comparison has changed the release: %s", size)
	}
	j = b.job(shop, `printf '{{ .Values.none.such }}\n' > charts/shop/templates/a.yaml`, "towline diff "+entry)
	b.expect(j, 2, "towline diff: release "+entry+": upgrade of chart shop 1.0.0: template: shop/templates/a.yaml:1:")
}
