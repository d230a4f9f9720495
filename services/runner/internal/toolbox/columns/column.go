package columns

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// Limits of a table, which is in memory.
const (
	maxCells = 1 << 20
	maxTable = 64 << 20 // bytes
)

// table is one column.
type table struct {
	separators string // "" divides at runs of spaces and tabs
	rows       [][]string
	widths     []int
	cells      int
	bytes      int
}

// Column is the command column, whose tables (-t) it makes.
func Column(ctx context.Context, inv tool.Invocation) int {
	t, between, isTable := &table{}, "  ", false
	f := pflag.NewFlagSet("column", pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.BoolVarP(&isTable, "table", "t", false, "")
	f.StringVarP(&t.separators, "separator", "s", "", "")
	f.StringVarP(&between, "output-separator", "o", between, "")
	err := f.Parse(inv.Args)
	if err == nil && !isTable {
		err = errors.New("column makes tables in a job: column -t [-s SEPARATORS] [-o SEPARATOR] [FILE...]")
	}
	if err != nil {
		fmt.Fprintf(inv.Stderr, "column: %v\n", err)
		return 1
	}
	names := f.Args()
	if len(names) == 0 {
		names = []string{"-"}
	}
	missing := 0
	for _, name := range names {
		if err := t.read(ctx, inv, name); err != nil {
			fmt.Fprintf(inv.Stderr, "column: %s: %s\n", name, tool.Reason(err))
			missing++
		}
	}
	if err := t.write(inv.Stdout, between); err != nil {
		fmt.Fprintf(inv.Stderr, "column: %v\n", err)
		return 1
	}
	if missing == len(names) {
		return 1 // as the real one: a part is enough
	}
	return 0
}

func (t *table) read(ctx context.Context, inv tool.Invocation, name string) error {
	f, err := open(inv, name)
	if err != nil {
		return err
	}
	defer f.Close()
	in := &input{ctx: ctx, r: bufio.NewReader(f), end: '\n'}
	for {
		line, err := in.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := t.add(line); err != nil {
			return err
		}
	}
}

// add divides a line into cells. Empty lines make no row.
func (t *table) add(line string) error {
	if strings.Trim(line, " \t") == "" {
		return nil
	}
	row := strings.Fields(line)
	if t.separators != "" {
		row = strings.Split(strings.Map(func(r rune) rune {
			if strings.ContainsRune(t.separators, r) {
				return '\n' // a line has none
			}
			return r
		}, line), "\n")
	}
	t.rows, t.cells, t.bytes = append(t.rows, row), t.cells+len(row), t.bytes+len(line)
	if t.cells > maxCells || t.bytes > maxTable {
		return fmt.Errorf("the table is too large for a job: more than %d cells or %d MiB", maxCells, maxTable>>20)
	}
	for i, cell := range row {
		if i == len(t.widths) {
			t.widths = append(t.widths, 0)
		}
		t.widths[i] = max(t.widths[i], utf8.RuneCountInString(cell))
	}
	return nil
}

// write fills every row up to the last column, which is not padded.
func (t *table) write(w io.Writer, between string) error {
	out := bufio.NewWriter(w)
	for _, row := range t.rows {
		for i, width := range t.widths {
			cell := ""
			if i < len(row) {
				cell = row[i]
			}
			_, _ = out.WriteString(cell)
			if i < len(t.widths)-1 {
				_, _ = out.WriteString(strings.Repeat(" ", width-utf8.RuneCountInString(cell)) + between)
			}
		}
		_ = out.WriteByte('\n') // the error stays for Flush
	}
	return out.Flush()
}
