package fields

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/towline/towline/services/runner/internal/apply/objref"
)

// Path is a parsed JSON pointer; * stands for every element of a list.
type Path []string

// Rule leaves fields of objects to others, for example the replicas of what an
// autoscaler scales: they are applied when an object is made, and then no more.
type Rule struct {
	// Group, Kind, Namespace and Name choose the objects. Empty is any, and
	// Namespace and Name may be patterns as in path.Match.
	Group, Kind, Namespace, Name string
	// Paths are JSON pointers (/spec/replicas); * is every element of a list.
	Paths []string
}

// CompiledRule is a checked rule.
type CompiledRule struct {
	rule  Rule
	paths []Path
}

// Compile checks rules.
func Compile(rules []Rule) ([]CompiledRule, error) {
	var out []CompiledRule
	for _, r := range rules {
		c := CompiledRule{rule: r}
		for _, pattern := range []string{r.Namespace, r.Name} {
			if _, err := path.Match(pattern, ""); err != nil {
				return nil, fmt.Errorf("ignore rule: %q is not a pattern", pattern)
			}
		}
		if len(r.Paths) == 0 {
			return nil, fmt.Errorf("ignore rule for %s: no paths; name fields like /spec/replicas", objref.Ref{Group: r.Group, Kind: r.Kind, Name: r.Name})
		}
		for _, text := range r.Paths {
			p, err := parsePointer(text)
			if err != nil {
				return nil, err
			}
			c.paths = append(c.paths, p)
		}
		out = append(out, c)
	}
	return out, nil
}

func parsePointer(text string) (Path, error) {
	parts := strings.Split(text, "/")
	if len(parts) < 2 || parts[0] != "" || text == "/" {
		return nil, fmt.Errorf("ignore rule: %q is not a JSON pointer like /spec/replicas", text)
	}
	p := Path(parts[1:])
	for i := range p {
		p[i] = strings.ReplaceAll(strings.ReplaceAll(p[i], "~1", "/"), "~0", "~")
	}
	switch p[0] {
	case "apiVersion", "kind":
		return nil, fmt.Errorf("ignore rule: %s says which object it is", text)
	case "metadata":
		if len(p) < 3 || p[1] != "labels" && p[1] != "annotations" {
			return nil, fmt.Errorf("ignore rule: of metadata only single labels and annotations can be left to others, not %s", text)
		}
	}
	return p, nil
}

// PathsFor returns what the rules leave to others of one object.
func PathsFor(rules []CompiledRule, r objref.Ref) []Path {
	var out []Path
	for _, c := range rules {
		if is(c.rule.Kind, r.Kind) && is(c.rule.Group, r.Group) && like(c.rule.Namespace, r.Namespace) && like(c.rule.Name, r.Name) {
			out = append(out, c.paths...)
		}
	}
	return out
}

func is(wanted, got string) bool { return wanted == "" || wanted == got }

func like(pattern, got string) bool {
	ok, err := path.Match(pattern, got)
	return pattern == "" || err == nil && ok
}

// covers says whether a managed field lies at or below the path. List elements
// are named by keys there, so every element counts.
func (p Path) covers(f fieldpath.Path) bool {
	if len(f) < len(p) {
		return false
	}
	for i, part := range p {
		if name := f[i].FieldName; name != nil && *name != part {
			return false
		}
	}
	return true
}

// Strip removes the paths from an object, in place.
func Strip(object map[string]any, paths []Path) {
	for _, p := range paths {
		strip(object, p)
	}
}

func strip(at any, p Path) {
	switch v := at.(type) {
	case map[string]any:
		if len(p) == 1 {
			delete(v, p[0])
			return
		}
		strip(v[p[0]], p[1:])
	case []any:
		if len(p) == 1 {
			return // an element as a whole stays: the list would shift
		}
		for i, e := range v {
			if p[0] == "*" || p[0] == strconv.Itoa(i) {
				strip(e, p[1:])
			}
		}
	}
}

// Keep gives the paths of an object the values they have in live, in place, and
// removes those that live does not have.
func Keep(object, live map[string]any, paths []Path) {
	for _, p := range paths {
		keep(object, live, p)
	}
}

func keep(at, live any, p Path) {
	switch v := at.(type) {
	case map[string]any:
		l, _ := live.(map[string]any)
		if len(p) > 1 {
			keep(v[p[0]], l[p[0]], p[1:])
			return
		}
		if value, there := l[p[0]]; there {
			v[p[0]] = value
		} else {
			delete(v, p[0])
		}
	case []any:
		l, _ := live.([]any)
		if len(p) == 1 {
			return
		}
		for i, e := range v {
			if p[0] == "*" || p[0] == strconv.Itoa(i) {
				keep(e, counterpart(e, l, i), p[1:])
			}
		}
	}
}

// counterpart finds an element of a list in another one: by name, else by place.
func counterpart(e any, in []any, i int) any {
	m, _ := e.(map[string]any)
	name, named := m["name"].(string)
	for _, other := range in {
		if o, ok := other.(map[string]any); named && ok && o["name"] == name {
			return other
		}
	}
	if !named && i < len(in) {
		return in[i]
	}
	return nil
}
