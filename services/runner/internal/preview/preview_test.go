package preview

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/codequality"
	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/runner/internal/apply"
	"github.com/towline/towline/services/runner/internal/apply/manifests"
	"github.com/towline/towline/services/runner/internal/apply/objref"
)

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

var ref = objref.Ref{Kind: "ConfigMap", Namespace: "shop", Name: "a"}

func sample(t *testing.T) *apply.Report {
	t.Helper()
	secretRef := objref.Ref{Kind: "Secret", Namespace: "shop", Name: "s"}
	at := func(file string, line int) manifests.Origin { return manifests.Origin{File: file, Line: line} }
	const head = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, uid: x, annotations: {kubectl.kubernetes.io/last-applied-configuration: 'aHVudGVyMg=='}}\n"
	return &apply.Report{
		Faults: []manifests.Fault{{Origin: at("k8s/bad.yaml", 3), Problem: "wrong"}},
		Results: []apply.Result{
			{
				Object: ref, Origin: at("k8s/a.yaml", 1), Action: apply.Configured,
				Before: object(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, resourceVersion: '1'}\ndata: {x: '1', token: sekrit}\n"),
				After:  object(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, resourceVersion: '2'}\ndata: {x: '2', token: sekrit}\n"),
			},
			{
				Object: secretRef, Origin: at("k8s/s.yaml", 5), Action: apply.Configured,
				Before: object(t, head+"data: {same: c2FtZQ==, password: aHVudGVyMQ==, gone: Z29uZQ==}\n"),
				After:  object(t, head+"data: {same: c2FtZQ==, password: aHVudGVyMg==, fresh: ZnJlc2g=}\n"),
			},
			{
				Object: objref.Ref{Kind: "ConfigMap", Namespace: "shop", Name: "fresh"}, Origin: at("k8s/n.yaml", 1), Action: apply.Created,
				After: object(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fresh}\n"),
			},
			{Object: objref.Ref{Kind: "ConfigMap", Namespace: "shop", Name: "old"}, Action: apply.Pruned},
			{Object: objref.Ref{Kind: "ConfigMap", Namespace: "shop", Name: "u"}, Action: apply.Unchanged},
			{Object: objref.Ref{Group: "batch", Kind: "Job", Namespace: "shop", Name: "j"}, Origin: at("k8s/j.yaml", 1), Action: apply.Failed, Reason: apply.ReasonImmutable, Message: "immutable"},
			{Object: objref.Ref{Kind: "ConfigMap", Namespace: "shop", Name: "f"}, Origin: at("k8s/f.yaml", 2), Action: apply.Failed, Reason: apply.ReasonForbidden, Message: "forbidden: sekrit"},
			{Object: objref.Ref{Kind: "ConfigMap", Namespace: "shop", Name: "z"}, Action: apply.Skipped, Reason: apply.ReasonStopped},
		},
	}
}

// concealing is what a Preview does.
type concealing struct{}

func (concealing) Concealed(text string) string {
	return strings.ReplaceAll(text, "sekrit", "[redacted]")
}

const wantText = `--- ConfigMap shop/a (in the cluster)
+++ ConfigMap shop/a (k8s/a.yaml:1)
@@ -1,7 +1,7 @@
 apiVersion: v1
 data:
   token: '[redacted]'
-  x: "1"
+  x: "2"
 kind: ConfigMap
 metadata:
   name: a
--- Secret shop/s (in the cluster)
+++ Secret shop/s (k8s/s.yaml:5)
@@ -1,7 +1,7 @@
 apiVersion: v1
 data:
-  gone: '***'
-  password: '*** (before)'
+  fresh: '***'
+  password: '*** (after)'
   same: '***'
 kind: Secret
 metadata:
--- /dev/null
+++ ConfigMap shop/fresh (k8s/n.yaml:1)
@@ -0,0 +1,4 @@
+apiVersion: v1
+kind: ConfigMap
+metadata:
+  name: fresh
delete ConfigMap shop/old: it has left the repository
replace Job.batch shop/j (k8s/j.yaml:1): it cannot be changed in place
1 to create, 2 to change, 1 to replace, 1 to delete, 1 as they are
`

