package perlgrep

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

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

// Run is grep -P.
func Run(ctx context.Context, inv tool.Invocation) int {
	o, err := parse(inv.Args)
	var p *pattern
	if err == nil {
		p, err = compile(strings.Join(o.patterns, "\n"), o.set["i"], o.set["w"], o.set["x"])
	}
	if err != nil {
		fmt.Fprintf(inv.Stderr, "grep: %v\n", err)
		return exitTrouble
	}
	s := &search{options: o, inv: inv, pattern: p, out: bufio.NewWriter(inv.Stdout)}
	for _, file := range o.files {
		if ctx.Err() != nil || s.found && o.set["q"] {
			break
		}
		s.operand(ctx, file)
	}
	if err := s.out.Flush(); err != nil {
		return exitTrouble
	}
	switch {
	case s.found && (o.set["q"] || !s.trouble):
		return exitFound
	case s.trouble:
		return exitTrouble
	}
	return exitNothing
}

func (s *search) fail(name string, err error) {
	s.trouble = true
	if !s.set["s"] {
		fmt.Fprintf(s.inv.Stderr, "grep: %s: %s\n", name, tool.Reason(err))
	}
}

// operand searches a file, a tree or standard input.
func (s *search) operand(ctx context.Context, name string) {
	if name == "-" {
		s.stream(ctx, "(standard input)", s.inv.Stdin)
		return
	}
	info, err := os.Stat(s.inv.Path(name))
	switch {
	case err != nil:
		s.fail(name, err)
	case !info.IsDir():
		s.file(ctx, name)
	case s.recursive():
		s.tree(ctx, name)
	default:
		s.fail(name, syscall.EISDIR)
	}
}

func (s *search) tree(ctx context.Context, name string) {
	root := s.inv.Path(name)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		shown := name
		if rel, e := filepath.Rel(root, path); e == nil && rel != "." {
			shown = strings.TrimSuffix(name, "/") + "/" + rel
		}
		switch {
		case ctx.Err() != nil:
			return fs.SkipAll
		case err != nil:
			s.fail(shown, err)
		case entry.IsDir() && path != root && among(s.skipDir, entry.Name()):
			return fs.SkipDir
		case entry.Type().IsRegular() && !among(s.exclude, entry.Name()) && (len(s.include) == 0 || among(s.include, entry.Name())):
			if s.files[0] == "." && len(s.files) == 1 && !slices.Contains(s.inv.Args, ".") {
				shown = strings.TrimPrefix(shown, "./")
			}
			s.file(ctx, shown)
		}
		return nil
	})
	if err != nil {
		s.fail(name, err)
	}
}

func among(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(g string) bool { ok, _ := filepath.Match(g, name); return ok })
}

func (s *search) file(ctx context.Context, name string) {
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
