package ciyaml

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxCompose is how deep extends and !reference may nest, as in GitLab.
const maxCompose = 10

// composer resolves what GitLab resolves before it looks at keywords: anchors
// and merge keys, !reference, and extends.
type composer struct {
	raw map[string]*yaml.Node // top-level entries as written
}

// compose answers the top-level entries with all three resolved.
func compose(doc *yaml.Node) ([]pair, error) {
	top, err := pairs("root", doc)
	if err != nil {
		return nil, err
	}
	c := &composer{raw: map[string]*yaml.Node{}}
	for _, p := range top {
		c.raw[p.key] = p.node
	}
	for i, p := range top {
		if top[i].node, err = c.plain(p.key, p.node, 0); err != nil {
			return nil, err
		}
		c.raw[p.key] = top[i].node
	}
	for i, p := range top {
		if p.node.Kind != yaml.MappingNode || isGlobal(p.key) {
			continue
		}
		if top[i].node, err = c.extended(p.key, p.node, 0); err != nil {
			return nil, err
		}
	}
	return top, nil
}

// plain copies a node without aliases, merge keys and references.
func (c *composer) plain(where string, n *yaml.Node, depth int) (*yaml.Node, error) {
	n = deref(n)
	if depth > maxCompose*maxCompose {
		return nil, fmt.Errorf("%s: nesting is too deep", where)
	}
	switch {
	case n.Tag == "!reference":
		return c.reference(where, n, depth)
	case n.Kind == yaml.MappingNode:
		ps, err := pairs(where, n)
		if err != nil {
			return nil, err
		}
		for i, p := range ps {
			if ps[i].node, err = c.plain(where+":"+p.key, p.node, depth+1); err != nil {
				return nil, err
			}
		}
		return mapping(ps), nil
	case n.Kind == yaml.SequenceNode:
		out := *n
		out.Content = make([]*yaml.Node, len(n.Content))
		for i, item := range n.Content {
			var err error
			if out.Content[i], err = c.plain(where, item, depth+1); err != nil {
				return nil, err
			}
		}
		return &out, nil
	}
	return n, nil
}

// reference finds what !reference [job, key, ...] names.
func (c *composer) reference(where string, n *yaml.Node, depth int) (*yaml.Node, error) {
	path, err := list(where, &yaml.Node{Kind: n.Kind, Content: n.Content})
	if err != nil || len(path) < 2 {
		return nil, fmt.Errorf("%s: !reference should be an array of at least two strings", where)
	}
	found := c.raw[path[0]]
	for _, key := range path[1:] {
		if found == nil {
			break
		}
		ps, err := pairs(path[0], found)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(ps, func(p pair) bool { return p.key == key })
		if i < 0 {
			found = nil
			break
		}
		found = ps[i].node
	}
	if found == nil {
		return nil, fmt.Errorf("%s: !reference [%s] could not be found", where, strings.Join(path, ", "))
	}
	return c.plain(where, found, depth+maxCompose)
}

// extended merges the entries a job extends, later ones over earlier ones and
// the job's own keys over all.
func (c *composer) extended(name string, n *yaml.Node, depth int) (*yaml.Node, error) {
	if depth > maxCompose {
		return nil, fmt.Errorf("%s: extends nests too deep or in a circle", name)
	}
	own, err := pairs(name, n)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(own, func(p pair) bool { return p.key == "extends" })
	if i < 0 {
		return n, nil
	}
	bases, err := list(name+":extends", own[i].node)
	if err != nil {
		return nil, err
	}
	var out []pair
	for _, base := range bases {
		b, ok := c.raw[base]
		if !ok || b.Kind != yaml.MappingNode {
			return nil, fmt.Errorf("%s: unknown keys in `extends` (%s)", name, base)
		}
		if b, err = c.extended(base, b, depth+1); err != nil {
			return nil, err
		}
		if out, err = deepMerge(base, out, b); err != nil {
			return nil, err
		}
	}
	out, err = deepMerge(name, out, mapping(slices.Delete(slices.Clone(own), i, i+1)))
	return mapping(out), err
}

// deepMerge lays a mapping over others: mappings merge, everything else is
// replaced.
func deepMerge(where string, under []pair, over *yaml.Node) ([]pair, error) {
	ps, err := pairs(where, over)
	if err != nil {
		return nil, err
	}
	out := slices.Clone(under)
	for _, p := range ps {
		i := slices.IndexFunc(out, func(o pair) bool { return o.key == p.key })
		switch {
		case i < 0:
			out = append(out, p)
		case out[i].node.Kind == yaml.MappingNode && p.node.Kind == yaml.MappingNode:
			below, err := pairs(where, out[i].node)
			if err != nil {
				return nil, err
			}
			if below, err = deepMerge(where, below, p.node); err != nil {
				return nil, err
			}
			out[i].node = mapping(below)
		default:
			out[i].node = p.node
		}
	}
	return out, nil
}

func mapping(ps []pair) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, p := range ps {
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: p.key}, p.node)
	}
	return n
}
