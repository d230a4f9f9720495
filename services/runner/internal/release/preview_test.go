//go:build integration

package release

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// seenBy is a preview in short: what it would do and what would become of what.
func (p *place) seenBy(t *testing.T, spec Spec) []string {
	t.Helper()
	got, err := p.Preview(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	out := []string{fmt.Sprintf("%s %d, %d untried", got.Action, got.Revision, got.Unchanged)}
	for _, x := range got.Trials {
		word := "change"
		switch {
		case x.Err != nil:
			word = "fail"
		case x.Kept:
			word = "keep"
		case x.Before == nil:
			word = "create"
		case x.After == nil:
			word = "delete"
		case x.Before == x.After:
			word = "same"
		}
		line := word + " " + x.Ref.Kind + " " + x.Ref.Name + " " + x.File
		if x.Err != nil {
			line += ": " + got.Hide(x.Err.Error())
		}
		out = append(out, strings.TrimSpace(line))
	}
	for _, h := range got.Hooks {
		out = append(out, strings.ReplaceAll(fmt.Sprintf("%s: %s %s", h.Event, h.Object, h.File), p.namespace, "NS"))
	}
	return out
}

func (p *place) foresees(t *testing.T, spec Spec, want ...string) {
	t.Helper()
	revisions := p.revisionsOf(t, spec.Name)
	if diff := cmp.Diff(want, p.seenBy(t, spec)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(revisions, p.revisionsOf(t, spec.Name)); diff != "" {
		t.Errorf("a preview has changed the release: %s", diff)
	}
}

// revisionsOf are the records' names and versions.
func (p *place) revisionsOf(t *testing.T, name string) []string {
	t.Helper()
	list, err := p.client.CoreV1().Secrets(p.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "owner=helm,name=" + name})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i := range list.Items {
		out = append(out, list.Items[i].Name+" "+list.Items[i].ResourceVersion)
	}
	return out
}

const migration = `apiVersion: v1
kind: ConfigMap
metadata: {name: migrate, annotations: {helm.sh/hook: "pre-upgrade,post-install", helm.sh/hook-weight: "%s"}}
`

func TestWhatAReleaseWouldChange(t *testing.T) {
	p := newPlace(t)
	chart := webChart()
	chart["templates/kept.yaml"] = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kept, annotations: {helm.sh/resource-policy: keep}}\n"
	chart["templates/old.yaml"] = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: old}\n"
	spec := p.spec(files(t, chart), inline("message", "one"))
	p.foresees(t, spec, "install 1, 0 untried", "create ConfigMap web templates/config.yaml", "create ConfigMap kept templates/kept.yaml",
		"create ConfigMap old templates/old.yaml", "create Deployment web templates/deployment.yaml")
	if _, err := p.client.CoreV1().ConfigMaps(p.namespace).Get(t.Context(), "web", metav1.GetOptions{}); err == nil {
		t.Error("a preview has made an object")
	}
	p.must(t, spec, ActionInstall)
	p.foresees(t, spec, " 1, 4 untried")

	// What others have changed would be put right only where drift is corrected.
	_, err := p.client.CoreV1().ConfigMaps(p.namespace).Patch(t.Context(), "web", types.MergePatchType, []byte(`{"data":{"message":"by hand"}}`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p.foresees(t, spec, " 1, 4 untried")
	spec.Drift.Mode = DriftCorrect
	p.foresees(t, spec, " 1, 0 untried", "change ConfigMap web", "same ConfigMap kept", "same ConfigMap old", "same Deployment web")
	spec.Drift.Mode = DriftOff

	delete(chart, "templates/kept.yaml")
	delete(chart, "templates/old.yaml")
	chart["templates/migrate.yaml"] = strings.ReplaceAll(migration, "%s", "3")
	chart["templates/first.yaml"] = strings.ReplaceAll(strings.ReplaceAll(migration, "%s", "1"), "migrate", "first")
	chart["templates/test.yaml"] = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: test, annotations: {helm.sh/hook: test}}\n"
	next := p.spec(files(t, chart), inline("message", "two", "replicas", 0))
	next.Test.Enabled = true
	p.foresees(t, next, "upgrade 2, 0 untried", "change ConfigMap web templates/config.yaml", "same Deployment web templates/deployment.yaml",
		"keep ConfigMap kept", "delete ConfigMap old",
		"pre-upgrade: ConfigMap NS/first templates/first.yaml", "pre-upgrade: ConfigMap NS/migrate templates/migrate.yaml", "test: ConfigMap NS/test templates/test.yaml")

	got, err := p.Preview(t.Context(), next)
	if err != nil {
		t.Fatal(err)
	}
	before, after := got.Trials[0].Before.Object["data"], got.Trials[0].After.Object["data"]
	if fmt.Sprint(before) != "map[message:by hand]" || fmt.Sprint(after) != "map[message:two]" {
		t.Errorf("from %v to %v, which is not what an upgrade does", before, after)
	}
	p.must(t, next, ActionUpgrade, ActionTest)
	if m, err := p.client.CoreV1().ConfigMaps(p.namespace).Get(t.Context(), "web", metav1.GetOptions{}); err != nil || m.Data["message"] != "two" {
		t.Error(m, err)
	}
}

