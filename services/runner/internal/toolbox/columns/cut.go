package columns

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/towline/towline/services/runner/internal/toolbox/getopt"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

var cutSpec = getopt.Spec{Short: "b:c:d:f:nsz", Long: map[string]string{
	"bytes": "b", "characters": "c", "delimiter": "d", "fields": "f", "only-delimited": "s", "zero-terminated": "z", "complement": "complement",
	"output-delimiter": "output:",
}}

// span is a range of places, from 1 on, with both ends in it.
type span struct{ from, to int }

// cutting is one command.
type cutting struct {
	spans     []span // in order, none touches another by more than its end
	fields    bool
	only      bool // lines without a delimiter are left out
	delimiter string
	between   string
	end       byte
}

// CutWanted says whether busybox's cut does not do as GNU's: it knows no
// --complement, and writes delimiters for fields that a line has not.
func CutWanted(args []string) bool {
	options, _, err := getopt.Parse(cutSpec, args)
	return err == nil && slices.ContainsFunc(options, func(o getopt.Option) bool {
		return o.Name == "f" || o.Name == "z" || len(o.Name) > 1
	})
}

// Cut prints parts of lines.
func Cut(ctx context.Context, inv tool.Invocation) int {
	options, operands, err := getopt.Parse(cutSpec, inv.Args)
	var c *cutting
	if err == nil {
		c, err = newCutting(options)
	}
	if err != nil {
		getopt.Fault(inv.Stderr, "cut", err)
		return 1
	}
	if len(operands) == 0 {
		operands = []string{"-"}
	}
	code := 0
	for _, name := range operands {
		if err := c.file(ctx, inv, name); err != nil {
			fmt.Fprintf(inv.Stderr, "cut: %s: %s\n", name, tool.Reason(err))
			code = 1
		}
	}
	return code
}

func newCutting(options []getopt.Option) (*cutting, error) {
	c := &cutting{delimiter: "\t", end: '\n'}
	set := map[string]bool{}
	list := ""
	for _, o := range options {
		set[o.Name] = true
		switch o.Name {
		case "b", "c", "f":
			if set["list"] {
				return nil, errors.New("only one list may be specified")
			}
			list, c.fields, set["list"] = o.Value, o.Name == "f", true
		case "d":
			if len(o.Value) > 1 {
				return nil, errors.New("the delimiter must be a single character")
			}
			c.delimiter = orZero(o.Value)
		case "output":
			c.between = orZero(o.Value)
		case "z":
			c.end = 0
		case "s":
			c.only = true
		}
	}
	if err := c.check(set); err != nil {
		return nil, err
	}
	if c.fields && !set["output"] {
		c.between = c.delimiter
	}
	var err error
	if c.spans, err = parseSpans(list, c.fields); err == nil && set["complement"] {
		c.spans = complement(c.spans)
	}
	return c, err
}

// orZero is a delimiter: none means a zero byte.
func orZero(text string) string {
	if text == "" {
		return "\x00"
	}
	return text
}

func (c *cutting) check(set map[string]bool) error {
	switch {
	case !set["list"]:
		return errors.New("you must specify a list of bytes, characters, or fields")
	case !c.fields && set["d"]:
		return errors.New("an input delimiter may be specified only when operating on fields")
	case !c.fields && set["s"]:
		return errors.New("suppressing non-delimited lines makes sense\n\tonly when operating on fields")
	}
	return nil
}

// parseSpans reads a list such as 1,3-5,7-.
func parseSpans(list string, fields bool) ([]span, error) {
	var out []span
	for item := range strings.SplitSeq(strings.NewReplacer(" ", ",", "\t", ",").Replace(list), ",") {
		s, err := parseSpan(item, fields)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	merged := out[:1]
	for _, s := range out[1:] {
		if last := &merged[len(merged)-1]; s.from <= last.to {
			last.to = max(last.to, s.to)
		} else {
			merged = append(merged, s)
		}
	}
	return merged, nil
}

func parseSpan(item string, fields bool) (s span, err error) {
	from, to, isRange := strings.Cut(item, "-")
	if isRange && from == "" && to == "" {
		return s, errors.New("invalid range with no endpoint: -")
	}
	if !isRange {
		to = from
	}
	s = span{1, math.MaxInt}
	if from != "" || !isRange {
		s.from, err = parsePlace(from, fields)
	}
	if err == nil && (to != "" || !isRange) {
		s.to, err = parsePlace(to, fields)
	}
	if err == nil && s.from > s.to {
		err = errors.New("invalid decreasing range")
	}
	return s, err
}

func parsePlace(text string, fields bool) (int, error) {
	what, kind := "byte/character position", "byte/character positions"
	if fields {
		what, kind = "field value", "fields"
	}
	n, err := strconv.Atoi(text)
	switch {
	case text != "" && (err != nil || text[0] == '+'):
		return 0, fmt.Errorf("invalid %s '%s'", what, text)
	case n < 1:
		return 0, fmt.Errorf("%s are numbered from 1", kind)
	}
	return n, nil
}

// complement is what a list leaves out.
func complement(spans []span) []span {
	var out []span
	next := 1
	for _, s := range spans {
		if s.from > next {
			out = append(out, span{next, s.from - 1})
		}
		if s.to == math.MaxInt {
			return out
		}
		next = s.to + 1
	}
	return append(out, span{next, math.MaxInt})
}

func (c *cutting) file(ctx context.Context, inv tool.Invocation, name string) error {
	f, err := open(inv, name)
	if err != nil {
		return err
	}
	defer f.Close()
	in := input{ctx: ctx, r: bufio.NewReader(f), end: c.end}
	for {
		line, err := in.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if out, ok := c.line(line); ok {
			if _, err := io.WriteString(inv.Stdout, out+string([]byte{c.end})); err != nil {
				return nil // a reader that has gone is no fault of the file
			}
		}
	}
}

// line is what of a line is printed. It is not ok for lines that are left out.
func (c *cutting) line(line string) (out string, ok bool) {
	var parts []string
	if !c.fields {
		for _, s := range c.spans {
			if s.from <= len(line) {
				parts = append(parts, line[s.from-1:min(s.to, len(line))])
			}
		}
		return strings.Join(parts, c.between), true
	}
	fields := strings.Split(line, c.delimiter)
	if len(fields) == 1 {
		return line, !c.only
	}
	for _, s := range c.spans {
		if s.from <= len(fields) {
			parts = append(parts, fields[s.from-1:min(s.to, len(fields))]...)
		}
	}
	return strings.Join(parts, c.between), true
}
