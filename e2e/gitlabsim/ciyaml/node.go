package ciyaml

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// pair is one key of a mapping in file order.
type pair struct {
	key  string
	node *yaml.Node
}

func deref(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// pairs lists a mapping in file order with merge keys applied: a key written
// in the mapping beats a merged one, whatever their order.
func pairs(where string, n *yaml.Node) ([]pair, error) {
	n = deref(n)
	if n.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s: should be a hash", where)
	}
	var own, merged []pair
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], deref(n.Content[i+1])
		if k.Tag == "!!merge" {
			more, err := mergePairs(where, v)
			if err != nil {
				return nil, err
			}
			merged = append(merged, more...)
			continue
		}
		own = append(own, pair{k.Value, v})
	}
	out := own
	for _, m := range merged {
		if !slices.ContainsFunc(out, func(p pair) bool { return p.key == m.key }) {
			out = append(out, m)
		}
	}
	return out, nil
}

func mergePairs(where string, v *yaml.Node) ([]pair, error) {
	if v.Kind != yaml.SequenceNode {
		return pairs(where, v)
	}
	var out []pair
	for _, item := range v.Content {
		more, err := pairs(where, item)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

// section maps the allowed keys of a mapping to functions; any other key is an
// error that names it.
type section map[string]func(where string, n *yaml.Node) error

func (s section) read(where string, n *yaml.Node) error {
	ps, err := pairs(where, n)
	if err != nil {
		return err
	}
	for _, p := range ps {
		f, ok := s[p.key]
		if !ok {
			return fmt.Errorf("%s: unknown keyword %q", where, p.key)
		}
		if err := f(where+":"+p.key, p.node); err != nil {
			return err
		}
	}
	return nil
}

func intoString(dst *string) func(string, *yaml.Node) error {
	return func(where string, n *yaml.Node) error {
		s, err := scalar(where, n)
		*dst = s
		return err
	}
}

func intoBool(dst *bool) func(string, *yaml.Node) error {
	return func(where string, n *yaml.Node) error {
		if err := deref(n).Decode(dst); err != nil {
			return fmt.Errorf("%s: should be a boolean value", where)
		}
		return nil
	}
}

// intoList accepts a scalar or a list of scalars, nested lists flattened.
func intoList(dst *[]string) func(string, *yaml.Node) error {
	return func(where string, n *yaml.Node) error {
		l, err := list(where, n)
		*dst = l
		return err
	}
}

func ignore(string, *yaml.Node) error { return nil }

func scalar(where string, n *yaml.Node) (string, error) {
	n = deref(n)
	if n.Kind != yaml.ScalarNode || strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
		return "", fmt.Errorf("%s: should be a string", where)
	}
	if n.Tag == "!!null" {
		return "", nil
	}
	return n.Value, nil
}

func list(where string, n *yaml.Node) ([]string, error) {
	n = deref(n)
	if n.Kind == yaml.ScalarNode {
		if n.Tag == "!!null" {
			return nil, nil
		}
		s, err := scalar(where, n)
		return []string{s}, err
	}
	if n.Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("%s: should be a string or a nested array of strings", where)
	}
	out := []string{}
	for _, item := range n.Content {
		l, err := list(where, item)
		if err != nil {
			return nil, err
		}
		out = append(out, l...)
	}
	return out, nil
}

func intList(where string, n *yaml.Node) ([]int, error) {
	l, err := list(where, n)
	if err != nil {
		return nil, err
	}
	var out []int
	for _, s := range l {
		v, err := strconv.Atoi(s)
		if err != nil {
			return nil, fmt.Errorf("%s: %q is not a number", where, s)
		}
		out = append(out, v)
	}
	return out, nil
}
