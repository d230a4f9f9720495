package jobspec

import (
	"regexp"
	"strconv"
	"strings"
)

// Variable is one entry of variables[]. File and Raw are absent when false.
type Variable struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Public bool   `json:"public,omitempty"`
	Masked bool   `json:"masked,omitempty"`
	File   bool   `json:"file,omitempty"`
	Raw    bool   `json:"raw,omitempty"`
}

// Variables is an ordered list in which the last occurrence of a key wins
// (runner-api sheet, section 6.1).
type Variables []Variable

// Get returns the winning value of key as it stands in the list, unexpanded,
// or "".
func (v Variables) Get(key string) string {
	for i := len(v) - 1; i >= 0; i-- {
		if v[i].Key == key {
			return v[i].Value
		}
	}
	return ""
}

// Bool says whether the winning value of key means yes, as true and 1 do.
func (v Variables) Bool(key string) bool {
	on, _ := strconv.ParseBool(v.Get(key))
	return on
}

// Expanded resolves $NAME and ${NAME} in every value once, non-recursively,
// each against the unexpanded list (section 6.3). A raw variable keeps its own
// value. A reference to a file variable becomes its path, which filePath gives.
// A value stays unresolved when its references would exceed MaxExpansion, which
// holds for the whole list.
// Duplicates stay, so that shadowed masked values can still be masked.
func (v Variables) Expanded(filePath func(key string) string) Variables {
	lookup := v.lookup(filePath)
	out := make(Variables, len(v))
	budget := MaxExpansion
	for i, e := range v {
		if !e.Raw {
			if s, ok := expand(e.Value, lookup, &budget); ok {
				e.Value = s
			}
		}
		out[i] = e
	}
	return out
}

// Expand resolves the references of one text as Expanded does those of a
// value; false when it would exceed MaxExpansion.
func (v Variables) Expand(text string, filePath func(key string) string) (string, bool) {
	budget := MaxExpansion
	return expand(text, v.lookup(filePath), &budget)
}

// lookup is what a reference stands for.
func (v Variables) lookup(filePath func(key string) string) func(name string) string {
	last := make(map[string]int, len(v))
	for i := range v {
		last[v[i].Key] = i
	}
	return func(name string) string {
		i, ok := last[name]
		switch {
		case !ok || special[name]:
			return ""
		case v[i].File:
			return filePath(name)
		default:
			return v[i].Value
		}
	}
}

// Effective returns the winning occurrence of each key, in the order in which
// the keys first appear.
func (v Variables) Effective() Variables {
	at := make(map[string]int, len(v))
	out := make(Variables, 0, len(v))
	for _, e := range v {
		if i, ok := at[e.Key]; ok {
			out[i] = e
			continue
		}
		at[e.Key] = len(out)
		out = append(out, e)
	}
	return out
}

// MaskedValues lists every value that must not appear in a log: each masked
// entry's value, shadowed duplicates included.
func (v Variables) MaskedValues() []string {
	var out []string
	for _, e := range v {
		if e.Masked {
			out = append(out, e.Value)
		}
	}
	return out
}

// special are the shell's own parameters, which no variable can define.
var special = map[string]bool{
	"*": true, "#": true, "@": true, "!": true, "?": true,
	"0": true, "1": true, "2": true, "3": true, "4": true, "5": true, "6": true, "7": true, "8": true, "9": true,
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// IsShellName says whether a shell can hold a variable of this name.
func IsShellName(key string) bool { return identifier.MatchString(key) }

// expand follows section 6.3: $$ is a dollar sign, special and positional
// parameters and unknown names are empty, a dollar sign in front of anything
// else stays, and braces that hold no name are dropped, all as os.Expand has it
// but in linear time. It gives up (false) when the references would add more
// than budget bytes.
func expand(s string, lookup func(string) string, budget *int) (string, bool) {
	if !strings.Contains(s, "$") {
		return s, true
	}
	var b strings.Builder
	lastBrace := strings.LastIndexByte(s, '}')
	for i := 0; i < len(s); i++ {
		if s[i] != '$' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		name, width := parameter(s[i+1:], lastBrace > i)
		switch {
		case name == "$", width == 0:
			b.WriteByte('$')
		case name != "":
			v := lookup(name)
			if *budget -= len(v); *budget < 0 {
				*budget = 0
				return "", false
			}
			b.WriteString(v)
		}
		i += width
	}
	return b.String(), true
}

// parameter reads what follows a dollar sign: a name (in braces or not) or a
// special parameter; width is the number of bytes read. closes says that a
// closing brace follows.
func parameter(s string, closes bool) (name string, width int) {
	switch c := s[0]; {
	case c == '{' && !closes:
		return "", 1
	case c == '{':
		end := strings.IndexByte(s, '}')
		return s[1:end], end + 1
	case strings.IndexByte("$*#@!?-", c) >= 0 || c >= '0' && c <= '9':
		return s[:1], 1
	}
	n := 0
	for n < len(s) && (s[n] == '_' || s[n] >= 'a' && s[n] <= 'z' || s[n] >= 'A' && s[n] <= 'Z' || s[n] >= '0' && s[n] <= '9') {
		n++
	}
	return s[:n], n
}
