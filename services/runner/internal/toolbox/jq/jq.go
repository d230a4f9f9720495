package jq

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/itchyny/gojq"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// Exit codes of jq.
const (
	exitFalse    = 1 // -e and the last output was null or false
	exitUsage    = 2 // also input that cannot be read
	exitCompile  = 3
	exitNoOutput = 4 // -e and no output
	exitError    = 5
)

// Run is the command.
func Run(ctx context.Context, inv tool.Invocation) int {
	opts, err := parse(inv)
	switch {
	case err != nil:
		fmt.Fprintf(inv.Stderr, "jq: %v\nUse jq --help for help with command-line options\n", err)
		return exitUsage
	case opts.help:
		fmt.Fprint(inv.Stdout, usage)
		return 0
	case opts.version:
		fmt.Fprintln(inv.Stdout, "jq-1.7 (gojq)")
		return 0
	}
	in := newInputs(inv, opts)
	defer in.close()
	code, err := compile(inv, opts, in)
	if err != nil {
		fmt.Fprintf(inv.Stderr, "jq: error: %v\njq: 1 compile error\n", err)
		return exitCompile
	}
	f := &filter{ctx: ctx, inv: inv, opts: opts, in: in, code: code, out: newPrinter(inv.Stdout, opts)}
	return f.run()
}

func compile(inv tool.Invocation, opts *options, in *inputs) (*gojq.Code, error) {
	query, err := gojq.Parse(opts.filter)
	if err != nil {
		return nil, err
	}
	library := make([]string, len(opts.library))
	for i, dir := range opts.library {
		library[i] = inv.Path(dir)
	}
	return gojq.Compile(query,
		gojq.WithModuleLoader(gojq.NewModuleLoader(library)),
		gojq.WithEnvironLoader(func() []string { return inv.Environ }),
		gojq.WithVariables(opts.names),
		gojq.WithInputIter(in),
		gojq.WithFunction("debug", 0, 0, func(v any, _ []any) any {
			fmt.Fprintln(inv.Stderr, compactJSON([]any{"DEBUG:", v}))
			return v
		}),
		gojq.WithFunction("stderr", 0, 0, func(v any, _ []any) any {
			text, ok := v.(string)
			if !ok {
				text = compactJSON(v)
			}
			fmt.Fprint(inv.Stderr, text)
			return v
		}),
		gojq.WithFunction("input_filename", 0, 0, func(any, []any) any {
			if len(opts.files) == 0 || in.name == "" {
				return nil
			}
			return in.name
		}),
		gojq.WithFunction("input_line_number", 0, 0, func(any, []any) any {
			if in.lines == nil {
				return 0
			}
			return in.lines.line
		}),
	)
}

// filter is a compiled filter at work.
type filter struct {
	ctx  context.Context
	inv  tool.Invocation
	opts *options
	in   *inputs
	code *gojq.Code
	out  *printer

	last    any
	printed bool
	failure int // exit code of the last error, 0 for none
}

func (f *filter) run() int {
	if f.opts.nullInput {
		if code, stop := f.apply(nil); stop {
			return code
		}
	}
	for !f.opts.nullInput && f.ctx.Err() == nil {
		v, ok := f.in.Next()
		if !ok {
			break
		}
		if err, failed := v.(error); failed {
			fmt.Fprintf(f.inv.Stderr, "jq: parse error: %v\n", err)
			return exitUsage
		}
		if code, stop := f.apply(v); stop {
			return code
		}
	}
	switch {
	case f.in.broken > 0:
		return exitUsage
	case f.failure != 0 || !f.opts.exitStatus:
		return f.failure
	case !f.printed:
		return exitNoOutput
	case f.last == nil || f.last == false:
		return exitFalse
	}
	return 0
}

// apply runs the filter on one input. stop says that the command ends with
// code.
func (f *filter) apply(v any) (code int, stop bool) {
	f.failure = 0
	results := f.code.RunWithContext(f.ctx, v, f.opts.values...)
	for {
		result, ok := results.Next()
		if !ok {
			return 0, false
		}
		err, failed := result.(error)
		if !failed {
			err = f.out.print(result)
			f.last, f.printed = result, true
		}
		if err == nil {
			continue
		}
		return f.fail(err)
	}
}

func (f *filter) fail(err error) (code int, stop bool) {
	var halt *gojq.HaltError
	var input *parseError
	var write writeError
	switch {
	case errors.As(err, &halt):
		return f.halt(halt), true
	case errors.As(err, &input):
		fmt.Fprintf(f.inv.Stderr, "jq: parse error: %v\n", err)
		return exitUsage, true
	case errors.As(err, &write):
		fmt.Fprintf(f.inv.Stderr, "jq: error: writing output failed: %s\n", tool.Reason(err))
		return exitUsage, true
	}
	place := f.in.location()
	if f.opts.nullInput && !f.in.started {
		place = "<unknown>"
	}
	var value gojq.ValueError
	text := strings.TrimPrefix(err.Error(), "error: ")
	if errors.As(err, &value) {
		if v, ok := value.Value().(string); ok {
			text = v
		} else {
			text = compactJSON(value.Value()) + " (not a string)"
		}
	}
	fmt.Fprintf(f.inv.Stderr, "jq: error (at %s): %s\n", place, text)
	f.failure = exitError
	return 0, false
}

// halt is halt and halt_error.
func (f *filter) halt(err *gojq.HaltError) int {
	switch v := err.Value().(type) {
	case nil:
	case string:
		fmt.Fprint(f.inv.Stderr, v)
	default:
		fmt.Fprintln(f.inv.Stderr, compactJSON(v))
	}
	return err.ExitCode()
}
