package fields

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/services/runner/internal/apply/objref"
)

func object(t *testing.T, text string) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func paths(t *testing.T, pointers ...string) []Path {
	t.Helper()
	rules, err := Compile([]Rule{{Paths: pointers}})
	if err != nil {
		t.Fatal(err)
	}
	return PathsFor(rules, objref.Ref{Kind: "Any"})
}

func TestStripAndKeep(t *testing.T) {
	const desired = `{"spec":{"replicas":5,"c":[{"name":"a","image":"a:1"},{"name":"b","image":"b:1"}],"x":1},"metadata":{"labels":{"a/b":"c"}}}`
	const live = `{"spec":{"replicas":2,"c":[{"name":"b","image":"b:9"},{"name":"a","image":"a:9"}]}}`
	p := paths(t, "/spec/replicas", "/spec/c/*/image", "/spec/x", "/metadata/labels/a~1b", "/spec/none/at/all")
	got := object(t, desired)
	Strip(got, p)
	if diff := cmp.Diff(object(t, `{"spec":{"c":[{"name":"a"},{"name":"b"}]},"metadata":{"labels":{}}}`), got); diff != "" {
		t.Errorf("strip: %s", diff)
	}
	got = object(t, desired)
	Keep(got, object(t, live), p)
	if diff := cmp.Diff(object(t, `{"spec":{"replicas":2,"c":[{"name":"a","image":"a:9"},{"name":"b","image":"b:9"}]},"metadata":{"labels":{}}}`), got); diff != "" {
		t.Errorf("keep: %s", diff)
	}
}

func TestRulesChooseObjects(t *testing.T) {
	rules, err := Compile([]Rule{
		{Group: "apps", Kind: "Deployment", Namespace: "team-*", Paths: []string{"/spec/replicas"}},
		{Name: "web", Paths: []string{"/spec/a"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[objref.Ref]int{
		{Group: "apps", Kind: "Deployment", Namespace: "team-a", Name: "web"}:  2,
		{Group: "apps", Kind: "Deployment", Namespace: "team-a", Name: "api"}:  1,
		{Group: "apps", Kind: "StatefulSet", Namespace: "team-a", Name: "api"}: 0,
		{Group: "apps", Kind: "Deployment", Namespace: "other", Name: "api"}:   0,
	} {
		if got := len(PathsFor(rules, ref)); got != want {
			t.Errorf("%s: %d paths, want %d", ref, got, want)
		}
	}
}

func TestRulesAreChecked(t *testing.T) {
	for want, r := range map[string]Rule{
		"is not a JSON pointer":        {Paths: []string{"spec.replicas"}},
		"says which object it is":      {Paths: []string{"/kind"}},
		"single labels and annotation": {Paths: []string{"/metadata/labels"}},
		"no paths":                     {Kind: "Deployment"},
		"is not a pattern":             {Name: "[", Paths: []string{"/spec"}},
	} {
		if _, err := Compile([]Rule{r}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", r, err, want)
		}
	}
}
