package skaffold

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const head = "apiVersion: skaffold/v4beta13\nkind: Config\n"

func read(t *testing.T) *Config {
	t.Helper()
	c, err := Read("../..")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestUnknownKeysAreRefused(t *testing.T) {
	for _, text := range []string{"biuld: {}\n", "build: {artefacts: []}\n", "deploy: {helm: {releases: [{chartpath: x}]}}\n", "profiles: [{patches: [{from: /x}]}]\n"} {
		if _, err := parse([]byte(head + text)); err == nil || !strings.Contains(err.Error(), "not found in type") {
			t.Errorf("%q: err = %v", text, err)
		}
	}
}

func TestWhatCannotWorkIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"apiVersion: skaffold/v2\nkind: Config\n": "want a Config of skaffold/v4beta13",
		head + "manifests: {rawYaml: [x]}\n":      "have both or none",
		head + "deploy: {kubectl: {}}\n":          "have both or none",
	} {
		if _, err := parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: err = %v, want %q", text, err, want)
		}
	}
}

func TestPatches(t *testing.T) {
	tests := map[string]struct{ op, path, want string }{
		"a missing parent":   {"add", "/test/x/y", "missing path"},
		"nothing to remove":  {"remove", "/deploy/kubectl", "nonexistent key"},
		"nothing to replace": {"replace", "/deploy/helm/releases/0/setValues/nothing", "nonexistent key"},
		"an unknown key":     {"add", "/deploy/helmet", "not found in type"},
		"an escape":          {"add", "/deploy/a~1b", "mean something else"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := read(t)
			c.Profiles = []Profile{{Name: "x", Patches: []Patch{{Op: test.op, Path: test.path, Value: map[string]any{}}}}}
			if _, err := c.With("x"); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("err = %v, want %q", err, test.want)
			}
		})
	}
	if _, err := read(t).With("nothing"); err == nil || !strings.Contains(err.Error(), "no profile nothing") {
		t.Errorf("err = %v", err)
	}
}

// Skaffold tries each patch of a profile on the file as it is, so none may need
// what another one makes.
func TestPatchesStandAlone(t *testing.T) {
	c := read(t)
	c.Profiles = []Profile{{Name: "x", Patches: []Patch{
		{Op: "add", Path: "/manifests", Value: map[string]any{}}, {Op: "add", Path: "/manifests/rawYaml", Value: []string{"x"}},
	}}}
	if _, err := c.With("x"); err == nil || !strings.Contains(err.Error(), "/manifests/rawYaml") {
		t.Errorf("err = %v", err)
	}
}

func TestValues(t *testing.T) {
	r := Release{
		SetValues:         map[string]any{"a.b": 1.0, "a.c": false, "d": "30s"},
		SetValueTemplates: map[string]string{"image": "{{.IMAGE_FULLY_QUALIFIED_some_image}}", "url": "{{.URL}}"},
	}
	got, err := r.Values(map[string]string{"URL": "https://gitlab.example.com"}, map[string]string{"some/image": "r/some/image:v1"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"a": map[string]any{"b": int64(1), "c": false}, "d": "30s", "image": "r/some/image:v1", "url": "https://gitlab.example.com",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := r.Values(nil, map[string]string{"some/image": "x"}); err == nil || !strings.Contains(err.Error(), "URL") {
		t.Errorf("a variable that nobody has set: err = %v", err)
	}
}

func TestObjects(t *testing.T) {
	root := t.TempDir()
	content := "kind: A\nspec: {containers: [{image: some/image}, {image: other}]}\n---\n# nothing\n---\nkind: B\n"
	if err := os.WriteFile(root+"/objects.yaml", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Config{Manifests: &Manifests{RawYAML: []string{"objects.yaml"}}}
	objects, err := c.Objects(root, map[string]string{"some/image": "r/some/image:v1"})
	if err != nil {
		t.Fatal(err)
	}
	var got []any
	for _, o := range objects {
		got = append(got, o.Object)
	}
	want := []any{
		map[string]any{"kind": "A", "spec": map[string]any{"containers": []any{map[string]any{"image": "r/some/image:v1"}, map[string]any{"image": "other"}}}},
		map[string]any{"kind": "B"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
