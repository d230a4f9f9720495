package main

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// misspelt are patterns of names that nearly are one of the properties, each
// with a schema that nothing meets and whose error names the right one.
func misspelt(properties object) object {
	names := slices.Sorted(maps.Keys(properties))
	near := object{}
	for _, name := range names {
		pattern := nearly(name)
		re := regexp.MustCompile(pattern)
		if !slices.ContainsFunc(names, re.MatchString) { // one that is right is never refused
			near[pattern] = object{"const": "misspelt: it is " + name}
		}
	}
	return near
}

// nearly matches what a slip makes of a name: a letter too many, too few, wrong,
// in the other case, or two that changed places; and snake_case or kebab-case.
// It does not match the name.
func nearly(name string) string {
	var ways []string
	for i := range name {
		before, after := name[:i], name[i+1:]
		ways = append(ways, before+"[^"+name[i:i+1]+"]?"+after, before+"."+name[i:])
		if len(after) > 0 && after[0] != name[i] {
			ways = append(ways, before+after[:1]+name[i:i+1]+after[1:])
		}
	}
	ways = append(ways, name+".")
	var other strings.Builder
	for _, c := range name {
		if c >= 'A' && c <= 'Z' {
			other.WriteString("[-_]")
		}
		other.WriteString("[" + strings.ToLower(string(c)) + strings.ToUpper(string(c)) + "]")
	}
	if s := other.String(); strings.Contains(s, "[-_]") {
		ways = append(ways, s)
	}
	slices.Sort(ways)
	all := "^(" + strings.Join(slices.Compact(ways), "|") + ")$"
	if upper := strings.ToUpper(name); upper != name {
		all = "^(" + upper + "|" + all[2:]
	}
	return all
}
