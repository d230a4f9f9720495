package preview

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// hidden stands for the value of a Secret.
const hidden = "***"

// lastApplied holds a copy of the object, a Secret's values included.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// noise are fields of metadata that nobody writes into a manifest.
var noise = []string{"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"}

// bare is an object as a manifest has it; nil stays nil.
func bare(u *unstructured.Unstructured) map[string]any {
	if u == nil {
		return nil
	}
	o := u.DeepCopy().Object
	delete(o, "status")
	meta, _ := o["metadata"].(map[string]any)
	for _, f := range noise {
		delete(meta, f)
	}
	if notes, ok := meta["annotations"].(map[string]any); ok {
		if delete(notes, lastApplied); len(notes) == 0 {
			delete(meta, "annotations")
		}
	}
	return o
}

// redact hides the values of a Secret in both of its versions; of those that
// differ one can see that they do.
func redact(before, after map[string]any) {
	for _, field := range []string{"data", "stringData"} {
		old, _ := before[field].(map[string]any)
		young, _ := after[field].(map[string]any)
		for key, v := range old {
			other, both := young[key]
			switch {
			case both && !reflect.DeepEqual(v, other):
				old[key], young[key] = hidden+" (before)", hidden+" (after)"
			case both:
				old[key], young[key] = hidden, hidden
			default:
				old[key] = hidden
			}
		}
		for key := range young {
			if _, both := old[key]; !both {
				young[key] = hidden
			}
		}
	}
}

// conceal takes what hide takes out of texts out of two versions of a value. What
// differs still does. It comes before the values are written, for lines that are
// broken hold no whole secret.
func conceal(before, after any, hide func(string) string) (hiddenBefore, hiddenAfter any) {
	switch b := before.(type) {
	case map[string]any:
		if a, ok := after.(map[string]any); ok && a != nil && b != nil {
			keys := maps.Clone(b)
			maps.Copy(keys, a)
			for key := range keys {
				old, had := b[key]
				young, has := a[key]
				old, young = conceal(old, young, hide)
				put(b, key, old, had)
				put(a, key, young, has)
			}
			return b, a
		}
	case []any:
		if a, ok := after.([]any); ok && len(a) == len(b) {
			for i := range b {
				b[i], a[i] = conceal(b[i], a[i], hide)
			}
			return b, a
		}
	case string:
		if a, ok := after.(string); ok {
			old, young := hide(b), hide(a)
			if a != b && old == young {
				old, young = old+" (before)", young+" (after)"
			}
			return old, young
		}
	}
	return alone(before, hide), alone(after, hide)
}

// put sets what was there.
func put(m map[string]any, key string, value any, was bool) {
	if was {
		m[key] = value
	}
}

// alone conceals a value that has no counterpart.
func alone(value any, hide func(string) string) any {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			v[key] = alone(inner, hide)
		}
	case []any:
		for i := range v {
			v[i] = alone(v[i], hide)
		}
	case string:
		return hide(v)
	}
	return value
}

// maxPaths is how many changed fields of an object are named.
const maxPaths = 5

// changed names the fields that differ, as paths.
func changed(before, after map[string]any) []string {
	var out []string
	compare("", before, after, &out)
	if extra := len(out) - maxPaths; extra > 0 {
		out = append(out[:maxPaths], fmt.Sprintf("and %d more", extra))
	}
	return out
}

func compare(at string, before, after any, out *[]string) {
	a, isMap := before.(map[string]any)
	b, bothMaps := after.(map[string]any)
	switch {
	case reflect.DeepEqual(before, after):
	case !isMap || !bothMaps:
		*out = append(*out, at)
	default:
		keys := maps.Clone(a)
		maps.Copy(keys, b)
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			compare(at+"."+k, a[k], b[k], out)
		}
	}
}
