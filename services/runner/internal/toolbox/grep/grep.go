package grep

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// maxLine is the longest line that is searched, in bytes.
const maxLine = 64 << 20

// Exit codes of grep.
const (
	exitFound   = 0
	exitNothing = 1
	exitTrouble = 2
)

// search is one command.
type search struct {
	*options
	inv     tool.Invocation
	pattern *pattern
	out     *bufio.Writer
	found   bool
	trouble bool
}

// Run is the command.
func Run(ctx context.Context, inv tool.Invocation) int {
	o, err := parse(inv.Args)
	if err == nil && !o.set["P"] {
		return delegate(ctx, inv, o)
	}
	var p *pattern
	if err == nil {
		p, err = compile(strings.Join(o.patterns, "\n"), o.set["i"], o.set["w"], o.set["x"])
	}
	if err != nil {
		fmt.Fprintf(inv.Stderr, "grep: %v\n", err)
		return exitTrouble
	}
	s := &search{options: o, inv: inv, pattern: p, out: bufio.NewWriter(inv.Stdout)}
	w := walk{options: o, path: inv.Path, fail: s.fail, warn: s.warn}
	w.ended = func() bool { return ctx.Err() != nil || s.found && o.set["q"] }
	w.visit = func(name string) { s.file(ctx, name) }
	w.operands()
	if err := s.out.Flush(); err != nil {
		return exitTrouble
	}
	return s.code(s.found, s.trouble)
}

// code is the exit code of a search.
func (o *options) code(found, trouble bool) int {
	switch {
	case found && (o.set["q"] || !trouble):
		return exitFound
	case trouble:
		return exitTrouble
	}
	return exitNothing
}

func (s *search) warn(text string) { warn(s.inv, s.options, text) }

func (s *search) fail(name string, err error) {
	s.trouble = true
	warn(s.inv, s.options, name+": "+tool.Reason(err))
}

func warn(inv tool.Invocation, o *options, text string) {
	if !o.set["s"] {
		fmt.Fprintf(inv.Stderr, "grep: %s\n", text)
	}
}

func (s *search) file(ctx context.Context, name string) {
	if name == "-" {
		s.stream(ctx, "(standard input)", s.inv.Stdin)
		return
	}
	f, err := os.Open(s.inv.Path(name))
	if err != nil {
		s.fail(name, err)
		return
	}
	defer f.Close()
	s.stream(ctx, name, f)
}

// stream searches the lines of one file.
func (s *search) stream(ctx context.Context, name string, r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	lines.Split(s.split)
	w := window{search: s, name: name}
	count, number := 0, 0
	for count < s.most && lines.Scan() && ctx.Err() == nil {
		number++
		line := lines.Text()
		if s.pattern.matches(line) == s.set["v"] {
			w.other(number, line)
			continue
		}
		count++
		if s.set["q"] || s.set["l"] || s.set["L"] {
			break
		}
		if !s.set["c"] {
			w.match(number, line)
		}
	}
	// The lines after the last match are still its context.
	for count == s.most && w.left > 0 && lines.Scan() {
		number++
		w.other(number, lines.Text())
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("a line has more than %d bytes", maxLine)
		}
		s.fail(name, err)
	}
	s.summary(name, count)
}

func (s *search) summary(name string, count int) {
	s.found = s.found || count > 0
	switch {
	case s.set["q"]:
	case s.set["l"] && count > 0 || s.set["L"] && count == 0:
		fmt.Fprintln(s.out, name)
	case s.set["l"] || s.set["L"]:
	case s.set["c"] && s.names:
		fmt.Fprintf(s.out, "%s:%d\n", name, count)
	case s.set["c"]:
		fmt.Fprintf(s.out, "%d\n", count)
	}
}

func (s *search) split(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := slices.Index(data, s.end); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}