func TestWhatCannotBeTried(t *testing.T) {
	p := newPlace(t)
	chart := webChart()
	kind := strings.ReplaceAll(p.namespace, "-", "")
	crd := "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: " + kind + "s.preview.example.com}\n" +
		"spec: {group: preview.example.com, scope: Namespaced, names: {plural: " + kind + "s, kind: " + kind + "}, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}\n"
	chart["crds/kind.yaml"] = crd
	chart["templates/thing.yaml"] = "apiVersion: preview.example.com/v1\nkind: " + kind + "\nmetadata: {name: thing}\n"
	chart["templates/bad.yaml"] = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NOT_A_NAME}\n"
	spec := p.spec(files(t, chart), inline("message", "one"))
	got := p.seenBy(t, spec)
	want := []string{
		"install 1, 0 untried", "create CustomResourceDefinition " + kind + "s.preview.example.com crds/kind.yaml",
		`fail ConfigMap NOT_A_NAME templates/bad.yaml: ConfigMap "NOT_A_NAME" is invalid: metadata.name: Invalid value: "NOT_A_NAME"`,
		"create ConfigMap web templates/config.yaml", "create Deployment web templates/deployment.yaml",
		"fail " + kind + " thing templates/thing.yaml: " + errNewKind.Error(),
	}
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Error(cmp.Diff(want, got))
	}

	// A namespace that the run would make.
	none := p.spec(files(t, webChart()))
	none.Namespace += "-later"
	if got := p.seenBy(t, none); !strings.HasPrefix(got[1], "fail ConfigMap web templates/config.yaml: namespaces ") {
		t.Error(got)
	}
	none.CreateNamespace = true
	if got := p.seenBy(t, none); got[1] != "create ConfigMap web templates/config.yaml" {
		t.Error(got)
	}

	// What would end the run ends the preview.
	foreign := p.spec(files(t, webChart()))
	foreign.Namespaces = []string{"elsewhere"}
	if _, err := p.Preview(t.Context(), foreign); err == nil || !strings.Contains(err.Error(), "may only have objects in the namespaces") {
		t.Error(err)
	}
	endless := webChart()
	endless["templates/many.yaml"] = "{{ range until 5001 }}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: m{{ . }}}\n{{ end }}"
	if _, err := p.Preview(t.Context(), p.spec(files(t, endless))); !errors.Is(err, ErrLimit) {
		t.Error(err)
	}
}

// TestAPreviewGivesNoSecretAway: values of Secrets, those of now and those that
// the last revision had in their place, are in no message.
func TestAPreviewGivesNoSecretAway(t *testing.T) {
	p := newPlace(t)
	secret := func(value string) {
		t.Helper()
		_ = p.client.CoreV1().Secrets(p.namespace).Delete(t.Context(), "login", metav1.DeleteOptions{})
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "login"}, StringData: map[string]string{"password": value}}
		if _, err := p.client.CoreV1().Secrets(p.namespace).Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	chart := webChart()
	spec := p.spec(files(t, chart), Values{Secret: &Reference{Name: "login", Key: "password", Target: "message"}})
	secret("hunter-one")
	p.must(t, spec, ActionInstall)
	secret("hunter-two")
	got, err := p.Preview(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprint(got.Trials[0].Before.Object["data"], got.Trials[0].After.Object["data"])
	if text != "map[message:hunter-one] map[message:hunter-two]" || got.Hide(text) != "map[message:[redacted]] map[message:[redacted]]" {
		t.Errorf("%q, %q", text, got.Hide(text))
	}
	chart["templates/bad.yaml"] = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Values.message }}_'}\n"
	spec.Chart.Directory.Root = files(t, chart)
	if got, err = p.Preview(t.Context(), spec); err != nil || got.Trials[0].Err == nil || strings.Contains(got.Trials[0].Err.Error(), "hunter") {
		t.Error(err, got.Trials[0].Err)
	}
	chart["templates/bad.yaml"] = "{{ fail .Values.message }}"
	spec.Chart.Directory.Root = files(t, chart)
	if _, err = p.Preview(t.Context(), spec); err == nil || strings.Contains(err.Error(), "hunter") {
		t.Error(err)
	}
}

func TestAPreviewHasTheRightsOfWhoLooks(t *testing.T) {
	p := newPlace(t)
	spec := p.spec(files(t, webChart()), Values{Secret: &Reference{Name: "login", Key: "password", Target: "message"}})
	cfg := rest.CopyConfig(p.config)
	cfg.Impersonate = rest.ImpersonationConfig{UserName: "nobody"}
	e, err := New(cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.Preview(t.Context(), spec)
	if err == nil || !strings.Contains(err.Error(), "Secret "+p.namespace+"/login: ") || !strings.Contains(err.Error(), "forbidden") {
		t.Error(err)
	}
}
