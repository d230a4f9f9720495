package strictyaml

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sample has every form and every limit once.
var sample = &Schema{
	Form: Object,
	Keys: map[string]*Schema{
		"name":   {Form: Text, NonEmpty: true},
		"colour": {Form: Text, Values: []string{"red", "green"}},
		"even": {Form: Text, Check: func(v string) (string, string) {
			if len(v)%2 == 0 {
				return "", ""
			}
			return "has an odd length", "add a letter"
		}, Want: "an even text", Remedy: "put an even text in quotes"},
		"on":    {Form: Boolean},
		"count": {Form: Number},
		"raw":   {Form: Scalar},
		"free":  {Form: Anything, Notice: "is free"},
		"names": {Form: List, Elem: &Schema{Form: Text}, Unique: ".", Most: 3, NonEmpty: true},
		"by_name": {
			Form: Map, Elem: &Schema{Form: Text}, Most: 2, NonEmpty: true, Remedy: "write name: value",
			Check: func(name string) (string, string) {
				if name == "bad" {
					return "not a good name", "choose another"
				}
				return "", ""
			},
		},
		"items": {Form: List, First: 2, Unique: "id", Twice: "keep one", Elem: &Schema{
			Form: Object, Required: []string{"id"}, Keys: map[string]*Schema{"id": {Form: Text}},
		}},
		"either": {Form: Object, OneOf: true, Keys: map[string]*Schema{"a": {Form: Object}, "b": {Form: Text}}},
		"old":    {Form: Object, Gone: map[string]string{"older": "it is gone"}, Keys: map[string]*Schema{"newer": {Form: Text}}},
	},
}

func read(in string) (*Value, []Notice, error) {
	return Parse("f.yaml", []byte(in), sample, Options{SecondDocument: "the rest is not read", SecondKey: "others take the last"})
}

func TestValues(t *testing.T) {
	v, notices, err := read(`name: m
on: yes
count: "12"
raw: 1.5
free: {a: [b]}
names: [x, z]
by_name: {k2: v2, k1: v1}
items:
  - id: one
  - {id: two}
either: {a: {}}
`)
	if err != nil {
		t.Fatal(err)
	}
	if len(notices) != 1 || notices[0].String() != "f.yaml:5:1: free: is free" {
		t.Errorf("notices %v", notices)
	}
	var pairs []string
	for _, p := range v.Get("by_name").Pairs() {
		pairs = append(pairs, p.Name+"="+p.Value.Text())
	}
	got := map[string]any{
		"name": v.Get("name").Text(), "on": v.Get("on").Bool(), "count": v.Get("count").Int(), "raw": v.Get("raw").Text(),
		"names": v.Get("names").Texts(), "by_name": pairs, "path": v.Get("items").Items()[1].Get("id").Path(),
		"either": v.Get("either").Get("a") != nil, "other": v.Get("either").Get("b") != nil,
		"absent": v.Get("old").Get("newer").Text() + v.Get("colour").Path(),
	}
	want := map[string]any{
		"name": "m", "on": true, "count": int64(12), "raw": "1.5", "names": []string{"x", "z"}, "by_name": []string{"k2=v2", "k1=v1"},
		"path": "items[1].id", "either": true, "other": false, "absent": "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	id := v.Get("items").Items()[0].Get("id")
	line, column := id.Place()
	keyLine, keyColumn := id.KeyPlace()
	if diff := cmp.Diff([]int{9, 9, 9, 5}, []int{line, column, keyLine, keyColumn}); diff != "" {
		t.Error(diff)
	}
	if got := id.Fault("is wrong", "change it").Error(); got != "f.yaml:9:9: items[0].id: is wrong; change it" {
		t.Error(got)
	}
	if got := id.Notice("is odd").String(); got != "f.yaml:9:5: items[0].id: is odd" {
		t.Error(got)
	}
}

func TestANilValueIsEmpty(t *testing.T) {
	v, _, err := read("# nothing\n")
	if v != nil || err != nil {
		t.Fatal(v, err)
	}
	line, column := v.Get("a").KeyPlace()
	if v.Path() != "" || v.Text() != "" || v.Bool() || v.Int() != 0 || v.Texts() != nil || v.Items() != nil || v.Pairs() != nil || line != 0 || column != 0 {
		t.Error("a nil value holds something")
	}
}

func TestFaults(t *testing.T) {
	for name, tt := range map[string]struct{ in, want string }{
		"unknown, near":   {"naem: x", `f.yaml:1:1: naem: unknown key; did you mean "name"?`},
		"gone":            {"old: {older: 1}", `f.yaml:1:7: old.older: unknown key; it is gone`},
		"empty":           {`name: ""`, `f.yaml:1:7: name: is empty; give it a value or remove the key`},
		"number for text": {"name: 1", `f.yaml:1:7: name: want a text, got a number; put it in quotes`},
		"date for text":   {"name: 2026-01-01", `f.yaml:1:7: name: want a text, got a date; put it in quotes`},
		"object for text": {"name: {a: b}", `f.yaml:1:7: name: want a text, got keys with values`},
		"own words":       {"even: 12", `f.yaml:1:7: even: want an even text, got a number; put an even text in quotes`},
		"check":           {"even: abc", `f.yaml:1:7: even: has an odd length; add a letter`},
		"enum":            {"colour: blue", `f.yaml:1:9: colour: unknown value "blue"; use one of "red", "green"`},
		"boolean":         {`on: "true"`, `f.yaml:1:5: on: want true or false, got a text; write true or false without quotes`},
		"not whole":       {"count: 1.5", `f.yaml:1:8: count: want a whole number, got a number`},
		"empty list":      {"names: []", `f.yaml:1:8: names: is an empty list; name at least one item`},
		"long list":       {"names: [a, b, c, d]", `f.yaml:1:8: names: has 4 items; at most 3 are allowed`},
		"same item":       {"names: [a,\n  A]", `f.yaml:2:3: names[1]: "A" is listed twice; the first one is in line 1`},
		"same name":       {"items: [{id: a}, {id: a}]", `f.yaml:1:23: items[1].id: "a" is listed twice; the first one is in line 1; keep one`},
		"null item":       {"names: [~]", `f.yaml:1:9: names[0]: is empty; remove the dash or give the item a value`},
		"missing":         {"items: [{}]", `f.yaml:1:9: items[0].id: is missing; every entry here needs it`},
		"misspelt":        {"items: [{di: a}]", `f.yaml:1:10: items[0].di: unknown key; did you mean "id"?`},
		"neither":         {"either: {}", `f.yaml:1:9: either: has 0 keys, want exactly one; choose one of "a", "b"`},
		"null choice":     {"either: {a: }", `f.yaml:1:10: either.a: has no value; write a: {}`},
		"map of texts":    {"by_name: [a]", `f.yaml:1:10: by_name: want keys with values, got a list; write name: value`},
		"empty map":       {"by_name: {}", `f.yaml:1:10: by_name: has no keys; give it at least one or remove it`},
		"large map":       {"by_name: {a: a, b: b, c: c}", `f.yaml:1:10: by_name: has 3 keys; at most 2 are allowed`},
		"map key":         {"by_name: {bad: a}", `f.yaml:1:11: by_name.bad: not a good name; choose another`},
		"null in map":     {"by_name: {a: }", `f.yaml:1:11: by_name.a: has no value; give it one or remove the key`},
		"key twice":       {"name: a\nname: b", `f.yaml:2:1: name: given twice; the first one is in line 1; keep one; others take the last`},
		"two documents":   {"name: a\n---\nname: b", `f.yaml:2:1: a second YAML document; keep one document; the rest is not read`},
		"not UTF-8":       {"name: \xff", `f.yaml:1:7: not UTF-8 text; save the file as UTF-8`},
		"syntax":          {"name: [", `f.yaml:1:1: not valid YAML: did not find expected node content`},
		"too large":       {"# " + strings.Repeat("x", DefaultMaxBytes), `f.yaml:1:1: 131074 bytes are over the limit of 131072 bytes`},
	} {
		t.Run(name, func(t *testing.T) {
			v, _, err := read(tt.in)
			if v != nil || err == nil {
				t.Fatal("accepted")
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFirstItemsAreNoticed(t *testing.T) {
	_, notices, err := read("items:\n- id: a\n- id: b\n- id: c\n")
	if err != nil || len(notices) != 1 || notices[0].Line != 4 {
		t.Errorf("%v, %v", notices, err)
	}
}

func TestFaultsAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "zzzzzzzzzz%d: 1\n", i)
	}
	_, _, err := read(b.String())
	var faults Faults
	if !errors.As(err, &faults) || len(faults) != MaxFaults {
		t.Fatalf("%d faults", len(faults))
	}
	if got := faults[MaxFaults-1].Error(); !strings.Contains(got, "901 more faults") {
		t.Error(got)
	}
}

func TestClosest(t *testing.T) {
	names := []string{"projects", "groups", "instance"}
	for word, want := range map[string]string{
		"project": "projects", "Groups": "groups", "gruops": "groups", "instnace": "instance", "bogus": "", "": "",
	} {
		if got := Closest(word, names); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "null", "- a", "name: n\nitems: [{id: a}]\n", "free: &c\n  <<: [*c]\n", "free: &a [*a]\n", "? [x]\n: y\n", "by_name: {a: &x b, c: *x}",
		"count: 1e3", "\xff", "names: [a, b, c, d]", "either: {a: {}, b: c}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		v, notices, err := read(string(in))
		if len(notices) > MaxNotices {
			t.Fatalf("%d notices", len(notices))
		}
		if err == nil {
			walk(v)
			return
		}
		var faults Faults
		if v != nil || !errors.As(err, &faults) || len(faults) == 0 || len(faults) > MaxFaults {
			t.Fatalf("%v, %T: %v", v, err, err)
		}
		for _, x := range faults {
			if x.Line < 1 || x.Column < 1 || x.Problem == "" {
				t.Fatalf("fault without a place: %+v", x)
			}
		}
	})
}

func walk(v *Value) {
	if v == nil {
		return
	}
	_, _, _, _, _ = v.Text(), v.Bool(), v.Texts(), v.Path(), v.Notice("x")
	for _, p := range v.Pairs() {
		walk(p.Value)
	}
	for _, e := range v.Items() {
		walk(e)
	}
}
