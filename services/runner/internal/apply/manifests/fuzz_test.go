package manifests

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

// FuzzDecode holds the decoder to its limits, and to kubectl's reading: what it
// accepts as one document means the same to sigs.k8s.io/yaml.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: \"yes\", b: |\n  text\n}\n",
		"a: &x {b: 1}\nc: {<<: *x, d: 0x1f}\n", "kind: List\nitems: [{kind: A}, {kind: B}]\n---\na: b\n...\n",
		"a: yes\nb: 0644\nc: 1_0\nd: .5e1\ne: ~\nf: !!float 1\ng: 2001-01-01\nh: 0b11\ni: -0b1\nj: 0o7\n", "{\"a\": [1, 2.5, null, true]}", "a: - b", "%YAML 1.1\n---\na: b",
		"\ufeffa: 1", "a: 1\r\nb: 2\r\n", "? a\n: b\n", "a: !!binary aGk=\n", "a: &a [*a]", "--- {a: 1}\n--- x\n", "a: !x 1", "y: n\n1.5: x\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		limits := Limits{Values: 2000, TotalValues: 4000, FileBytes: 1 << 16}
		objects, faults := Decode([]File{{Path: "f.yaml", Content: text}}, limits)
		for _, x := range faults {
			if x.Origin.Line < 1 || x.Problem == "" {
				t.Errorf("fault without a place or a problem: %+v", x)
			}
		}
		for _, o := range objects {
			encoded, err := json.Marshal(o.Body.Object)
			if err != nil {
				t.Fatalf("not JSON: %v", err)
			}
			if len(encoded) > 4000*(len(text)+100) {
				t.Fatalf("%d bytes became %d", len(text), len(encoded))
			}
			if o.Origin.Line < 1 {
				t.Errorf("an object in line %d", o.Origin.Line)
			}
		}
		if len(objects) != 1 || len(faults) > 0 || len(split(text)) != 1 || fromList(objects[0], text) {
			return
		}
		if bytes.ContainsRune(text, '!') {
			return // the parser forgets a lone !, which makes a text of a number
		}
		var want map[string]any
		converted, err := yaml.YAMLToJSON(text)
		if err != nil || utiljson.Unmarshal(converted, &want) != nil {
			return // two readers may refuse different things
		}
		if diff := cmp.Diff(want, objects[0].Body.Object); diff != "" {
			t.Errorf("kubectl reads %q otherwise:\n%s", text, diff)
		}
	})
}

// fromList says whether an object may have come out of a list.
func fromList(x Object, text []byte) bool {
	return x.Origin.Index > 0 || bytes.Contains(text, []byte("List"))
}
