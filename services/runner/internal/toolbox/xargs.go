package toolbox

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// Limits of xargs.
const (
	maxXargsInput = 16 << 20 // bytes read from standard input
	maxXargsBatch = 5000     // arguments per command
	exitXargs     = 123      // some command failed
)

// xargs runs other commands of the toolbox: xargs [-0] [-r] [-t] [-n N] [-I R]
// [command [argument...]].
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
	null, noEmpty, trace bool
	batch                int
	replace              string
	command              []string
}

func parseXargs(args []string) (*xargsCall, error) {
	x := &xargsCall{batch: maxXargsBatch, command: []string{"echo"}}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "-0" || arg == "--null":
			x.null = true
		case arg == "-r" || arg == "--no-run-if-empty":
			x.noEmpty = true
		case arg == "-t":
			x.trace = true
		case arg == "--":
			if len(args) > 0 {
				x.command = args
			}
			return x, nil
		case strings.HasPrefix(arg, "-n") || strings.HasPrefix(arg, "-I") || strings.HasPrefix(arg, "-P"):
			value := arg[2:]
			if value == "" {
				if len(args) == 0 {
					return nil, fmt.Errorf("option requires an argument -- '%s'", arg[1:])
				}
				value, args = args[0], args[1:]
			}
			if err := x.option(arg[1], value); err != nil {
				return nil, err
			}
		case strings.HasPrefix(arg, "-"):
			return nil, fmt.Errorf("option %s is not supported on this runner", arg)
		default:
			x.command = append([]string{arg}, args...)
			return x, nil
		}
	}
	return x, nil
}

func (x *xargsCall) option(name byte, value string) error {
	if name == 'I' {
		x.replace = value
		return nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || name == 'n' && n == 0 {
		return fmt.Errorf("invalid number %q for -%c option", value, name)
	}
	if name == 'n' { // -P is taken, and commands still run one after the other
		x.batch = min(n, maxXargsBatch)
	}
	return nil
}

// split cuts the input into arguments.
func (x *xargsCall) split(input []byte) []string {
	var out []string
	switch {
	case x.null:
		for part := range strings.SplitSeq(string(input), "\x00") {
			if part != "" {
				out = append(out, part)
			}
		}
	case x.replace != "":
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
		out = append(out, append(append([]string{}, x.command...), items[:n]...))
		items = items[n:]
	}
	return out
}
