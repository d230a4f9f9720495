package jq

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// maxDepth bounds the nesting of a value that is written.
const maxDepth = 10_000

var errTooDeep = fmt.Errorf("the result is nested deeper than %d levels", maxDepth)

// Colors of jq 1.7.
const (
	colorNull   = "\x1b[1;30m"
	colorScalar = "\x1b[0;39m"
	colorString = "\x1b[0;32m"
	colorBox    = "\x1b[1;39m"
	colorKey    = "\x1b[34;1m"
	colorEnd    = "\x1b[0m"
)

// printer writes values as the options say.
type printer struct {
	w      io.Writer
	opts   *options
	indent string
	b      strings.Builder
}

func newPrinter(w io.Writer, o *options) *printer {
	p := &printer{w: w, opts: o, indent: strings.Repeat(" ", o.indent)}
	if o.tab {
		p.indent = "\t"
	}
	if o.compact {
		p.indent = ""
	}
	return p
}

func (p *printer) print(v any) error {
	p.b.Reset()
	if p.opts.seq {
		p.b.WriteByte('\x1e')
	}
	raw := p.opts.raw || p.opts.raw0 || p.opts.join
	text, isText := v.(string)
	switch {
	case raw && isText && !p.opts.ascii:
		if p.opts.raw0 && strings.Contains(text, "\x00") {
			return errors.New("Cannot dump a string containing NUL with --raw-output0 option") //nolint:staticcheck // ST1005: jq's words
		}
		p.b.WriteString(text)
	default:
		if err := p.value(v, 0); err != nil {
			return err
		}
	}
	switch {
	case p.opts.raw0:
		p.b.WriteByte(0)
	case !p.opts.join:
		p.b.WriteByte('\n')
	}
	if _, err := io.WriteString(p.w, p.b.String()); err != nil {
		return writeError{err}
	}
	return nil
}

// writeError is an output that nobody reads any more.
type writeError struct{ error }

func (p *printer) value(v any, depth int) error {
	switch v := v.(type) {
	case nil:
		p.colored(colorNull, "null")
	case string:
		p.colored(colorString, quote(v, p.opts.ascii))
	case []any:
		return p.array(v, depth)
	case map[string]any:
		return p.object(v, depth)
	default:
		p.colored(colorScalar, scalar(v))
	}
	return nil
}

// scalar is a number or a truth value.
func scalar(v any) string {
	switch v := v.(type) {
	case float64:
		return number(v)
	case *big.Int:
		return v.String()
	case json.Number:
		return v.String()
	}
	return fmt.Sprint(v)
}

func number(f float64) string {
	if math.IsNaN(f) {
		return "null"
	}
	f = min(max(f, -math.MaxFloat64), math.MaxFloat64)
	format := byte('f')
	if x := math.Abs(f); x != 0 && (x < 1e-5 || x >= 1e17) {
		format = 'e'
	}
	return strconv.FormatFloat(f, format, -1, 64)
}

func (p *printer) array(v []any, depth int) error {
	if depth >= maxDepth {
		return errTooDeep
	}
	p.colored(colorBox, "[")
	for i, item := range v {
		p.separate(i, depth+1)
		if err := p.value(item, depth+1); err != nil {
			return err
		}
	}
	p.end(len(v), depth, "]")
	return nil
}

func (p *printer) object(v map[string]any, depth int) error {
	if depth >= maxDepth {
		return errTooDeep
	}
	p.colored(colorBox, "{")
	for i, key := range slices.Sorted(maps.Keys(v)) {
		p.separate(i, depth+1)
		p.colored(colorKey, quote(key, p.opts.ascii))
		p.colored(colorBox, ":")
		if p.indent != "" {
			p.b.WriteByte(' ')
		}
		if err := p.value(v[key], depth+1); err != nil {
			return err
		}
	}
	p.end(len(v), depth, "}")
	return nil
}

func (p *printer) separate(i, depth int) {
	if i > 0 {
		p.colored(colorBox, ",")
	}
	p.newline(depth)
}

func (p *printer) end(n, depth int, bracket string) {
	if n > 0 {
		p.newline(depth)
	}
	p.colored(colorBox, bracket)
}

func (p *printer) newline(depth int) {
	if p.indent == "" {
		return
	}
	p.b.WriteByte('\n')
	for range depth {
		p.b.WriteString(p.indent)
	}
}

func (p *printer) colored(color, text string) {
	if p.opts.color {
		text = color + text + colorEnd
	}
	p.b.WriteString(text)
}

var escapes = map[rune]string{'"': `\"`, '\\': `\\`, '\b': `\b`, '\f': `\f`, '\n': `\n`, '\r': `\r`, '\t': `\t`}

// quote is a string as JSON.
func quote(s string, ascii bool) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		escape, ok := escapes[r]
		switch {
		case ok:
			b.WriteString(escape)
		case r < ' ' || r == '\x7f':
			fmt.Fprintf(&b, `\u%04x`, r)
		case ascii && r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		case ascii && r > '~':
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// compactJSON is a value in one line.
func compactJSON(v any) string {
	p := newPrinter(nil, &options{compact: true})
	if err := p.value(v, 0); err != nil {
		return "(" + err.Error() + ")"
	}
	return p.b.String()
}
