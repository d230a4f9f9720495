package shell

import (
	"slices"
	"strings"

	"mvdan.cc/sh/v3/interp"
)

const blanks = " \t\n"

// separators are the characters that read splits at.
type separators string

func separatorsOf(hc interp.HandlerContext) separators {
	if ifs := hc.Env.Get("IFS"); ifs.IsSet() {
		return separators(ifs.String())
	}
	return blanks
}

// letter is one character of a line that is read. What a backslash has quoted
// separates nothing.
type letter struct {
	r      rune
	quoted bool
}

func letters(line string, raw bool) []letter {
	var out []letter
	quoted := false
	for _, r := range line {
		if r == '\\' && !raw && !quoted {
			quoted = true
			continue
		}
		out = append(out, letter{r, quoted})
		quoted = false
	}
	return out
}

func text(line []letter) string {
	var b strings.Builder
	for _, l := range line {
		b.WriteRune(l.r)
	}
	return b.String()
}

func (s separators) has(l letter) bool { return !l.quoted && strings.ContainsRune(string(s), l.r) }

func (s separators) blank(l letter) bool { return s.has(l) && strings.ContainsRune(blanks, l.r) }

func (s separators) trimLeft(line []letter) []letter {
	for len(line) > 0 && s.blank(line[0]) {
		line = line[1:]
	}
	return line
}

func (s separators) trimRight(line []letter) []letter {
	for len(line) > 0 && s.blank(line[len(line)-1]) {
		line = line[:len(line)-1]
	}
	return line
}

// next takes a field and what separates it from the next one: blanks, and no
// more than one other separator among them.
func (s separators) next(line []letter) (field, rest []letter) {
	end := slices.IndexFunc(line, s.has)
	if end < 0 {
		return line, nil
	}
	field, rest = line[:end], s.trimLeft(line[end:])
	if len(rest) > 0 && s.has(rest[0]) {
		rest = s.trimLeft(rest[1:])
	}
	return field, rest
}

// split takes a line apart as read does, into at most n fields if n is not 0:
// the last one has all that remains. Unlike the interpreter's own, it keeps empty
// fields, such as the second of a::c.
func (s separators) split(line string, raw bool, n int) []string {
	var fields []string
	rest := s.trimLeft(letters(line, raw))
	for len(rest) > 0 {
		field, more := s.next(rest)
		if len(fields)+1 == n && len(more) > 0 {
			field, more = s.trimRight(rest), nil
		}
		fields, rest = append(fields, text(field)), more
	}
	return fields
}
