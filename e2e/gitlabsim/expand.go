package gitlabsim

import (
	"fmt"
	"regexp"
	"strings"
)

// reference matches $NAME, ${NAME}, %NAME% and the escapes that stay as they
// are.
var reference = regexp.MustCompile(`\$\$|%%|\$([a-zA-Z_][a-zA-Z0-9_]*)|\$\{([a-zA-Z_][a-zA-Z0-9_]*)\}|%([a-zA-Z_][a-zA-Z0-9_]*)%`)

func referenced(m []string) string {
	for _, name := range m[1:] {
		if name != "" {
			return name
		}
	}
	return ""
}

// expandAll sorts the list topologically by references and expands each value
// against what precedes it, keeping what is undefined and skipping references
// to file and raw variables (6.3). A cycle is an error.
func expandAll(list []item) ([]item, error) {
	sorted, err := sortByReference(list)
	if err != nil {
		return nil, err
	}
	out := make([]item, 0, len(sorted))
	latest := map[string]item{}
	for _, v := range sorted {
		if !v.raw {
			v.value = expandValue(v.value, func(name string) (item, bool) { d, ok := latest[name]; return d, ok })
		}
		out = append(out, v)
		latest[v.key] = v
	}
	return out, nil
}

func expandValue(value string, lookup func(string) (item, bool)) string {
	return reference.ReplaceAllStringFunc(value, func(match string) string {
		name := referenced(reference.FindStringSubmatch(match))
		d, ok := lookup(name)
		if name == "" || !ok || d.file || d.raw {
			return match
		}
		return d.value
	})
}

// sorter is a depth-first topological sort; a reference leads to the last
// definition of its key.
type sorter struct {
	list  []item
	last  map[string]int
	state []int // 0 new, 1 on the path, 2 done
	out   []item
}

func sortByReference(list []item) ([]item, error) {
	s := &sorter{list: list, last: map[string]int{}, state: make([]int, len(list))}
	for i, v := range list {
		s.last[v.key] = i
	}
	for i := range list {
		if err := s.visit(i, nil); err != nil {
			return nil, err
		}
	}
	return s.out, nil
}

func (s *sorter) visit(i int, path []string) error {
	if s.state[i] == 2 {
		return nil
	}
	if s.state[i] == 1 {
		return fmt.Errorf("circular variable reference detected: %s", strings.Join(path, ", "))
	}
	s.state[i] = 1
	v := s.list[i]
	if !v.raw {
		for _, m := range reference.FindAllStringSubmatch(v.value, -1) {
			if dep, ok := s.last[referenced(m)]; ok && dep != i {
				if err := s.visit(dep, append(path, v.key)); err != nil {
					return err
				}
			}
		}
	}
	s.state[i] = 2
	s.out = append(s.out, v)
	return nil
}
