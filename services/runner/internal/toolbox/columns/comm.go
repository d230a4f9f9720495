package columns

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// comparing is one comm.
type comparing struct {
	hide          [3]bool // columns that are not shown
	always, never bool    // of checking the order
	total, zero   bool
	separator     string
	end           string
	unpaired      bool // a line of one file only was seen
	warned        [2]bool
	counts        [3]int
	files         [2]*input
	line, last    [2]string // of each file: this line and the one before
	seen          [2]int    // lines read
	more          [2]bool   // there is a line
	out           *bufio.Writer
	errs          io.Writer
}

var errUnsorted = errors.New("input is not in sorted order")

// Comm is the command comm.
func Comm(ctx context.Context, inv tool.Invocation) int {
	c := &comparing{errs: inv.Stderr, end: "\n"}
	f := pflag.NewFlagSet("comm", pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	for i, name := range []string{"1", "2", "3"} {
		f.BoolVarP(&c.hide[i], "hide-"+name, name, false, "")
	}
	f.BoolVar(&c.always, "check-order", false, "")
	f.BoolVar(&c.never, "nocheck-order", false, "")
	f.BoolVar(&c.total, "total", false, "")
	f.BoolVarP(&c.zero, "zero-terminated", "z", false, "")
	f.StringVar(&c.separator, "output-delimiter", "\t", "")
	err := f.Parse(inv.Args)
	const operands = 2
	switch {
	case err != nil:
	case f.NArg() == 0:
		err = errors.New("missing operand")
	case f.NArg() < operands:
		err = fmt.Errorf("missing operand after '%s'", f.Arg(0))
	case f.NArg() > operands:
		err = fmt.Errorf("extra operand '%s'", f.Arg(operands))
	}
	if err == nil {
		err = c.run(ctx, inv, f.Args())
	}
	if err != nil {
		fmt.Fprintf(inv.Stderr, "comm: %v\n", err)
		return 1
	}
	return 0
}

func (c *comparing) run(ctx context.Context, inv tool.Invocation, names []string) error {
	c.out = bufio.NewWriter(inv.Stdout)
	if c.zero {
		c.end = "\x00"
	}
	for i, name := range names {
		f, err := open(inv, name)
		if err != nil {
			return fmt.Errorf("%s: %s", name, tool.Reason(err))
		}
		defer f.Close()
		c.files[i] = &input{ctx: ctx, r: bufio.NewReader(f), end: c.end[0]}
	}
	err := c.compare()
	if flushErr := c.out.Flush(); err == nil {
		err = flushErr
	}
	return err
}

// compare goes through both files.
func (c *comparing) compare() error {
	for i := range c.files {
		if err := c.read(i); err != nil {
			return err
		}
	}
	for c.more[0] || c.more[1] {
		order := c.order()
		c.unpaired = c.unpaired || order != 0
		c.show(order)
		for i, advance := range []bool{order <= 0, order >= 0} {
			if !advance {
				continue
			}
			if err := c.read(i); err != nil {
				return err
			}
		}
	}
	if c.total {
		fmt.Fprintf(c.out, "%d%s%d%s%d%stotal%s", c.counts[0], c.separator, c.counts[1], c.separator, c.counts[2], c.separator, c.end)
	}
	if c.warned[0] || c.warned[1] {
		return errUnsorted
	}
	return nil
}

func (c *comparing) order() int {
	switch {
	case !c.more[0]:
		return 1
	case !c.more[1]:
		return -1
	}
	return strings.Compare(c.line[0], c.line[1])
}

// show writes a line in its column: 0 of the first file, 1 of the second, 2 of
// both.
func (c *comparing) show(order int) {
	column, line := 2, c.line[0]
	switch {
	case order < 0:
		column = 0
	case order > 0:
		column, line = 1, c.line[1]
	}
	c.counts[column]++
	if c.hide[column] {
		return
	}
	for i := range column {
		if !c.hide[i] {
			_, _ = c.out.WriteString(c.separator)
		}
	}
	_, _ = c.out.WriteString(line + c.end) // the error stays for Flush
}

// read takes the next line of a file and checks its order. At the end it checks
// the last two again: a line without a pair may have come since.
func (c *comparing) read(i int) error {
	line, err := c.files[i].next()
	if errors.Is(err, io.EOF) {
		c.more[i] = false
		if c.seen[i] > 1 {
			return c.check(i, c.last[i], c.line[i])
		}
		return nil
	}
	if err != nil {
		return err
	}
	c.last[i], c.line[i], c.more[i] = c.line[i], line, true
	c.seen[i]++
	if c.seen[i] > 1 {
		return c.check(i, c.last[i], line)
	}
	return nil
}

// check complains once about each file, and only when lines without a pair make
// it matter, unless the command line says otherwise.
func (c *comparing) check(i int, before, line string) error {
	if c.never || !c.always && !c.unpaired || c.warned[i] || before <= line {
		return nil
	}
	said := fmt.Errorf("file %d is not in sorted order", i+1)
	if c.always {
		return said
	}
	c.warned[i] = true
	fmt.Fprintf(c.errs, "comm: %v\n", said)
	return nil
}
