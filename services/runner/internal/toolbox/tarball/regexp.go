package tarball

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxNested is how deep groups of an expression lie in each other.
const maxNested = 50

// posix translates a regular expression of POSIX, as GNU extends it, to Go's.
type posix struct {
	text     string
	at       int
	extended bool
	out      strings.Builder
	depth    int
	begins   bool // nothing stands before that could be repeated
	repeated int  // length of out after the last repetition
}

// translate returns the expression in Go's syntax. Back-references are refused.
func translate(text string, extended bool) (string, error) {
	p := &posix{text: text, extended: extended, begins: true}
	for p.at < len(p.text) {
		if err := p.step(); err != nil {
			return "", err
		}
	}
	if p.depth > 0 {
		return "", fmt.Errorf("%w: Unmatched ( or \\(", errTransform)
	}
	return p.out.String(), nil
}

func (p *posix) step() error {
	c := p.text[p.at]
	p.at++
	if c == '\\' {
		if p.at == len(p.text) {
			return fmt.Errorf("%w: Trailing backslash", errTransform)
		}
		c = p.text[p.at]
		p.at++
		// The same characters have the other meaning without a backslash.
		if strings.IndexByte("(){}|+?", c) >= 0 && !p.extended {
			return p.operator(c)
		}
		return p.escaped(c)
	}
	switch {
	case c == '[':
		return p.bracket()
	case c == '*':
		return p.operator(c)
	case strings.IndexByte("(){}|+?", c) >= 0 && p.extended:
		return p.operator(c)
	case c == '^' && (p.begins || p.extended):
		p.out.WriteByte('^')
		return nil
	case c == '$' && (p.extended || p.ends()):
		p.out.WriteByte('$')
		p.begins = false
		return nil
	case c == '.':
		p.out.WriteByte('.')
		p.begins = false
		return nil
	}
	p.literal(p.at - 1)
	return nil
}

// ends says whether an alternative ends here.
func (p *posix) ends() bool {
	rest := p.text[p.at:]
	return rest == "" || strings.HasPrefix(rest, `\)`) || strings.HasPrefix(rest, `\|`)
}

// literal takes the character that begins at an index.
func (p *posix) literal(from int) {
	_, size := utf8.DecodeRuneInString(p.text[from:])
	p.out.WriteString(regexp.QuoteMeta(p.text[from : from+size]))
	p.at, p.begins = from+size, false
}

func (p *posix) escaped(c byte) error {
	p.begins = false
	switch {
	case '1' <= c && c <= '9':
		return fmt.Errorf("%w: the back-reference \\%c is not supported on this runner", errTransform, c)
	case c == 'w' || c == 'W' || c == 's' || c == 'S' || c == 'b' || c == 'B':
		p.out.WriteString(`\` + string([]byte{c}))
	case c == '<' || c == '>':
		p.out.WriteString(`\b`)
	case c == '`':
		p.out.WriteString(`\A`)
	case c == '\'':
		p.out.WriteString(`\z`)
	case c == 'n':
		p.out.WriteString(`\n`)
	default:
		p.literal(p.at - 1)
	}
	return nil
}

func (p *posix) operator(c byte) error {
	switch c {
	case '(':
		if p.depth++; p.depth > maxNested {
			return fmt.Errorf("%w: more than %d groups in each other", errTransform, maxNested)
		}
		p.begins = true
	case ')':
		if p.depth--; p.depth < 0 {
			return fmt.Errorf("%w: Unmatched ) or \\)", errTransform)
		}
		p.begins = false
	case '|':
		p.begins = true
	case '{':
		return p.interval()
	case '}':
		p.literal(p.at - 1)
		return nil
	default: // a repetition
		if p.begins {
			p.literal(p.at - 1)
			return nil
		}
		return p.repeat(string([]byte{c}))
	}
	p.out.WriteByte(c)
	return nil
}

// repeat puts a repetition behind what stands there. Go takes a second one for
// something else.
func (p *posix) repeat(text string) error {
	if p.out.Len() == p.repeated {
		return fmt.Errorf("%w: a repetition of a repetition is not supported on this runner", errTransform)
	}
	p.out.WriteString(text)
	p.repeated = p.out.Len()
	return nil
}

func (p *posix) interval() error {
	end := "}"
	if !p.extended {
		end = `\}`
	}
	inside, _, ok := strings.Cut(p.text[p.at:], end)
	if !ok || p.begins || inside == "" || strings.Trim(inside, "0123456789,") != "" || strings.Count(inside, ",") > 1 {
		return fmt.Errorf("%w: Invalid content of \\{\\}", errTransform)
	}
	p.at += len(inside) + len(end)
	if strings.HasPrefix(inside, ",") {
		inside = "0" + inside
	}
	return p.repeat("{" + inside + "}")
}

// bracket takes [...], in which a backslash is only itself.
func (p *posix) bracket() error {
	from := p.at
	i := from
	if i < len(p.text) && p.text[i] == '^' {
		i++
	}
	if i < len(p.text) && p.text[i] == ']' {
		i++
	}
	for i < len(p.text) && p.text[i] != ']' {
		if strings.HasPrefix(p.text[i:], "[:") {
			end := strings.Index(p.text[i:], ":]")
			if end < 0 {
				break
			}
			i += end + 1
		}
		i++
	}
	if i >= len(p.text) {
		return fmt.Errorf("%w: Unmatched [, [^, [:, [., or [=", errTransform)
	}
	inside := strings.ReplaceAll(p.text[from:i], `\`, `\\`)
	p.at, p.begins = i+1, false
	p.out.WriteString("[" + inside + "]")
	return nil
}
