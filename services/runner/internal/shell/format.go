package shell

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const maxWidth = 1 << 20 // of one field of printf

// formatter is one call of printf.
type formatter struct {
	out    strings.Builder
	args   []string
	faults []string
	stop   bool // \c was met
}

// formatted carries out printf: the format is used again until every argument
// is.
func formatted(format string, args []string) (text string, faults []string) {
	f := &formatter{args: args}
	for {
		before := len(f.args)
		f.once(format)
		if f.stop || len(f.args) == 0 || len(f.args) == before || len(f.faults) > 100 {
			return f.out.String(), f.faults
		}
	}
}

func (f *formatter) fault(format string, args ...any) {
	f.faults = append(f.faults, fmt.Sprintf(format, args...))
}

func (f *formatter) next() (string, bool) {
	if len(f.args) == 0 {
		return "", false
	}
	arg := f.args[0]
	f.args = f.args[1:]
	return arg, true
}

func (f *formatter) once(format string) {
	for i := 0; i < len(format) && !f.stop; {
		switch format[i] {
		case '\\':
			text, n, end := unescape(format[i:], false)
			f.out.WriteString(text)
			f.stop = end
			i += n
		case '%':
			i += f.verb(format[i:])
		default:
			f.out.WriteByte(format[i])
			i++
		}
	}
}

// verb carries out one %... and returns its length.
func (f *formatter) verb(s string) int {
	i := 1
	for i < len(s) && strings.IndexByte("-+ #0'", s[i]) >= 0 {
		i++
	}
	flags := strings.ReplaceAll(s[1:i], "'", "")
	width, n := f.number(s[i:])
	i += n
	if width < 0 {
		flags, width = flags+"-", -width
	}
	precision := -1
	if i < len(s) && s[i] == '.' {
		precision, n = f.number(s[i+1:])
		i += 1 + n
	}
	for i < len(s) && strings.IndexByte("hlLjzt", s[i]) >= 0 {
		i++
	}
	if i >= len(s) {
		f.fault("`%s': missing format character", s)
		f.stop = true
		return len(s)
	}
	if s[i] == '(' {
		if layout, _, ok := strings.Cut(s[i+1:], ")T"); ok {
			f.pad(flags, width, precision, f.date(layout))
			return i + 1 + len(layout) + len(")T")
		}
	}
	f.convert(s[i], flags, width, precision)
	return i + 1
}

// number reads a width: digits, or * for an argument.
func (f *formatter) number(s string) (value, length int) {
	if strings.HasPrefix(s, "*") {
		arg, _ := f.next()
		return int(max(-maxWidth, min(maxWidth, f.integer(arg)))), 1
	}
	for length < len(s) && s[length] >= '0' && s[length] <= '9' {
		value = min(value*10+int(s[length]-'0'), maxWidth)
		length++
	}
	return value, length
}

func (f *formatter) convert(verb byte, flags string, width, precision int) {
	switch verb {
	case '%':
		f.out.WriteByte('%')
		return
	case 's', 'b', 'q', 'c':
		arg, _ := f.next()
		switch verb {
		case 'b':
			arg, f.stop = unescapeAll(arg)
		case 'q':
			arg = shellQuoted(arg)
		case 'c':
			arg = arg[:min(len(arg), 1)]
		}
		f.pad(flags, width, precision, arg)
		return
	}
	spec := "%" + flags
	if width > 0 {
		spec += strconv.Itoa(width)
	}
	if precision >= 0 {
		spec += "." + strconv.Itoa(precision)
	}
	arg, _ := f.next()
	switch verb {
	case 'd', 'i':
		fmt.Fprintf(&f.out, spec+"d", f.integer(arg))
	case 'u':
		fmt.Fprintf(&f.out, spec+"d", uint64(f.integer(arg)))
	case 'o', 'x', 'X':
		fmt.Fprintf(&f.out, spec+string(verb), uint64(f.integer(arg)))
	case 'e', 'E', 'f', 'F', 'g', 'G':
		fmt.Fprintf(&f.out, spec+string(verb), f.float(arg))
	default:
		f.fault("`%c': invalid format character", verb)
		f.stop = true
	}
}

// pad writes a text into a field whose width counts characters.
func (f *formatter) pad(flags string, width, precision int, text string) {
	if precision >= 0 {
		text = text[:min(len(text), precision)]
	}
	space := strings.Repeat(" ", max(0, width-len([]rune(text))))
	if strings.Contains(flags, "-") {
		f.out.WriteString(text + space)
	} else {
		f.out.WriteString(space + text)
	}
}

// integer reads a number as C has it, or the code of 'x.
func (f *formatter) integer(arg string) int64 {
	text := strings.TrimSpace(arg)
	switch {
	case text == "":
		return 0
	case text[0] == '\'' || text[0] == '"':
		for _, r := range text[1:] {
			return int64(r)
		}
		return 0
	}
	base := 10
	digits := strings.TrimLeft(text, "+-")
	if strings.HasPrefix(digits, "0") {
		base = 0 // 0x and octal
	}
	n, err := strconv.ParseInt(text, base, 64)
	if err == nil {
		return n
	}
	if u, err := strconv.ParseUint(text, base, 64); err == nil {
		return int64(u)
	}
	f.fault("%s: invalid number", arg)
	end := 0
	for end < len(text) && (text[end] >= '0' && text[end] <= '9' || end == 0 && (text[0] == '-' || text[0] == '+')) {
		end++
	}
	n, _ = strconv.ParseInt(text[:end], 10, 64)
	return n
}

func (f *formatter) float(arg string) float64 {
	text := strings.TrimSpace(arg)
	if text == "" {
		return 0
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil && !math.IsInf(x, 0) {
		f.fault("%s: invalid number", arg)
	}
	return x
}

// date is %(layout)T: the argument is in seconds since 1970; -1 and none are now.
func (f *formatter) date(layout string) string {
	at := time.Now()
	if arg, ok := f.next(); ok && arg != "-1" && arg != "-2" && arg != "" {
		at = time.Unix(f.integer(arg), 0)
	}
	if layout == "" {
		layout = "%X"
	}
	return strftime(layout, at)
}
