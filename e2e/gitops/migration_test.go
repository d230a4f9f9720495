package gitops

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/e2e/cluster"
)

// What GitLab's agent has left is gone on with: what is in the repository is
// kept, what has left it is deleted, and strangers are let be.
func TestTheInventoryOfGitLabsAgentIsTakenOver(t *testing.T) {
	b := open(t, plain, map[string]string{"README.md": "nothing yet"})
	project, err := b.gitlab.Project(shop)
	b.must(err)
	id := fmt.Sprintf("%d-%d", b.opts.AgentID, project.ID)
	maps := b.kube.CoreV1().ConfigMaps(b.namespace)
	inventory := map[string]string{}
	for _, name := range []string{"kept", "left"} {
		inventory[b.namespace+"_"+name+"__ConfigMap"] = ""
		_, err := maps.Create(t.Context(), &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"config.k8s.io/owning-inventory": id}}, Data: map[string]string{"x": "old"},
		}, metav1.CreateOptions{FieldManager: "agentk"})
		b.must(err)
	}
	_, err = maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "stranger"}}, metav1.CreateOptions{})
	b.must(err)
	_, err = maps.Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "inventory-" + id, Labels: map[string]string{"cli-utils.sigs.k8s.io/inventory-id": id}}, Data: inventory,
	}, metav1.CreateOptions{FieldManager: "agentk"})
	b.must(err)
	commit := b.push(map[string]string{"k8s/kept.yaml": configMap("kept", "x", "new")})
	if got := b.status(shop, commit, "success"); got != "1 objects, 1 configured, 1 pruned" {
		t.Errorf("%q", got)
	}
	if b.data("kept")["x"] != "new" || b.data("left") != nil {
		t.Errorf("kept %v, left %v", b.data("kept"), b.data("left"))
	}
	if _, err := maps.Get(t.Context(), "stranger", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
}

// fluxLabel is on each object of a Kustomization of Flux.
const fluxLabel = "kustomize.toolkit.fluxcd.io/name"

// TestWhatFluxHasAppliedIsTakenOver follows the guide: Flux is suspended, a dry
// run says what would happen, the entry takes the objects, and none of them is
// made anew or rolled out again. What is removed from the repository afterwards
// goes, although Flux had applied it, too. At last kubectl takes over.
func TestWhatFluxHasAppliedIsTakenOver(t *testing.T) {
	const entry = `
gitops:
  manifest_projects:
    - id: acme/apps/shop
      default_namespace: NAMESPACE
      kustomize: {path: deploy}
      inventory_policy: adopt_if_no_inventory
      interval: 10s
`
	deployment := "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 0\n  selector: {matchLabels: {app: web}}\n" +
		"  template:\n    metadata: {labels: {app: web}}\n    spec: {containers: [{name: web, image: registry.example.com/web:1}]}\n"
	files := map[string]string{
		"deploy/kustomization.yaml": "resources: [web.yaml, settings.yaml, left.yaml]\nnamespace: NAMESPACE\n",
		"deploy/web.yaml":           deployment,
		"deploy/settings.yaml":      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {color: green, size: large}\n",
		"deploy/left.yaml":          configMap("left", "color", "green"),
	}
	b := open(t, "", map[string]string{"README.md": "nothing of the cluster's"})
	r := b.resources()
	const web = 0 // in was; it stays to the end
	var was []*unstructured.Unstructured
	for _, name := range []string{"deploy/web.yaml", "deploy/settings.yaml", "deploy/left.yaml"} {
		o := r.decode(map[string]string{name: files[name]}, b.namespace)[0]
		o.SetLabels(map[string]string{fluxLabel: "shop", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"})
		r.apply(o, "kustomize-controller")
		was = append(was, r.get(refOf(o)))
	}
	same := func(what string, ours bool) {
		t.Helper()
		for _, old := range was {
			now := r.get(refOf(old))
			if now == nil || now.GetUID() != old.GetUID() || !cmp.Equal(old.Object["spec"], now.Object["spec"]) {
				t.Errorf("%s: %s was made anew, or changed: %v", what, refOf(old), now)
			} else if flux, marked := now.GetLabels()[fluxLabel] != "", now.GetAnnotations()[inventoryOwner] != ""; flux == ours || marked != ours {
				t.Errorf("%s: %s has label of Flux %v, our mark %v", what, refOf(old), flux, marked)
			}
		}
	}

	commit := b.push(files)
	b.configure(strings.Replace(entry, "interval: 10s", "dry_run_strategy: server", 1))
	if got := b.status(shop, commit, "success"); got != "3 objects, 3 configured" {
		t.Errorf("a dry run: %q", got)
	}
	same("a dry run", false)

	b.configure(entry)
	b.eventually("Towline has them", func(context.Context) bool { return r.get(refOf(was[web])).GetAnnotations()[inventoryOwner] != "" })
	next := b.push(map[string]string{"README.md": "another commit"})
	b.status(shop, next, "success")
	same("taken over", true)

	removed := b.push(map[string]string{
		"deploy/kustomization.yaml": "resources: [web.yaml, settings.yaml]\nnamespace: NAMESPACE\n", "deploy/left.yaml": "",
		"deploy/settings.yaml": configMap("settings", "color", "red"),
	})
	if got := b.status(shop, removed, "success"); got != "2 objects, 1 configured, 1 pruned" {
		t.Errorf("a change: %q", got)
	}
	if d := b.data("settings"); d["color"] != "red" || d["size"] != "" || b.data("left") != nil {
		t.Errorf("settings %v, left %v", d, b.data("left"))
	}
	b.configure("")
	b.backToKubectl(r, was[web])
}

// backToKubectl follows the guide from an entry that is gone: the real kubectl
// goes on under Towline's name, with which fields and marks that are not in the
// files go.
func (b *bench) backToKubectl(r *resources, stays *unstructured.Unstructured) {
	b.Helper()
	dir := b.TempDir()
	text := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {shape: round}\n"
	b.must(os.WriteFile(filepath.Join(dir, "settings.yaml"), []byte(text), 0o600))
	kubectl, err := cluster.Kubectl(b.Context(), os.Stderr)
	b.must(err)
	run := func(args ...string) {
		b.Helper()
		cmd := exec.CommandContext(b.Context(), kubectl, append(args, "--namespace="+b.namespace)...)
		cmd.Env = append(os.Environ(), "KUBECONFIG="+b.cluster.Kubeconfig(), "HOME="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("kubectl %q: %v\n%s", args, err, out)
		}
	}
	settings := ref("ConfigMap " + b.namespace + "/settings")
	was := r.uid(settings)
	run("apply", "--server-side", "--force-conflicts", "--field-manager=towline", "-f", dir)
	run("delete", "configmap", "-l", inventoryLabel)
	now := r.get(settings)
	if d := b.data("settings"); now.GetUID() != was || len(now.GetLabels())+len(now.GetAnnotations()) > 0 || len(d) != 1 || d["shape"] != "round" {
		b.Errorf("settings after kubectl: %v", now)
	}
	if got := r.uid(refOf(stays)); got != stays.GetUID() {
		b.Errorf("%s was %q and is %q", refOf(stays), stays.GetUID(), got)
	}
}
