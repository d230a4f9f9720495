package date

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxWidth is the widest field that a format may ask for.
const maxWidth = 1024

// directive is one % sequence of a format.
type directive struct {
	flags  string // of "-_0^#+"
	width  int    // -1 when it says none
	colons int
	verb   byte
}

// Format prints a time as date's +FORMAT does, with English names.
func Format(format string, t time.Time) string {
	var b strings.Builder
	for i := 0; i < len(format); {
		if format[i] != '%' {
			b.WriteByte(format[i])
			i++
			continue
		}
		d, n := readDirective(format[i:])
		text, ok := d.expand(t)
		if !ok {
			text = format[i : i+n]
		}
		b.WriteString(text)
		i += n
	}
	return b.String()
}

// readDirective reads the sequence at the start of text and its length.
func readDirective(text string) (d directive, length int) {
	i := 1
	for i < len(text) && strings.IndexByte("-_0^#+", text[i]) >= 0 {
		i++
	}
	d.flags, d.width = text[1:i], -1
	digits := run(text[i:])
	if digits > 0 {
		n, err := strconv.Atoi(text[i : i+digits])
		if err != nil {
			n = maxWidth
		}
		d.width = min(n, maxWidth)
	}
	i += digits
	for i < len(text) && text[i] == ':' {
		d.colons++
		i++
	}
	if i < len(text)-1 && (text[i] == 'E' || text[i] == 'O') {
		i++
	}
	if i == len(text) {
		return d, i
	}
	d.verb = text[i]
	return d, i + 1
}

// numberOf is a numeric field: its value, usual width and what fills it up.
func numberOf(verb byte, t time.Time) (value, width int, pad byte, ok bool) {
	isoYear, isoWeek := t.ISOWeek()
	yday, wday := t.YearDay()-1, int(t.Weekday())
	hour12 := (t.Hour()+11)%12 + 1
	switch verb {
	case 'C':
		return t.Year() / 100, 2, '0', true
	case 'd':
		return t.Day(), 2, '0', true
	case 'e':
		return t.Day(), 2, '_', true
	case 'g':
		return isoYear % 100, 2, '0', true
	case 'G':
		return isoYear, 4, '0', true
	case 'H':
		return t.Hour(), 2, '0', true
	case 'I':
		return hour12, 2, '0', true
	case 'j':
		return t.YearDay(), 3, '0', true
	case 'k':
		return t.Hour(), 2, '_', true
	case 'l':
		return hour12, 2, '_', true
	case 'm':
		return int(t.Month()), 2, '0', true
	case 'M':
		return t.Minute(), 2, '0', true
	case 'q':
		return (int(t.Month())-1)/3 + 1, 1, '0', true
	case 's':
		return int(t.Unix()), 1, '0', true
	case 'S':
		return t.Second(), 2, '0', true
	case 'u':
		return (wday+6)%7 + 1, 1, '0', true
	case 'U':
		return (yday + 7 - wday) / 7, 2, '0', true
	case 'V':
		return isoWeek, 2, '0', true
	case 'w':
		return wday, 1, '0', true
	case 'W':
		return (yday + 7 - (wday+6)%7) / 7, 2, '0', true
	case 'y':
		return t.Year() % 100, 2, '0', true
	case 'Y':
		return t.Year(), 4, '0', true
	}
	return 0, 0, 0, false
}

// composed are the sequences that stand for others.
var composed = map[byte]string{
	'c': "%a %b %e %H:%M:%S %Y", 'D': "%m/%d/%y", 'F': "%Y-%m-%d", 'r': "%I:%M:%S %p", 'R': "%H:%M", 'T': "%H:%M:%S", 'x': "%m/%d/%y", 'X': "%H:%M:%S",
}

