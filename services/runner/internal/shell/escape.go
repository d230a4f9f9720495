package shell

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

var simpleEscapes = map[byte]string{
	'a': "\a", 'b': "\b", 'e': "\x1b", 'E': "\x1b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v", '\\': `\`, '"': `"`, '\'': "'",
}

// unescape reads the escape that s begins with and returns what it stands for,
// its length, and whether it is the one that ends all output. In the arguments
// of %b octal numbers may begin with \0.
func unescape(s string, argument bool) (text string, length int, end bool) {
	if len(s) < 2 {
		return s, len(s), false
	}
	if text, ok := simpleEscapes[s[1]]; ok && (!argument || s[1] != '"' && s[1] != '\'') {
		return text, 2, false
	}
	switch c := s[1]; {
	case c == 'c':
		return "", 2, true
	case c == 'x':
		return code(s, 2, 2, 16, false)
	case c == 'u':
		return code(s, 2, 4, 16, true)
	case c == 'U':
		return code(s, 2, 8, 16, true)
	case c == '0' && argument:
		return code(s, 2, 3, 8, false)
	case c >= '0' && c <= '7':
		return code(s, 1, 3, 8, false)
	}
	return s[:2], 2, false
}

// code reads up to most digits that begin at from.
func code(s string, from, most, base int, char bool) (string, int, bool) {
	end := from
	for end < len(s) && end < from+most {
		if _, err := strconv.ParseUint(s[end:end+1], base, 8); err != nil {
			break
		}
		end++
	}
	if end == from {
		if base == 8 {
			return "\x00", end, false
		}
		return s[:from], from, false
	}
	n, _ := strconv.ParseUint(s[from:end], base, 64)
	if char {
		return string(utf8.AppendRune(nil, rune(n))), end, false
	}
	return string([]byte{byte(n)}), end, false
}

func unescapeAll(s string) (string, bool) {
	var b strings.Builder
	for s != "" {
		i := strings.IndexByte(s, '\\')
		if i < 0 {
			break
		}
		b.WriteString(s[:i])
		text, n, end := unescape(s[i:], true)
		b.WriteString(text)
		if end {
			return b.String(), true
		}
		s = s[i+n:]
	}
	b.WriteString(s)
	return b.String(), false
}

// shellQuoted is %q: backslashes for most, $'...' for what cannot be seen.
func shellQuoted(s string) string {
	if s == "" {
		return "''"
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError }) {
		quoted := strconv.Quote(s)
		quoted = strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
		quoted = strings.ReplaceAll(quoted, "'", `\'`)
		return "$'" + strings.ReplaceAll(quoted, `\x1b`, `\E`) + "'"
	}
	var b strings.Builder
	for i, r := range s {
		if strings.ContainsRune(" \t!\"#$&'()*,;<>?[\\]^`{|}", r) && (r != '#' || i == 0) || r == '~' && i == 0 {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

var strftimeLayouts = map[byte]string{
	'Y': "2006", 'm': "01", 'd': "02", 'H': "15", 'M': "04", 'S': "05", 'y': "06", 'b': "Jan", 'h': "Jan", 'B': "January", 'a': "Mon", 'A': "Monday",
	'e': "_2", 'I': "03", 'p': "PM", 'j': "002", 'F': "2006-01-02", 'T': "15:04:05", 'R': "15:04", 'D': "01/02/06", 'z': "-0700", 'Z': "MST",
	'X': "15:04:05", 'x': "01/02/06", 'c': "Mon Jan _2 15:04:05 2006",
}

func strftime(layout string, at time.Time) string {
	var b strings.Builder
	for i := 0; i < len(layout); i++ {
		if layout[i] != '%' || i+1 == len(layout) {
			b.WriteByte(layout[i])
			continue
		}
		i++
		switch c := layout[i]; {
		case c == 's':
			b.WriteString(strconv.FormatInt(at.Unix(), 10))
		case c == 'N':
			b.WriteString(at.Format("000000000"))
		case c == 'n':
			b.WriteByte('\n')
		case c == '%':
			b.WriteByte('%')
		case strftimeLayouts[c] != "":
			b.WriteString(at.Format(strftimeLayouts[c]))
		default:
			b.WriteString("%" + string(c))
		}
	}
	return b.String()
}