func TestChangesForPeople(t *testing.T) {
	c, err := Of(sample(t), concealing{}, true)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	c.Print(&out)
	if diff := cmp.Diff(wantText, out.String()); diff != "" {
		t.Error(diff)
	}
	want := []Problem{{"k8s/bad.yaml:3: wrong", "k8s/bad.yaml", 3}, {"k8s/f.yaml:2: ConfigMap shop/f failed: forbidden: [redacted]", "k8s/f.yaml", 2}}
	if diff := cmp.Diff(want, c.Problems); diff != "" {
		t.Error(diff)
	}
	if c, err := Of(sample(t), concealing{}, false); err != nil || len(c.Problems) != 3 {
		t.Errorf("%v %v", c.Problems, err)
	}
	out.Reset()
	Changes{Unchanged: 2}.Print(&out)
	if out.String() != "nothing to change, 2 as they are\n" {
		t.Error(out.String())
	}
}

func TestNoValueOfASecretIsWritten(t *testing.T) {
	c, err := Of(sample(t), concealing{}, true)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	c.Print(&out)
	report, err := c.Report(agentconfig.Manifests{})
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"c2FtZQ", "aHVudGVyM", "Z29uZQ", "ZnJlc2g", "sekrit"} {
		if strings.Contains(out.String()+string(report), secret) {
			t.Errorf("%s is written", secret)
		}
	}
}

func TestChangesForGitLab(t *testing.T) {
	c, err := Of(sample(t), concealing{}, true)
	if err != nil {
		t.Fatal(err)
	}
	text, err := c.Report(agentconfig.Manifests{Name: "shop", Globs: []string{"k8s/**/*.yaml"}})
	if err != nil {
		t.Fatal(err)
	}
	var got []codequality.Issue
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	var lines []string
	prints := map[string]bool{}
	for _, i := range got {
		prints[i.Fingerprint] = true
		lines = append(lines, i.Severity+" "+i.Location.Path+": "+i.Description)
	}
	want := []string{
		"blocker k8s/bad.yaml: k8s/bad.yaml:3: wrong",
		"blocker k8s/f.yaml: k8s/f.yaml:2: ConfigMap shop/f failed: forbidden: [redacted]",
		"minor k8s/a.yaml: ConfigMap shop/a would be changed: .data.x",
		"minor k8s/s.yaml: Secret shop/s would be changed: .data.fresh, .data.gone, .data.password",
		"info k8s/n.yaml: ConfigMap shop/fresh would be created",
		"major k8s: ConfigMap shop/old would be deleted",
		"major k8s/j.yaml: Job.batch shop/j would be deleted and made again",
	}
	if diff := cmp.Diff(want, lines); diff != "" || len(prints) != len(want) || got[0].Location.Lines.Begin != 3 {
		t.Errorf("%s%d fingerprints", diff, len(prints))
	}
	built := agentconfig.Manifests{Kustomize: "deploy/prod"}
	if got := place(built, "kustomize build deploy/prod"); got != "deploy/prod/kustomization.yaml" {
		t.Error(got)
	}
	if text, err := (Changes{}).Report(built); err != nil || string(text) != "[]" {
		t.Errorf("%s %v", text, err)
	}
}

func TestOnlySomeFieldsAreNamed(t *testing.T) {
	after := map[string]any{}
	for _, k := range strings.Fields("a b c d e f g") {
		after[k] = k
	}
	if got := strings.Join(changed(map[string]any{"a": map[string]any{}}, after), " "); got != ".a .b .c .d .e and 2 more" {
		t.Error(got)
	}
}