// expand returns false for a sequence that is none.
func (d directive) expand(t time.Time) (string, bool) {
	if d.colons > 0 && d.verb != 'z' {
		return "", false
	}
	if value, width, pad, ok := numberOf(d.verb, t); ok {
		return d.number(value, width, pad), true
	}
	if format, ok := composed[d.verb]; ok {
		d.flags = strings.ReplaceAll(d.flags, "#", "")
		return d.text(Format(format, t)), true
	}
	name, _ := t.Zone()
	switch d.verb {
	case '%':
		return "%", d.flags == "" && d.width < 0
	case 'n':
		return d.text("\n"), true
	case 't':
		return d.text("\t"), true
	case 'a':
		return d.text(t.Format("Mon")), true
	case 'A':
		return d.text(t.Format("Monday")), true
	case 'b', 'h':
		return d.text(t.Format("Jan")), true
	case 'B':
		return d.text(t.Format("January")), true
	case 'p':
		return d.swapped(t.Format("PM")), true
	case 'P':
		d.flags = strings.Trim(d.flags, "^#")
		return d.text(t.Format("pm")), true
	case 'Z':
		return d.swapped(name), true
	case 'z':
		return d.offset(t)
	case 'N':
		return d.fraction(t), true
	}
	return "", false
}

// filler is what the flags say to fill up with, 0 for nothing.
func (d directive) filler(usual byte) byte {
	for _, flag := range d.flags {
		switch flag {
		case '-':
			usual = 0
		case '_':
			usual = '_'
		case '0', '+':
			usual = '0'
		}
	}
	return usual
}

func (d directive) number(value, width int, usual byte) string {
	if d.width >= 0 {
		width = d.width
	}
	sign := ""
	if value < 0 {
		sign, value = "-", -value
	}
	text := strconv.Itoa(value)
	switch missing := max(width-len(text)-len(sign), 0); d.filler(usual) {
	case '0':
		return sign + strings.Repeat("0", missing) + text
	case '_':
		return strings.Repeat(" ", missing) + sign + text
	}
	return sign + text
}

func (d directive) text(s string) string {
	if strings.ContainsAny(d.flags, "^#") {
		s = strings.ToUpper(s)
	}
	fill := " "
	if d.filler('_') == '0' {
		fill = "0"
	}
	if d.filler('_') == 0 {
		return s
	}
	return strings.Repeat(fill, max(d.width-len(s), 0)) + s
}

// swapped is a text that # writes in small letters.
func (d directive) swapped(s string) string {
	if strings.Contains(d.flags, "#") {
		d.flags, s = strings.ReplaceAll(d.flags, "#", ""), strings.ToLower(s)
	}
	return d.text(s)
}

// fraction is %N: the width says how many digits.
func (d directive) fraction(t time.Time) string {
	text := fmt.Sprintf("%09d", t.Nanosecond())
	switch {
	case d.width > len(text):
		return text + strings.Repeat("0", d.width-len(text))
	case d.width > 0:
		return text[:d.width]
	}
	return text
}

// offset is %z: +0200, +02:00, +02:00:00 and the shortest of them.
func (d directive) offset(t time.Time) (string, bool) {
	_, seconds := t.Zone()
	sign := "+"
	if seconds < 0 {
		sign, seconds = "-", -seconds
	}
	if fill := d.filler('0'); fill != '0' && d.colons == 0 {
		text := sign + strconv.Itoa(seconds/3600*100+seconds/60%60)
		if fill == '_' {
			text = fmt.Sprintf("%5s", text)
		}
		return text, true
	}
	h, m, s := seconds/3600, seconds/60%60, seconds%60
	colons := d.colons
	if colons == 3 {
		switch {
		case s != 0:
			colons = 2
		case m != 0:
			colons = 1
		}
	}
	switch colons {
	case 0:
		return fmt.Sprintf("%s%02d%02d", sign, h, m), true
	case 1:
		return fmt.Sprintf("%s%02d:%02d", sign, h, m), true
	case 2:
		return fmt.Sprintf("%s%02d:%02d:%02d", sign, h, m, s), true
	case 3:
		return fmt.Sprintf("%s%02d", sign, h), true
	}
	return "", false
}
