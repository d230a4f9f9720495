package agentconfig

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxQuoted bounds what a fault quotes of the file, in bytes.
const maxQuoted = 80

func clip(s string) string {
	if len(s) <= maxQuoted {
		return s
	}
	return strings.ToValidUTF8(s[:maxQuoted], "") + "..."
}

func quoted(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = strconv.Quote(n)
	}
	return strings.Join(out, ", ")
}

// describe says what a node is, in the words of somebody who writes YAML. It
// never quotes the value: the value may be a secret in the wrong place.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys with values"
	case yaml.SequenceNode:
		return "a list"
	}
	if _, ok := truth(n); ok {
		return "a boolean"
	}
	switch n.ShortTag() {
	case "!!str":
		return "a text"
	case "!!int", "!!float":
		return "a number"
	case "!!null":
		return "nothing"
	case "!!timestamp":
		return "a date"
	default:
		return "a value of another type"
	}
}

func wanted(s *schema) string {
	switch {
	case s == fullPath:
		return "a full path"
	case s.form == boolean:
		return "true or false"
	case s.form == seconds:
		return `a duration like "3600s"`
	case s.form == number:
		return "a whole number"
	default:
		return "a text"
	}
}

func objectRemedy(s *schema) string {
	switch {
	case len(s.keys) == 0:
		return "write {}"
	case s.oneOf:
		return "write one of " + quoted(slices.Sorted(maps.Keys(s.keys))) + " as a key below it"
	default:
		return "the keys here are " + quoted(slices.Sorted(maps.Keys(s.keys)))
	}
}

func oneOfRemedy(name string, sub *schema) string {
	if sub.form == object && len(sub.keys) == 0 {
		return "write " + name + ": {}"
	}
	return "GitLab refuses an empty one; give it a value"
}

func unknownRemedy(s *schema, name string) string {
	if why := s.gone[name]; why != "" {
		return why
	}
	names := slices.Sorted(maps.Keys(s.keys))
	if near := closest(name, names); near != "" {
		return "did you mean " + strconv.Quote(near) + "?"
	}
	if len(names) == 0 {
		return "no key stands here; write {}"
	}
	return "the keys here are " + quoted(names)
}
