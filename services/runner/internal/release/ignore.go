package release

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// compiledIgnore is a checked rule.
type compiledIgnore struct {
	Ignore
	paths [][]string
}

// compileIgnores checks rules.
func compileIgnores(rules []Ignore) ([]compiledIgnore, error) {
	var out []compiledIgnore
	for i, rule := range rules {
		for _, pattern := range []string{rule.Namespace, rule.Name} {
			if _, err := path.Match(pattern, ""); err != nil {
				return nil, fmt.Errorf("drift.ignore[%d]: %q is not a pattern", i, pattern)
			}
		}
		if len(rule.Paths) == 0 {
			return nil, fmt.Errorf("drift.ignore[%d]: paths are missing; name fields like /spec/replicas", i)
		}
		c := compiledIgnore{Ignore: rule}
		for _, text := range rule.Paths {
			parts := strings.Split(text, "/")
			if len(parts) < 2 || parts[0] != "" || parts[1] == "" {
				return nil, fmt.Errorf("drift.ignore[%d]: %q is not a JSON pointer like /spec/replicas", i, text)
			}
			for j := range parts {
				parts[j] = strings.ReplaceAll(strings.ReplaceAll(parts[j], "~1", "/"), "~0", "~")
			}
			c.paths = append(c.paths, parts[1:])
		}
		out = append(out, c)
	}
	return out, nil
}

func (c compiledIgnore) matches(u *unstructured.Unstructured, namespace string) bool {
	gvk := u.GroupVersionKind()
	return (c.Group == "" || c.Group == gvk.Group) && (c.Kind == "" || c.Kind == gvk.Kind) &&
		like(c.Namespace, namespace) && like(c.Name, u.GetName())
}

func like(pattern, text string) bool {
	ok, err := path.Match(pattern, text)
	return pattern == "" || err == nil && ok
}

// keepIgnored is wanted with the live values in place of ignored fields, so that
// nothing is done about them. Taking the fields out instead would take them out
// of lists that are replaced as a whole.
func keepIgnored(rules []compiledIgnore, wanted, live *unstructured.Unstructured) *unstructured.Unstructured {
	copied := false
	for _, rule := range rules {
		if !rule.matches(wanted, live.GetNamespace()) {
			continue
		}
		if !copied {
			wanted, copied = wanted.DeepCopy(), true
		}
		for _, p := range rule.paths {
			keep(wanted.Object, live.Object, p)
		}
	}
	return wanted
}

// keep copies the value at a path. Where only one side has the way to it, the
// difference is above the path and not ignored.
func keep(wanted, live any, p []string) {
	switch w := wanted.(type) {
	case map[string]any:
		if l, ok := live.(map[string]any); ok {
			keepInMap(w, l, p)
		}
	case []any:
		if l, ok := live.([]any); ok {
			keepInList(w, l, p)
		}
	}
}

func keepInMap(wanted, live map[string]any, p []string) {
	value, has := live[p[0]]
	switch {
	case len(p) > 1:
		keep(wanted[p[0]], value, p[1:])
	case has:
		wanted[p[0]] = runtime.DeepCopyJSONValue(value)
	default:
		delete(wanted, p[0])
	}
}

func keepInList(wanted, live []any, p []string) {
	for i := range min(len(wanted), len(live)) {
		switch {
		case p[0] != "*" && p[0] != strconv.Itoa(i):
		case len(p) > 1:
			keep(wanted[i], live[i], p[1:])
		default:
			wanted[i] = runtime.DeepCopyJSONValue(live[i])
		}
	}
}
