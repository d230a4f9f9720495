package place

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/towline/towline/services/runner/internal/toolbox/getopt"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// Limits of join, which keeps both files in memory.
const (
	maxJoinInput = 64 << 20 // bytes of one file
	maxJoinLine  = 1 << 20  // bytes of a line
)

var joinSpec = getopt.Spec{Short: "1:2:a:e:ij:o:t:v:", Long: map[string]string{
	"ignore-case": "i", "header": "header", "check-order": "check-order", "nocheck-order": "nocheck-order",
}}

// row is a line of a file.
type row struct {
	key    string
	fields []string
}

// joining is one command.
type joining struct {
	sep    string // "" for blanks
	field  [2]int // counted from 0
	alone  [2]bool
	pairs  bool
	empty  string
	output []string
	fold   bool
	header bool
	out    *bufio.Writer
}

// Join prints the lines of two sorted files that have a field in common.
func Join(_ context.Context, inv tool.Invocation) int {
	j := &joining{pairs: true, out: bufio.NewWriter(inv.Stdout)}
	options, operands, err := getopt.Parse(joinSpec, inv.Args)
	for _, o := range options {
		if err == nil {
			err = j.option(o)
		}
	}
	switch {
	case err != nil:
	case len(operands) < 2:
		err = errors.New("two files are needed")
	case len(operands) > 2:
		err = fmt.Errorf("extra operand '%s'", operands[2])
	case operands[0] == "-" && operands[1] == "-":
		err = errors.New("both files cannot be standard input")
	}
	if err != nil {
		return fault(inv, "join", err)
	}
	var rows [2][]row
	for i, name := range operands {
		if rows[i], err = j.read(inv, name, j.field[i]); err != nil {
			return fail(inv, "join", name, err)
		}
	}
	j.merge(rows[0], rows[1])
	if err := j.out.Flush(); err != nil {
		return 1
	}
	return 0
}

func (j *joining) option(o getopt.Option) error {
	number := 0
	if strings.Contains("12jav", o.Name) {
		n, err := strconv.Atoi(o.Value)
		if err != nil || n < 1 || (o.Name == "a" || o.Name == "v") && n > 2 {
			return fmt.Errorf("invalid field number: '%s'", o.Value)
		}
		number = n - 1
	}
	switch o.Name {
	case "1":
		j.field[0] = number
	case "2":
		j.field[1] = number
	case "j":
		j.field = [2]int{number, number}
	case "a":
		j.alone[number] = true
	case "v":
		j.alone[number], j.pairs = true, false
	case "e":
		j.empty = o.Value
	case "i":
		j.fold = true
	case "header":
		j.header = true
	case "t":
		if len(o.Value) != 1 && o.Value != `\0` {
			return fmt.Errorf("multi-character tab '%s'", o.Value)
		}
		j.sep = o.Value
	case "o":
		j.output = append(j.output, strings.FieldsFunc(o.Value, func(c rune) bool { return c == ',' || c == ' ' })...)
		return j.checkOutput()
	}
	return nil
}

func (j *joining) checkOutput() error {
	for _, spec := range j.output {
		file, field, ok := strings.Cut(spec, ".")
		n, err := strconv.Atoi(field)
		if spec != "0" && (!ok || file != "1" && file != "2" || err != nil || n < 1) {
			return fmt.Errorf("invalid field specifier: '%s'", spec)
		}
	}
	return nil
}

func (j *joining) read(inv tool.Invocation, name string, field int) ([]row, error) {
	in := inv.Stdin
	if name != "-" {
		f, err := os.Open(inv.Path(name))
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	bounded := &io.LimitedReader{R: in, N: maxJoinInput + 1}
	lines := bufio.NewScanner(bounded)
	lines.Buffer(nil, maxJoinLine)
	var rows []row
	for lines.Scan() {
		r := row{fields: strings.Fields(lines.Text())}
		if j.sep != "" {
			r.fields = strings.Split(lines.Text(), j.sep)
		}
		if field < len(r.fields) {
			r.key = r.fields[field]
		}
		rows = append(rows, r)
	}
	if bounded.N <= 0 {
		return nil, fmt.Errorf("more than %d bytes", maxJoinInput)
	}
	return rows, lines.Err()
}

func (j *joining) compare(a, b row) int {
	if j.fold {
		return strings.Compare(strings.ToLower(a.key), strings.ToLower(b.key))
	}
	return strings.Compare(a.key, b.key)
}

// merge walks through both files, which are sorted.
func (j *joining) merge(a, b []row) {
	if j.header && len(a) > 0 && len(b) > 0 {
		j.print(&a[0], &b[0])
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 {
		switch order := j.compare(a[0], b[0]); {
		case order < 0:
			j.unpaired(0, &a[0])
			a = a[1:]
		case order > 0:
			j.unpaired(1, &b[0])
			b = b[1:]
		default:
			na, nb := j.same(a), j.same(b)
			for i := range na {
				for k := range nb {
					if j.pairs {
						j.print(&a[i], &b[k])
					}
				}
			}
			a, b = a[na:], b[nb:]
		}
	}
	for i := range a {
		j.unpaired(0, &a[i])
	}
	for i := range b {
		j.unpaired(1, &b[i])
	}
}

// same is how many rows from the first on have its key.
func (j *joining) same(rows []row) int {
	n := 1
	for n < len(rows) && j.compare(rows[0], rows[n]) == 0 {
		n++
	}
	return n
}

func (j *joining) unpaired(file int, r *row) {
	switch {
	case !j.alone[file]:
	case file == 0:
		j.print(r, nil)
	default:
		j.print(nil, r)
	}
}

// print writes one line; either row may be missing.
func (j *joining) print(a, b *row) {
	sep := j.sep
	if sep == "" {
		sep = " "
	}
	first := a
	if first == nil {
		first = b
	}
	var fields []string
	if len(j.output) > 0 {
		for _, spec := range j.output {
			fields = append(fields, j.chosen(spec, first, a, b))
		}
	} else {
		fields = append(fields, first.key)
		for i, r := range []*row{a, b} {
			if r == nil {
				continue
			}
			for n, f := range r.fields {
				if n != j.field[i] {
					fields = append(fields, f)
				}
			}
		}
	}
	j.out.WriteString(strings.Join(fields, sep) + "\n") //nolint:errcheck // Flush tells
}

func (j *joining) chosen(spec string, first, a, b *row) string {
	file, field, _ := strings.Cut(spec, ".")
	r := first
	text := first.key
	if file != "0" {
		text = ""
		if r = a; file == "2" {
			r = b
		}
		if n, _ := strconv.Atoi(field); r != nil && n <= len(r.fields) {
			text = r.fields[n-1]
		}
	}
	if text == "" {
		return j.empty
	}
	return text
}
