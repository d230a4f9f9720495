package grep

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// maxBatch is how many bytes of names one program gets. The kernel takes more,
// but environment and patterns count as well.
const maxBatch = 64 << 10

// delegation has the program of the toolbox folder search the files that walk
// finds.
type delegation struct {
	*options
	inv            tool.Invocation
	args           []string // before the names
	batch          []string
	size           int
	found, trouble bool
}

// delegate is grep without -P.
func delegate(ctx context.Context, inv tool.Invocation, o *options) int {
	d := &delegation{options: o, inv: inv, args: o.forwarded()}
	w := walk{options: o, path: inv.Path}
	w.ended = func() bool { return ctx.Err() != nil || d.found && o.set["q"] }
	w.warn = func(text string) { warn(inv, o, text) }
	w.fail = func(name string, err error) {
		d.run(ctx) // so that output and errors come in order
		d.trouble = true
		w.warn(name + ": " + tool.Reason(err))
	}
	w.visit = func(name string) {
		if d.size+len(name) > maxBatch {
			d.run(ctx)
		}
		d.batch, d.size = append(d.batch, name), d.size+len(name)+1
	}
	w.operands()
	if !w.ended() {
		d.run(ctx)
	}
	return o.code(d.found, d.trouble)
}

// forwarded are the options for the program. -L becomes -l: what is left is
// named here, because GNU's exit code speaks of the lines and not of the names.
func (o *options) forwarded() []string {
	var out []string
	for _, option := range o.given {
		switch name := option.Name; name {
		case "A", "B", "C", "m", "f":
			out = append(out, "-"+name, option.Value)
		case "L":
			out = append(out, "-l")
		case "E", "F", "I", "c", "i", "l", "n", "o", "q", "s", "v", "w", "x", "z", "a":
			out = append(out, "-"+name)
		}
	}
	for _, pattern := range o.patterns {
		out = append(out, "-e", pattern)
	}
	if o.names {
		return append(out, "-H", "--")
	}
	return append(out, "-h", "--")
}

// run searches the files of one batch.
func (d *delegation) run(ctx context.Context) {
	if len(d.batch) == 0 {
		return
	}
	names := d.batch
	inner := d.inv
	inner.Name, inner.Args, inner.Stdin = "grep", append(d.args[:len(d.args):len(d.args)], names...), nil
	if slices.Contains(names, "-") || slices.Contains(d.args, "-") { // a file, or the patterns
		inner.Stdin = d.inv.Stdin
	}
	d.batch, d.size = nil, 0
	var listed bytes.Buffer
	if d.set["L"] && !d.set["q"] {
		inner.Stdout = &listed
	}
	code := d.inv.Run(ctx, inner)
	if d.set["L"] && !d.set["q"] {
		// With an error the code says nothing about lines.
		d.found = d.found || listed.Len() > 0
		d.others(names, listed.String())
	}
	d.found = d.found || code == exitFound
	d.trouble = d.trouble || code > exitNothing
}

// others names the files that were searched and are not listed.
func (d *delegation) others(names []string, listed string) {
	matched := map[string]bool{}
	for line := range strings.Lines(listed) {
		matched[strings.TrimSuffix(line, "\n")] = true
	}
	var out strings.Builder
	for _, name := range names {
		shown := name
		if name == "-" {
			shown = "(standard input)"
		} else if f, err := os.Open(d.inv.Path(name)); err != nil {
			continue // the program has said so
		} else {
			_ = f.Close()
		}
		if !matched[shown] {
			out.WriteString(shown + "\n")
		}
	}
	_, _ = d.inv.Stdout.Write([]byte(out.String())) // a reader that has gone is no fault
}
