package strictyaml

import (
	"regexp"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// single checks a value that is one word or number.
func (c *checker) single(s *Schema, n *yaml.Node, path string) {
	problem, remedy := "", ""
	switch {
	case n.Kind != yaml.ScalarNode:
		problem, remedy = "want "+wanted(s)+", got "+describe(n), s.Remedy
	case s.Form == Text:
		problem, remedy = checkText(s, n)
	case s.Form == Boolean:
		if _, ok := truth(n); !ok {
			problem, remedy = "want true or false, got "+describe(n), "write true or false without quotes"
		}
	case s.Form == Number:
		if !wholeNumber.MatchString(n.Value) {
			problem, remedy = "want a whole number, got "+describe(n), s.Remedy
		} else if s.Check != nil {
			problem, remedy = s.Check(n.Value)
		}
	}
	if problem != "" {
		c.fault(n, path, problem, remedy)
	}
}

func checkText(s *Schema, n *yaml.Node) (problem, remedy string) {
	switch {
	case !isText(n) && s.Remedy != "":
		return "want " + wanted(s) + ", got " + describe(n), s.Remedy
	case !isText(n):
		return "want a text, got " + describe(n), "put it in quotes"
	case s.NonEmpty && n.Value == "":
		return "is empty", "give it a value or remove the key"
	case len(s.Values) > 0 && !slices.Contains(s.Values, n.Value):
		return "unknown value " + strconv.Quote(clip(n.Value)), "use one of " + quoted(s.Values)
	case s.Check != nil:
		return s.Check(n.Value)
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
