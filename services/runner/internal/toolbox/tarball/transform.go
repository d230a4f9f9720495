package tarball

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Limits of --transform.
const (
	maxTransform  = 8 << 10 // bytes of all expressions
	maxReplaced   = 1000    // replacements in one name
	maxNewName    = 64 << 10
	maxOccurrence = 1000
)

// kind is what a name is to the archive.
type kind byte

// Kinds of names, as the flags of an expression call them.
const (
	memberName  kind = 'r'
	symlinkName kind = 's'
	linkName    kind = 'h'
)

// substitution is one `s` of --transform.
type substitution struct {
	re    *regexp.Regexp
	parts []part
	first int // the occurrence to begin with
	every bool
	kinds map[kind]bool
}

// part is a piece of a replacement: text, a group, or a change of letters.
type part struct {
	text  string
	group int  // -1: none
	fold  byte // one of U, L, u, l and E, or 0
}

var (
	errTransform = errors.New("Invalid transform expression")                               //nolint:staticcheck // ST1005: GNU's words
	errReference = errors.New("Invalid transform replacement: back reference out of range") //nolint:staticcheck // ST1005: GNU's words
)

// parseTransform reads s,REGEXP,REPLACEMENT,FLAGS and further ones behind a
// semicolon. kinds are those of expressions that do not say so, and may change
// for the next option by flags=.
func parseTransform(text string, kinds map[kind]bool) ([]substitution, error) {
	if len(text) > maxTransform {
		return nil, fmt.Errorf("a transform expression has more than %d bytes", maxTransform)
	}
	var out []substitution
	for text != "" {
		if flags, ok := strings.CutPrefix(text, "flags="); ok {
			var list string
			list, text, _ = strings.Cut(flags, ";")
			clear(kinds)
			for _, c := range []byte(list) {
				if !setKind(kinds, c) {
					return nil, fmt.Errorf("Unknown transform flag: %c", c) //nolint:staticcheck // ST1005: GNU's words
				}
			}
			continue
		}
		s, rest, err := parseSubstitution(text, kinds)
		if err != nil {
			return nil, err
		}
		out, text = append(out, s), rest
	}
	return out, nil
}

func setKind(kinds map[kind]bool, c byte) bool {
	switch c {
	case 'r', 's', 'h':
		kinds[kind(c)] = true
	case 'R', 'S', 'H':
		kinds[kind(c+'a'-'A')] = false
	default:
		return false
	}
	return true
}

func parseSubstitution(text string, kinds map[kind]bool) (s substitution, rest string, err error) {
	if len(text) < 2 || text[0] != 's' {
		return s, "", errTransform
	}
	delimiter := text[1]
	pattern, rest, ok := until(text[2:], delimiter)
	replacement, rest, closed := until(rest, delimiter)
	if !ok || !closed {
		return s, "", errTransform
	}
	s.kinds = map[kind]bool{memberName: kinds[memberName], symlinkName: kinds[symlinkName], linkName: kinds[linkName]}
	flags, rest, _ := strings.Cut(rest, ";")
	extended, anyCase, err := s.flags(flags)
	if err != nil {
		return s, "", err
	}
	expression, err := translate(pattern, extended)
	if err != nil {
		return s, "", err
	}
	if anyCase {
		expression = "(?i)" + expression
	}
	if s.re, err = regexp.Compile("(?s)" + expression); err != nil {
		return s, "", fmt.Errorf("%w: %w", errTransform, err)
	}
	s.re.Longest()
	s.parts, err = parseReplacement(replacement, s.re.NumSubexp())
	return s, rest, err
}

// until cuts a text at a delimiter without a backslash, which a delimiter with
// one stands for.
func until(text string, delimiter byte) (before, after string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == delimiter:
			return b.String(), text[i+1:], true
		case text[i] == '\\' && i+1 < len(text):
			i++
			if text[i] != delimiter {
				b.WriteByte('\\')
			}
		}
		b.WriteByte(text[i])
	}
	return "", "", false
}

func (s *substitution) flags(text string) (extended, anyCase bool, err error) {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == 'g':
			s.every = true
		case c == 'i':
			anyCase = true
		case c == 'x':
			extended = true
		case '0' <= c && c <= '9':
			digits := len(text[i:]) - len(strings.TrimLeft(text[i:], "0123456789"))
			if s.first, err = strconv.Atoi(text[i : i+digits]); err != nil || s.first > maxOccurrence {
				return false, false, errTransform
			}
			i += digits - 1
		case !setKind(s.kinds, c):
			return false, false, fmt.Errorf("Unknown flag in transform expression: %c", c) //nolint:staticcheck // ST1005: GNU's words
		}
	}
	return extended, anyCase, nil
}

func parseReplacement(text string, groups int) ([]part, error) {
	var out []part
	add := func(p part) {
		if last := len(out) - 1; last >= 0 && p.text != "" && out[last].text != "" {
			out[last].text += p.text
			return
		}
		out = append(out, p)
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '&' {
			add(part{group: 0})
			continue
		}
		if c != '\\' || i+1 == len(text) {
			add(part{text: string([]byte{c}), group: -1})
			continue
		}
		i++
		switch c = text[i]; {
		case '0' <= c && c <= '9':
			if int(c-'0') > groups {
				return nil, errReference
			}
			add(part{group: int(c - '0')})
		case strings.IndexByte("ULulE", c) >= 0:
			add(part{group: -1, fold: c})
		case strings.IndexByte(`\&`, c) >= 0:
			add(part{text: string([]byte{c}), group: -1})
		case escapes[c] != 0:
			add(part{text: string([]byte{escapes[c]}), group: -1})
		default:
			add(part{text: `\` + string([]byte{c}), group: -1})
		}
	}
	return out, nil
}

var escapes = map[byte]byte{'a': '\a', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v'}

// apply renames. A name that grows beyond maxNewName stays.
func (s substitution) apply(name string) string {
	var out strings.Builder
	last, n := 0, 0
	for _, at := range s.re.FindAllStringSubmatchIndex(name, maxReplaced) {
		n++
		if n < s.first || n > max(s.first, 1) && !s.every {
			continue
		}
		out.WriteString(name[last:at[0]])
		s.replace(&out, name, at)
		last = at[1]
	}
	out.WriteString(name[last:])
	if out.Len() > maxNewName {
		return name
	}
	return out.String()
}

// replace writes the replacement of one match.
func (s substitution) replace(out *strings.Builder, name string, at []int) {
	var all, next byte
	for _, p := range s.parts {
		text := p.text
		switch {
		case p.fold == 'u' || p.fold == 'l':
			next = p.fold
			continue
		case p.fold != 0:
			all, next = p.fold, 0
			continue
		case p.group >= 0 && at[2*p.group] >= 0:
			text = name[at[2*p.group]:at[2*p.group+1]]
		}
		if text != "" {
			out.WriteString(folded(text, all, next))
			next = 0
		}
	}
}

// folded changes the letters of a text: all of them, or with next only the
// first.
func folded(text string, all, next byte) string {
	switch {
	case next == 'u':
		return strings.ToUpper(text[:1]) + text[1:]
	case next == 'l':
		return strings.ToLower(text[:1]) + text[1:]
	case all == 'U':
		return strings.ToUpper(text)
	case all == 'L':
		return strings.ToLower(text)
	}
	return text
}