func TestTheTreeIsReadAsACommitWouldBe(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"k8s/a.yaml": "a", "k8s/b/b.yaml": "b", "k8s/.x/c.yaml": "c", "README.md": "r", ".git/config": "g", "k8s/a.txt": "t"} {
		at := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	entry := agentconfig.Manifests{Globs: []string{"k8s/**/*.yaml"}}
	got, err := Tree(dir, entry)
	want := []syncspec.File{{Path: "k8s/a.yaml", Content: []byte("a")}, {Path: "k8s/b/b.yaml", Content: []byte("b")}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	built, err := Tree(dir, agentconfig.Manifests{Kustomize: "k8s"})
	if err != nil || len(built) != 5 {
		t.Errorf("%d files, %v", len(built), err)
	}
	if _, err := Tree(dir, agentconfig.Manifests{Globs: []string{"none/*"}}); err == nil {
		t.Error("an empty choice is no mistake")
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "k8s", "link.yaml")); err != nil {
		t.Fatal(err)
	}
	if _, err := Tree(dir, entry); err == nil || !strings.Contains(err.Error(), "k8s/link.yaml is a symbolic link") {
		t.Error(err)
	}
	if built, err := Tree(dir, agentconfig.Manifests{Kustomize: "k8s"}); err != nil || len(built) != 5 {
		t.Errorf("%d files, %v", len(built), err)
	}
	if err := os.Remove(filepath.Join(dir, "k8s", "link.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "k8s", "large.yaml"), make([]byte, syncspec.MaxFileBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Tree(dir, entry); err == nil || !strings.Contains(err.Error(), "k8s/large.yaml has more than") {
		t.Error(err)
	}
}

func TestWhatIsConcealedStillDiffers(t *testing.T) {
	hide := func(text string) string {
		return strings.NewReplacer("one", "[redacted]", "two", "[redacted]").Replace(text)
	}
	long := strings.Repeat("a word and ", 20)
	before := map[string]any{"same": "one", "differs": "a one", "gone": "one", "list": []any{"one", "x"}, "grows": []any{"one"}, "kind": "one", "n": int64(1), "long": long + "one"}
	after := map[string]any{"same": "one", "differs": "a two", "new": "two", "list": []any{"two", "x"}, "grows": []any{"one", "two"}, "kind": map[string]any{"a": "two"}, "n": int64(2), "long": long + "one"}
	conceal(before, after, hide)
	const hidden = "[redacted]"
	want := map[string]any{"same": hidden, "differs": "a " + hidden + " (before)", "gone": hidden, "list": []any{hidden + " (before)", "x"}, "grows": []any{hidden}, "kind": hidden, "n": int64(1), "long": long + hidden}
	if diff := cmp.Diff(want, before); diff != "" {
		t.Error(diff)
	}
	want = map[string]any{"same": hidden, "differs": "a " + hidden + " (after)", "new": hidden, "list": []any{hidden + " (after)", "x"}, "grows": []any{hidden, hidden}, "kind": map[string]any{"a": hidden}, "n": int64(2), "long": long + hidden}
	if diff := cmp.Diff(want, after); diff != "" {
		t.Error(diff)
	}
	fresh := map[string]any{"a": "one"}
	conceal(map[string]any(nil), fresh, hide)
	if fresh["a"] != hidden {
		t.Error(fresh)
	}
}

func TestChangesOfARelease(t *testing.T) {
	c := Changes{
		Changes: []Change{{Object: "ConfigMap shop/old", Action: apply.Pruned}},
		Hooks:   []Note{{"Job shop/migrate would run, as hook pre-upgrade (chart/templates/m.yaml)", "chart/templates/m.yaml"}}, Release: "release shop/web: upgrade", Unchanged: 1,
	}
	var out strings.Builder
	c.Print(&out)
	want := "delete ConfigMap shop/old: it has left the chart\n" + c.Hooks[0].Text + "\n" + c.Release + "\n1 to delete, 1 as they are\n"
	if diff := cmp.Diff(want, out.String()); diff != "" || !c.Any() || (Changes{}).Any() || !(Changes{Release: "x"}).Any() {
		t.Error(diff)
	}
	for place, chart := range map[string]agentconfig.Chart{
		"chart/Chart.yaml chart/templates/m.yaml": {Path: "chart"},
		"v.yaml v.yaml": {Repository: &agentconfig.ChartRepository{}, Values: []agentconfig.ChartValues{{Inline: "a: 1"}, {File: "x.yaml", Project: "p"}, {File: "v.yaml"}}},
		". .":           {Repository: &agentconfig.ChartRepository{}},
	} {
		text, err := c.Report(agentconfig.Manifests{Chart: &chart})
		if err != nil {
			t.Fatal(err)
		}
		var got []codequality.Issue
		if err := json.Unmarshal(text, &got); err != nil || len(got) != 2 {
			t.Fatal(err, got)
		}
		if at := got[0].Location.Path + " " + got[1].Location.Path; at != place || got[0].Severity != codequality.Major || got[1].Severity != codequality.Info {
			t.Errorf("%q, want %q: %v", at, place, got)
		}
	}
}
