package toolbox

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/towline/towline/services/runner/internal/toolbox/getopt"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// Limits of xargs.
const (
	maxXargsInput = 16 << 20 // bytes read from standard input
	maxXargsBatch = 5000     // arguments per command
	exitXargs     = 123      // some command failed
)

// xargs runs other commands of the toolbox: xargs [-0] [-d C] [-r] [-t] [-n N]
// [-L N] [-I R] [command [argument...]].
func xargs(ctx context.Context, inv tool.Invocation) int {
	x, err := parseXargs(inv.Args)
	if err != nil {
		fmt.Fprintf(inv.Stderr, "xargs: %v\n", err)
		return 1
	}
	input, err := io.ReadAll(io.LimitReader(inv.Stdin, maxXargsInput+1))
	if err == nil && len(input) > maxXargsInput {
		err = fmt.Errorf("more than %d bytes of input", maxXargsInput)
	}
	if err != nil {
		fmt.Fprintf(inv.Stderr, "xargs: %v\n", err)
		return 1
	}
	code := 0
	for _, line := range x.commands(x.split(input)) {
		if x.trace {
			fmt.Fprintln(inv.Stderr, strings.Join(line, " "))
		}
		switch c := runPlain(ctx, inv, line); {
		case ctx.Err() != nil:
			return 1
		case c == exitNotFound || c == exitCannotRun:
			return c
		case c == 255:
			fmt.Fprintf(inv.Stderr, "xargs: %s: exited with status 255; aborting\n", line[0])
			return 124
		case c != 0:
			code = exitXargs
		}
	}
	return code
}

// runPlain runs a tool or a builtin that needs no shell.
func runPlain(ctx context.Context, inv tool.Invocation, args []string) int {
	if args[0] == "echo" {
		fmt.Fprintln(inv.Stdout, strings.Join(args[1:], " "))
		return 0
	}
	inner := inv
	inner.Name, inner.Args, inner.Stdin = args[0], args[1:], bytes.NewReader(nil)
	return inv.Run(ctx, inner)
}

type xargsCall struct {
	noEmpty, trace bool
	delimiter      string // ends each argument; "" splits at blanks
	batch          int    // arguments per command
	byLine         bool   // batch counts lines
	replace        string
	command        []string
}

var xargsSpec = getopt.Spec{Short: "0d:rtn:I:P:L:s:x", InOrder: true, Long: map[string]string{
	"null": "0", "delimiter": "d", "no-run-if-empty": "r", "verbose": "t", "max-args": "n", "max-procs": "P", "max-lines": "L", "replace": "I", "exit": "x",
}}

func parseXargs(args []string) (*xargsCall, error) {
	x := &xargsCall{batch: maxXargsBatch, command: []string{"echo"}}
	options, operands, err := getopt.Parse(xargsSpec, args)
	if err != nil {
		return nil, fmt.Errorf("%w (on this runner)", err)
	}
	for _, o := range options {
		switch o.Name {
		case "0":
			x.delimiter = "\x00"
		case "r":
			x.noEmpty = true
		case "t":
			x.trace = true
		case "x", "s":
		default:
			if err := x.option(o.Name[0], o.Value); err != nil {
				return nil, err
			}
		}
	}
	if len(operands) > 0 {
		x.command = operands
	}
	x.byLine = x.byLine && x.delimiter == ""
	return x, nil
}

func (x *xargsCall) option(name byte, value string) error {
	if name == 'I' {
		x.replace = value
		return nil
	}
	if name == 'd' {
		text, err := strconv.Unquote(`"` + strings.ReplaceAll(strings.ReplaceAll(value, `\0`, `\x00`), `"`, `\"`) + `"`)
		if err != nil || len(text) != 1 {
			return fmt.Errorf("the delimiter '%s' must be one character", value)
		}
		x.delimiter = text
		return nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || name != 'P' && n == 0 {
		return fmt.Errorf("invalid number %q for -%c option", value, name)
	}
	x.byLine = x.byLine || name == 'L'
	if name != 'P' { // -P is taken, and commands still run one after the other
		x.batch = min(n, maxXargsBatch)
	}
	return nil
}

// split cuts the input into arguments.
func (x *xargsCall) split(input []byte) []string {
	var out []string
	switch {
	case x.delimiter != "" && len(input) > 0:
		out = strings.Split(strings.TrimSuffix(string(input), x.delimiter), x.delimiter)
	case x.delimiter != "":
	case x.replace != "" || x.byLine:
		lines := bufio.NewScanner(bytes.NewReader(input))
		lines.Buffer(nil, maxXargsInput+1)
		for lines.Scan() {
			if line := strings.TrimLeft(lines.Text(), " \t"); line != "" {
				out = append(out, line)
			}
		}
	default:
		out = strings.Fields(string(input))
	}
	return out
}

// commands are the command lines to run.
func (x *xargsCall) commands(items []string) [][]string {
	var out [][]string
	if x.replace != "" {
		for _, item := range items {
			line := make([]string, len(x.command))
			for i, word := range x.command {
				line[i] = strings.ReplaceAll(word, x.replace, item)
			}
			out = append(out, line)
		}
		return out
	}
	if len(items) == 0 && !x.noEmpty {
		return [][]string{x.command}
	}
	for len(items) > 0 {
		n := min(len(items), x.batch)
		given := items[:n]
		if x.byLine {
			given = strings.Fields(strings.Join(given, " "))
		}
		out = append(out, append(append([]string{}, x.command...), given...))
		items = items[n:]
	}
	return out
}

// xargsWanted says whether xargs has an option that busybox's does not know.
func xargsWanted(args []string) bool {
	options, _, _ := getopt.Parse(xargsSpec, args)
	return slices.ContainsFunc(options, func(o getopt.Option) bool { return o.Name == "d" || o.Name == "L" })
}
