package agentconfig

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// checker compares a document with a schema, collecting faults and notices.
type checker struct {
	file    string
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
func (c *checker) value(s *schema, n *yaml.Node, path string, depth int) {
	switch s.form {
	case object:
		c.object(s, n, path, depth)
	case list:
		c.list(s, n, path, depth)
	case anything:
		c.anything(n, path, depth)
	default:
		c.single(s, n, path)
	}
}

func (c *checker) object(s *schema, n *yaml.Node, path string, depth int) {
	if n.Kind != yaml.MappingNode {
		c.fault(n, path, "want keys with values, got "+describe(n), objectRemedy(s))
		return
	}
	got := c.pairs(n, path, 0)
	present := make(map[string]bool, len(got))
	for _, p := range got {
		at := join(path, p.name)
		sub, known := s.keys[p.name]
		switch {
		case !known:
			c.fault(p.key, at, "unknown key", unknownRemedy(s, p.name))
		case isNull(p.value):
			if s.oneOf {
				present[p.name] = true
				c.fault(p.key, at, "has no value", oneOfRemedy(p.name, sub))
			}
		default:
			present[p.name] = true
			if sub.notice != "" {
				c.notice(p.key, at, sub.notice)
			}
			c.value(sub, p.value, at, depth+1)
		}
	}
	for _, name := range s.required {
		if !present[name] && !misspelt(got, s, name) {
			c.fault(n, join(path, name), "is missing", "every entry here needs it")
		}
	}
	if s.oneOf && len(present) != 1 && len(got) == len(present) {
		c.fault(n, path, fmt.Sprintf("has %d keys, want exactly one", len(present)), "choose one of "+quoted(slices.Sorted(maps.Keys(s.keys))))
	}
}

// misspelt says whether a required key is there under a wrong name, which has
// been reported already.
func misspelt(got []pair, s *schema, name string) bool {
	return slices.ContainsFunc(got, func(p pair) bool {
		return s.keys[p.name] == nil && closest(p.name, []string{name}) != ""
	})
}

func (c *checker) list(s *schema, n *yaml.Node, path string, depth int) {
	if n.Kind != yaml.SequenceNode {
		c.fault(n, path, "want a list, got "+describe(n), "write each item on its own line, starting with a dash")
		return
	}
	if s.nonEmpty && len(n.Content) == 0 {
		c.fault(n, path, "is an empty list", "name at least one item")
	}
	if s.first > 0 && len(n.Content) > s.first {
		c.notice(n.Content[s.first], path, fmt.Sprintf("has %d items; GitLab and Towline use the first %d", len(n.Content), s.first))
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
		c.value(s.elem, item, at, depth+1)
		if s.unique != "" && item.Kind == yaml.MappingNode {
			c.twice(s.unique, item, at, seen)
		}
	}
}

// twice reports an item whose name an earlier item has. GitLab would silently
// use only one of the two.
func (c *checker) twice(key string, item *yaml.Node, path string, seen map[string]int) {
	for i := 0; i+1 < len(item.Content); i += 2 {
		v := c.follow(item.Content[i+1])
		if item.Content[i].Value != key || v == nil || v.Kind != yaml.ScalarNode {
			continue
		}
		name := strings.ToLower(v.Value)
		if first := seen[name]; first > 0 && name != "" {
			c.fault(v, join(path, key), strconv.Quote(clip(v.Value))+" is listed twice",
				fmt.Sprintf("the first one is in line %d; GitLab would silently use only one of them", first))
			return
		}
		seen[name] = v.Line
	}
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

// single checks a value that is one word or number.
func (c *checker) single(s *schema, n *yaml.Node, path string) {
	problem, remedy := "", ""
	switch {
	case n.Kind != yaml.ScalarNode:
		problem, remedy = "want "+wanted(s)+", got "+describe(n), ""
	case s.form == text:
		problem, remedy = checkText(s, n)
	case s.form == boolean:
		if _, ok := truth(n); !ok {
			problem, remedy = "want true or false, got "+describe(n), "write true or false without quotes"
		}
	case s.form == seconds:
		if !isText(n) || !durationText.MatchString(n.Value) {
			problem, remedy = "not a duration GitLab reads", `write whole seconds, for example "3600s"`
		}
	case s.form == number:
		if !wholeNumber.MatchString(n.Value) {
			problem, remedy = "want a whole number, got "+describe(n), ""
		}
	}
	if problem != "" {
		c.fault(n, path, problem, remedy)
	}
}

func checkText(s *schema, n *yaml.Node) (problem, remedy string) {
	switch {
	case !isText(n) && s == fullPath:
		return "want a full path, got " + describe(n), "ids are full paths in quotes, for example \"group/project\""
	case !isText(n):
		return "want a text, got " + describe(n), "put it in quotes"
	case s.nonEmpty && n.Value == "":
		return "is empty", "give it a value or remove the key"
	case len(s.values) > 0 && !slices.Contains(s.values, n.Value):
		return "unknown value " + strconv.Quote(clip(n.Value)), "use one of " + quoted(s.values)
	case s.check != nil:
		return s.check(n.Value)
	}
	return "", ""
}

var wholeNumber = regexp.MustCompile(`^-?\d{1,18}$`)

// truth reads a boolean as GitLab's YAML 1.1 reader does, where yes and on are
// booleans too.
func truth(n *yaml.Node) (value, ok bool) {
	if n.Kind != yaml.ScalarNode || n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return false, false
	}
	if tag := n.ShortTag(); tag != "!!bool" && tag != "!!str" {
		return false, false
	}
	switch n.Value {
	case "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y":
		return true, true
	case "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N":
		return false, true
	}
	return false, false
}

// isText says whether GitLab reads the scalar as a text.
func isText(n *yaml.Node) bool {
	if _, ok := truth(n); ok {
		return false
	}
	return n.ShortTag() == "!!str"
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }
