package manifests

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func decode(text string) ([]Object, []Fault) {
	return Decode([]File{{Path: "k8s/app.yaml", Content: []byte(text)}}, Limits{})
}

func faultLines(faults []Fault) []string {
	var out []string
	for _, f := range faults {
		out = append(out, f.Error())
	}
	return out
}

func TestOrigins(t *testing.T) {
	objects, faults := decode(`# a comment
---
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
---
# only a comment
--- # and another one
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: b}
-
  apiVersion: v1
  kind: ConfigMap
  metadata: {name: c}
...
---
apiVersion: v1
kind: ConfigMap
metadata: {name: d}
`)
	if len(faults) > 0 {
		t.Fatal(faultLines(faults))
	}
	var got []string
	for _, o := range objects {
		got = append(got, fmt.Sprintf("%s %s %d", o.Body.GetName(), o.Origin, o.Origin.Index))
	}
	want := []string{"a k8s/app.yaml:3 0", "b k8s/app.yaml:12 1", "c k8s/app.yaml:16 2", "d k8s/app.yaml:21 3"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestValuesAreKubectls(t *testing.T) {
	objects, faults := decode(`{apiVersion: v1, kind: Odd, metadata: {name: odd}}
---
apiVersion: v1
kind: Odd
base: &base {a: 1, b: [x, z]}
merged: {<<: *base, a: 2}
list: [yes, "yes", on, 0644, 0x10, 1_000, 1e3, .5, ~, "", 2001-01-01, !!str 5, 12345678901234567890, 1.5.0, -1, +1]
text: |
  # not a comment
  ---x
1: one
true: two
`)
	if len(faults) > 0 {
		t.Fatal(faultLines(faults))
	}
	want := map[string]any{
		"apiVersion": "v1", "kind": "Odd", "1": "one", "true": "two",
		"base":   map[string]any{"a": int64(1), "b": []any{"x", "z"}},
		"merged": map[string]any{"a": int64(2), "b": []any{"x", "z"}},
		"list":   []any{true, "yes", true, int64(420), int64(16), int64(1000), int64(1000), .5, nil, "", "2001-01-01", "5", 12345678901234567890.0, "1.5.0", int64(-1), int64(1)},
		"text":   "# not a comment\n---x\n",
	}
	if diff := cmp.Diff(want, objects[1].Body.Object); diff != "" {
		t.Error(diff)
	}
}

func TestFaults(t *testing.T) {
	const good = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: good}\n---\n"
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 9; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s*a%d]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), i-1)
	}
	merges := "a0: &a0 {x: 1}\n"
	for i := 1; i < 30; i++ {
		merges += fmt.Sprintf("a%d: &a%d {<<: [*a%d, *a%d], k%d: 1}\n", i, i, i-1, i-1, i)
	}
	for name, c := range map[string]struct{ text, want string }{
		"syntax":      {"a: [\n", "k8s/app.yaml:6: not valid YAML: did not find expected node content"},
		"twice":       {"a: 1\nb: 2\na: 3\n", `k8s/app.yaml:7: "a" is given twice; it is in line 5, too; keep one`},
		"no mapping":  {"just words\n", "k8s/app.yaml:5: not a Kubernetes object"},
		"bomb":        {bomb, "over 500000 values once its aliases are written out; use fewer aliases (*name)"},
		"merge bomb":  {merges, "over 500000 values once its aliases are written out"},
		"self":        {"a: &a [*a]\n", "nested deeper than 100 levels"},
		"deep":        {"a: " + strings.Repeat("[", 200) + strings.Repeat("]", 200), "nested deeper than 100 levels"},
		"wide":        {"a: [" + strings.Repeat("1,", 600_000) + "]", "k8s/app.yaml:4: a document of over 500000 values; split it into several objects"},
		"item":        {"kind: List\nitems:\n- 1\n", "k8s/app.yaml:7: items[0] is not an object"},
		"not UTF-8":   {"a: \xff\n", "k8s/app.yaml:5: not UTF-8 text"},
		"strange tag": {"a: !!python/object x\n", "k8s/app.yaml:5: the tag !!python/object means nothing in a manifest"},
		"infinite":    {"a: .inf\n", "k8s/app.yaml:5: .inf cannot be sent to Kubernetes; put it in quotes if it is a text"},
		"mapping key": {"? [a]\n: 1\n", "k8s/app.yaml:5: a key that is not a word"},
	} {
		t.Run(name, func(t *testing.T) {
			objects, faults := decode(good + c.text + "\n---\n" + strings.Replace(good, "good", "after", 1))
			if len(faults) != 1 || !strings.Contains(faults[0].Error(), c.want) {
				t.Fatalf("faults: %q, want %q", faultLines(faults), c.want)
			}
			if name != "not UTF-8" && len(objects) != 2 {
				t.Errorf("%d objects besides the faulty one, want 2", len(objects))
			}
		})
	}
}

func TestLimitsOfTheSet(t *testing.T) {
	object := []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n")
	files := []File{{Path: "a.yaml", Content: object}, {Path: "b.yaml", Content: object}, {Path: "c.yaml", Content: object}}
	for _, c := range []struct {
		limits  Limits
		objects int
		want    string
	}{
		{Limits{Files: 2}, 0, "3 files are more than 2; narrow the globs, or make several entries of them"},
		{Limits{TotalBytes: len(object) * 2}, 2, "c.yaml:1: the manifests are over 110 bytes in all; narrow the globs, or make several entries of them"},
		{Limits{FileBytes: 20}, 0, "a.yaml:1: 55 bytes are over the limit of 20 bytes for one file; split the file"},
		{Limits{Objects: 2}, 2, "c.yaml:1: more than 2 objects; make several entries of them"},
		{Limits{TotalValues: 10}, 2, "c.yaml:1: the manifests hold over 10 values in all, aliases written out; make several entries of them"},
	} {
		objects, faults := Decode(files, c.limits)
		if len(objects) != c.objects || len(faults) == 0 || faults[0].Error() != c.want {
			t.Errorf("%+v: %d objects, %q; want %d, %q", c.limits, len(objects), faultLines(faults), c.objects, c.want)
		}
	}
}

func TestFaultsAreBounded(t *testing.T) {
	_, faults := decode(strings.Repeat("a: [\n---\n", 1000))
	if len(faults) != MaxFaults+1 || !strings.Contains(faults[MaxFaults].Error(), "more than 100 faults") {
		t.Errorf("%d faults, the last: %v", len(faults), faults[len(faults)-1])
	}
}
