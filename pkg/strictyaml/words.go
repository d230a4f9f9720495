package strictyaml

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

func wanted(s *Schema) string {
	switch {
	case s.Want != "":
		return s.Want
	case s.Form == Boolean:
		return "true or false"
	case s.Form == Number:
		return "a whole number"
	default:
		return "a text"
	}
}

// also adds a second sentence to a remedy.
func also(text string) string {
	if text == "" {
		return ""
	}
	return "; " + text
}

func objectRemedy(s *Schema) string {
	switch {
	case len(s.Keys) == 0:
		return "write {}"
	case s.OneOf:
		return "write one of " + quoted(slices.Sorted(maps.Keys(s.Keys))) + " as a key below it"
	default:
		return "the keys here are " + quoted(slices.Sorted(maps.Keys(s.Keys)))
	}
}

func oneOfRemedy(name string, sub *Schema) string {
	if sub.Form == Object && len(sub.Keys) == 0 {
		return "write " + name + ": {}"
	}
	return "give it a value or remove the key"
}

func unknownRemedy(s *Schema, name string) string {
	if why := s.Gone[name]; why != "" {
		return why
	}
	names := slices.Sorted(maps.Keys(s.Keys))
	if near := Closest(name, names); near != "" {
		return "did you mean " + strconv.Quote(near) + "?"
	}
	if len(names) == 0 {
		return "no key stands here; write {}"
	}
	return "the keys here are " + quoted(names)
}
