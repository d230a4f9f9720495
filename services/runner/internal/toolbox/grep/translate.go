package grep

import (
	"fmt"
	"strings"
)

// translator turns one Perl pattern into one of Go's.
type translator struct {
	text   string
	looks  bool // look-arounds may be translated
	used   bool // and were
	behind int  // bytes that the look-behind reads
	before bool // it has ^, \b or \B, which look at the text before
	out    strings.Builder
	at     int
}

// unsupported names what a pattern cannot have here.
func unsupported(what, instead string) error {
	return fmt.Errorf("%s is not supported by grep -P on this runner; %s", what, instead)
}

func (t *translator) translate() (string, error) {
	if err := t.lookBehind(); err != nil {
		return "", err
	}
	ahead := ""
	if t.looks {
		ahead = t.lookAhead()
	}
	for t.at < len(t.text) {
		if err := t.step(); err != nil {
			return "", err
		}
	}
	if ahead != "" {
		t.out.WriteString("(?P<" + endMark + ">)" + "(?:" + ahead + ")")
	}
	return t.out.String(), t.anchored()
}

// anchored refuses look-arounds beside what depends on the text before a match.
func (t *translator) anchored() error {
	if t.used && (t.before || topLevelBar(t.text)) {
		return unsupported("a look-around beside ^, \\b or |", `use \K, or sed -E`)
	}
	return nil
}

// topLevelBar says whether a pattern has alternatives.
func topLevelBar(text string) bool {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '[':
			i = classEnd(text, i) - 1
		case '(':
			depth++
		case ')':
			depth--
		case '|':
			if depth == 0 {
				return true
			}
		}
	}
	return false
}

// classEnd is where the character class that begins at i ends.
func classEnd(text string, i int) int {
	i++
	if i < len(text) && text[i] == '^' {
		i++
	}
	if i < len(text) && text[i] == ']' {
		i++
	}
	for ; i < len(text); i++ {
		switch {
		case text[i] == '\\':
			i++
		case strings.HasPrefix(text[i:], "[:"):
			if end := strings.Index(text[i:], ":]"); end > 0 {
				i += end + 1
			}
		case text[i] == ']':
			return i + 1
		}
	}
	return len(text)
}

// groupEnd is where the group that begins at i ends, behind its parenthesis.
func groupEnd(text string, i int) int {
	depth := 0
	for ; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '[':
			i = classEnd(text, i) - 1
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(text)
}

// lookBehind makes \K of a look-behind at the beginning.
func (t *translator) lookBehind() error {
	if !t.looks || !strings.HasPrefix(t.text, "(?<=") {
		return nil
	}
	end := groupEnd(t.text, 0)
	inner, err := (&translator{text: t.text[4 : end-1]}).translate()
	if err != nil {
		return err
	}
	n, ok := width(inner)
	if !ok {
		return unsupported("a look-behind of varying length", `use \K behind that part of the pattern`)
	}
	t.out.WriteString("(?:" + inner + ")(?P<" + beginMark + ">)")
	t.text, t.behind, t.used = t.text[end:], n, true
	return nil
}

// lookAhead cuts a look-ahead off the end and returns what is in it.
func (t *translator) lookAhead() string {
	at := strings.LastIndex(t.text, "(?=")
	if at < 0 || groupEnd(t.text, at) != len(t.text) || !strings.HasSuffix(t.text, ")") {
		return ""
	}
	inner, err := (&translator{text: t.text[at+3 : len(t.text)-1]}).translate()
	if err != nil || balance(t.text[:at]) != 0 {
		return ""
	}
	t.text, t.used = t.text[:at], true
	return inner
}

// balance is how many groups are open at the end of a text.
func balance(text string) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '[':
			i = classEnd(text, i) - 1
		case '(':
			depth++
		case ')':
			depth--
		}
	}
	return depth
}

// step copies one element.
func (t *translator) step() error {
	rest := t.text[t.at:]
	switch rest[0] {
	case '\\':
		return t.escape(rest)
	case '[':
		end := classEnd(t.text, t.at)
		t.out.WriteString(strings.ReplaceAll(t.text[t.at:end], `\h`, `\t `))
		t.at = end
	case '(':
		return t.group(rest)
	case '*', '+', '?', '}':
		t.out.WriteByte(rest[0])
		t.at++
		if t.at < len(t.text) && t.text[t.at] == '+' {
			return unsupported("a possessive quantifier ("+rest[:2]+")", "leave the second + away")
		}
	default:
		t.before = t.before || rest[0] == '^'
		t.out.WriteByte(rest[0])
		t.at++
	}
	return nil
}

// perlOnly are the beginnings of groups that Go does not have.
var perlOnly = []struct{ begin, name string }{
	{"(?<=", "a look-behind"},
	{"(?<!", "a negative look-behind"},
	{"(?=", "a look-ahead"},
	{"(?!", "a negative look-ahead"},
	{"(?>", "an atomic group"},
	{"(?|", "a branch reset"},
	{"(?#", "a comment"},
	{"(?(", "a condition"},
	{"(?R", "a recursion"},
	{"(?&", "a recursion"},
	{"(?P=", "a back-reference"},
	{"(*", "a verb"},
}

func (t *translator) group(rest string) error {
	for _, p := range perlOnly {
		if strings.HasPrefix(rest, p.begin) {
			return unsupported(fmt.Sprintf("%s (%s...)", p.name, p.begin), `use \K, or take several steps with grep, sed -E or awk`)
		}
	}
	t.out.WriteByte('(')
	t.at++
	return nil
}

// escapes are those that Go writes otherwise.
var escapes = map[byte]string{
	'K': "(?P<" + beginMark + ">)", 'h': `[\t ]`, 'H': `[^\t ]`, 'R': `(?:\r\n|\n|\r)`, 'e': `\x1b`, 'Z': `\z`, 'N': `.`,
}

func (t *translator) escape(rest string) error {
	if len(rest) == 1 {
		return fmt.Errorf("the pattern ends with a backslash")
	}
	c := rest[1]
	switch {
	case '1' <= c && c <= '9' || c == 'g' || c == 'k':
		return unsupported(fmt.Sprintf("a back-reference (%s)", rest[:2]), "use sed -E or awk")
	case c == 'K' && strings.Contains(t.out.String(), beginMark):
		return unsupported(`a second \K or \K behind a look-behind`, "use one of them")
	case c == 'Q':
		end := strings.Index(rest, `\E`)
		if end < 0 {
			end = len(rest)
		}
		t.out.WriteString(rest[:end] + `\E`)
		t.at += min(end+2, len(rest))
		return nil
	}
	t.before = t.before || c == 'b' || c == 'B' || c == 'A'
	text, ok := escapes[c]
	if !ok {
		text = rest[:2]
	}
	t.out.WriteString(text)
	t.at += 2
	return nil
}
