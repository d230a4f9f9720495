package strictyaml

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Parse reads a file and checks it. name is how the file is called in faults
// and notices. A file that is empty or null gives a nil Value. When anything is
// wrong the error is a Faults that lists all of it, and there is no Value. The
// notices are valid in both cases.
func Parse(name string, content []byte, s *Schema, o Options) (*Value, []Notice, error) {
	root, fault := document(name, content, o)
	switch {
	case fault != nil:
		return nil, nil, Faults{*fault}
	case root == nil:
		return nil, nil, nil
	}
	c := &checker{file: name, options: o}
	if root = c.follow(root); root == nil || isNull(root) {
		return nil, nil, nil
	}
	v := c.value(s, root, nil, "", 0)
	if len(c.faults) > 0 {
		return nil, c.notices, c.faults.Sorted()
	}
	return v, c.notices, nil
}

// checker compares a document with a schema, collecting faults and notices. The
// values it returns are of use only when there are no faults.
type checker struct {
	file    string
	options Options
	nodes   int
	faults  Faults
	notices []Notice
}

// maxCollected bounds the faults that are held to be sorted.
const maxCollected = 100 * MaxFaults

func (c *checker) fault(at *yaml.Node, path, problem, remedy string) {
	if len(c.faults) >= maxCollected {
		return
	}
	c.faults = append(c.faults, Fault{File: c.file, Line: at.Line, Column: at.Column, Key: path, Problem: problem, Remedy: remedy})
}

func (c *checker) notice(at *yaml.Node, path, text string) {
	if len(c.notices) < MaxNotices {
		c.notices = append(c.notices, Notice{File: c.file, Line: at.Line, Column: at.Column, Key: path, Text: text})
	}
}

// value checks one node; path is how faults name it.
func (c *checker) value(s *Schema, n, key *yaml.Node, path string, depth int) *Value {
	v := &Value{file: c.file, path: path, key: key, node: n}
	switch s.Form {
	case Object:
		c.object(s, v, depth)
	case Map:
		c.mapping(s, v, depth)
	case List:
		c.list(s, v, depth)
	case Anything:
		c.anything(n, path, depth)
	default:
		c.single(s, n, path)
	}
	return v
}

func (v *Value) put(name string, sub *Value) {
	if v.byName == nil {
		v.byName = map[string]*Value{}
	}
	v.pairs = append(v.pairs, Pair{name, sub})
	v.byName[name] = sub
}

func (c *checker) object(s *Schema, v *Value, depth int) {
	n, path := v.node, v.path
	if n.Kind != yaml.MappingNode {
		c.fault(n, path, "want keys with values, got "+describe(n), objectRemedy(s))
		return
	}
	got := c.pairs(n, path, 0)
	c.count(s, n, path, len(got), "keys")
	present := make(map[string]bool, len(got))
	for _, p := range got {
		if c.entry(s, v, p, depth) {
			present[p.name] = true
		}
	}
	for _, name := range s.Required {
		if !present[name] && !misspelt(got, s, name) {
			c.fault(n, join(path, name), "is missing", "every entry here needs it")
		}
	}
	if s.OneOf && len(present) != 1 && len(got) == len(present) {
		c.fault(n, path, fmt.Sprintf("has %d keys, want exactly one", len(present)), "choose one of "+quoted(slices.Sorted(maps.Keys(s.Keys))))
	}
}

// entry checks one key of an object and says whether it is there.
func (c *checker) entry(s *Schema, v *Value, p pair, depth int) bool {
	at := join(v.path, p.name)
	sub, known := s.Keys[p.name]
	switch {
	case !known && s.Open && s.Gone[p.name] == "":
		c.notice(p.key, at, "Towline does not know this key and leaves it to GitLab")
		c.anything(p.value, at, depth+1)
		return false
	case !known:
		c.fault(p.key, at, "unknown key", unknownRemedy(s, p.name))
		return false
	case !isNull(p.value):
		if sub.Notice != "" {
			c.notice(p.key, at, sub.Notice)
		}
		v.put(p.name, c.value(sub, p.value, p.key, at, depth+1))
		return true
	case s.OneOf || c.options.NoNull:
		c.fault(p.key, at, "has no value", oneOfRemedy(p.name, sub))
		return true
	}
	return false
}

