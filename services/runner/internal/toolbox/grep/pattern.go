package grep

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// Names of the empty groups that mark where the shown part of a match begins
// and ends.
const (
	beginMark = "towlineBegin"
	endMark   = "towlineEnd"
)

// pattern is a Perl pattern in Go's terms.
type pattern struct {
	re         *regexp.Regexp
	begin, end int // groups that mark the shown part, 0 when there is none
	behind     int // bytes that a look-behind reads, which may be shown already
	looks      bool
}

// compile translates a pattern. Each line of it is one alternative.
func compile(text string, ignoreCase, word, line bool) (*pattern, error) {
	p := &pattern{}
	alternatives := strings.Split(text, "\n")
	for i, alternative := range alternatives {
		t := translator{text: alternative, looks: len(alternatives) == 1 && !word && !line}
		translated, err := t.translate()
		if err != nil {
			return nil, err
		}
		alternatives[i] = translated
		p.looks, p.behind = p.looks || t.used, p.behind+t.behind
	}
	whole := strings.Join(alternatives, "|")
	switch {
	case line:
		whole = "^(?:" + whole + ")$"
	case word:
		whole = `(?:^|\W)(?P<` + beginMark + ">)(?:" + whole + ")(?P<" + endMark + `>)(?:\W|$)`
	}
	if ignoreCase {
		whole = "(?i)" + whole
	}
	re, err := regexp.Compile(whole)
	if err != nil {
		return nil, fmt.Errorf("the pattern cannot be read: %w", err)
	}
	p.re, p.begin, p.end = re, max(re.SubexpIndex(beginMark), 0), max(re.SubexpIndex(endMark), 0)
	return p, nil
}

// matches reports whether a line matches.
func (p *pattern) matches(line string) bool { return p.re.MatchString(line) }

// shown returns the parts of a line that match, as pairs of offsets.
func (p *pattern) shown(line string) [][2]int {
	var out [][2]int
	for from, pos := 0, 0; from <= len(line); {
		if !p.looks && p.end == 0 {
			return append(out, p.all(line)...)
		}
		m := p.re.FindStringSubmatchIndex(line[from:])
		if m == nil {
			break
		}
		b, e := p.part(m)
		out = append(out, [2]int{from + b, from + e})
		// What the look-ahead has read is open for the next match, and so is
		// what its look-behind needs.
		pos = from + max(e, b+1)
		from = max(pos-p.behind, from+m[0]+1)
	}
	return out
}

func (p *pattern) all(line string) [][2]int {
	var out [][2]int
	for _, m := range p.re.FindAllStringSubmatchIndex(line, -1) {
		b, e := p.part(m)
		out = append(out, [2]int{b, e})
	}
	return out
}

func (p *pattern) part(m []int) (begin, end int) {
	begin, end = m[0], m[1]
	if p.begin > 0 && m[2*p.begin] >= 0 {
		begin = m[2*p.begin]
	}
	if p.end > 0 && m[2*p.end] >= 0 {
		end = m[2*p.end]
	}
	return begin, end
}

// width is the number of bytes that an expression always reads, if that is so.
func width(expression string) (int, bool) {
	re, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return 0, false
	}
	return fixed(re)
}

func fixed(re *syntax.Regexp) (int, bool) {
	switch re.Op {
	case syntax.OpLiteral:
		return len(string(re.Rune)), true
	case syntax.OpCharClass:
		for i := 1; i < len(re.Rune); i += 2 {
			if re.Rune[i] > 127 {
				return 0, false
			}
		}
		return 1, true
	case syntax.OpEmptyMatch:
		return 0, true
	case syntax.OpCapture:
		return fixed(re.Sub[0])
	case syntax.OpRepeat:
		n, ok := fixed(re.Sub[0])
		return n * re.Min, ok && re.Min == re.Max
	case syntax.OpConcat:
		sum := 0
		for _, sub := range re.Sub {
			n, ok := fixed(sub)
			if !ok {
				return 0, false
			}
			sum += n
		}
		return sum, true
	default:
		return 0, false
	}
}