// misspelt says whether a required key is there under a wrong name, which has
// been reported already.
func misspelt(got []pair, s *Schema, name string) bool {
	return slices.ContainsFunc(got, func(p pair) bool {
		return s.Keys[p.name] == nil && Closest(p.name, []string{name}) != ""
	})
}

// mapping checks a mapping whose keys its author chooses.
func (c *checker) mapping(s *Schema, v *Value, depth int) {
	n, path := v.node, v.path
	if n.Kind != yaml.MappingNode {
		c.fault(n, path, "want keys with values, got "+describe(n), s.Remedy)
		return
	}
	got := c.pairs(n, path, 0)
	c.count(s, n, path, len(got), "keys")
	for _, p := range got {
		at := join(path, p.name)
		if s.Check != nil {
			if problem, remedy := s.Check(p.name); problem != "" {
				c.fault(p.key, at, problem, remedy)
			}
		}
		if isNull(p.value) {
			c.fault(p.key, at, "has no value", "give it one or remove the key")
			continue
		}
		v.put(p.name, c.value(s.Elem, p.value, p.key, at, depth+1))
	}
}

func (c *checker) list(s *Schema, v *Value, depth int) {
	n, path := v.node, v.path
	if n.Kind != yaml.SequenceNode {
		c.fault(n, path, "want a list, got "+describe(n), "write each item on its own line, starting with a dash")
		return
	}
	c.count(s, n, path, len(n.Content), "items")
	if s.First > 0 && len(n.Content) > s.First {
		c.notice(n.Content[s.First], path, fmt.Sprintf("has %d items; GitLab and Towline use the first %d", len(n.Content), s.First))
	}
	seen := map[string]int{}
	for i, e := range n.Content {
		item := c.follow(e)
		if item == nil {
			return
		}
		at := fmt.Sprintf("%s[%d]", path, i)
		if isNull(item) {
			c.fault(item, at, "is empty", "remove the dash or give the item a value")
			continue
		}
		got := c.value(s.Elem, item, nil, at, depth+1)
		v.items = append(v.items, got)
		c.twice(s, got, seen)
	}
}

func (c *checker) count(s *Schema, n *yaml.Node, path string, got int, what string) {
	switch {
	case s.NonEmpty && got == 0 && what == "items":
		c.fault(n, path, "is an empty list", "name at least one item")
	case s.NonEmpty && got == 0:
		c.fault(n, path, "has no keys", "give it at least one or remove it")
	case s.Most > 0 && got > s.Most:
		c.fault(n, path, fmt.Sprintf("has %d %s", got, what), fmt.Sprintf("at most %d are allowed", s.Most))
	}
}

// twice reports an item that an earlier one is equal to by the list's Unique.
func (c *checker) twice(s *Schema, item *Value, seen map[string]int) {
	name := item
	if s.Unique != "." {
		name = item.Get(s.Unique)
	}
	text := strings.ToLower(name.Text())
	if s.Unique == "" || text == "" {
		return
	}
	line, _ := name.Place()
	if first := seen[text]; first > 0 {
		remedy := fmt.Sprintf("the first one is in line %d", first)
		if s.Twice != "" {
			remedy += "; " + s.Twice
		}
		c.fault(name.node, name.path, strconv.Quote(clip(name.Text()))+" is listed twice", remedy)
		return
	}
	seen[text] = line
}

func (c *checker) anything(n *yaml.Node, path string, depth int) {
	if depth > maxDepth {
		c.fault(n, path, "nested too deep", fmt.Sprintf("at most %d levels are read", maxDepth))
		return
	}
	switch n.Kind {
	case yaml.MappingNode:
		for _, p := range c.pairs(n, path, 0) {
			c.anything(p.value, join(path, p.name), depth+1)
		}
	case yaml.SequenceNode:
		for i, e := range n.Content {
			if v := c.follow(e); v != nil {
				c.anything(v, fmt.Sprintf("%s[%d]", path, i), depth+1)
			}
		}
	}
}
