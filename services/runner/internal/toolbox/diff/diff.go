package diff

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// Exit codes of diff; the worst of all files counts.
const (
	same = iota
	different
	trouble
)

// maxDepth bounds how deep directories are compared.
const maxDepth = 200

// comparison is one command.
type comparison struct {
	*options

	ctx   context.Context
	inv   tool.Invocation
	stdin *side // once it has been read
}

// Run is the command.
func Run(ctx context.Context, inv tool.Invocation) int {
	if slices.Contains(inv.Args, "--version") {
		fmt.Fprintln(inv.Stdout, "diff (built into the Towline runner)")
		return same
	}
	o, err := parse(inv.Args)
	if err != nil {
		fmt.Fprintf(inv.Stderr, "diff: %v\ndiff: Try 'diff --help' for more information.\n", err)
		return trouble
	}
	c := &comparison{options: o, ctx: ctx, inv: inv}
	return c.top(o.operands[0], o.operands[1])
}

// top compares the two operands. A file is compared with the file of its name
// when the other operand is a directory.
func (c *comparison) top(a, b string) int {
	if code := c.missing(a, b); code != same {
		return code
	}
	switch aDir, bDir := c.isDir(a), c.isDir(b); {
	case aDir && bDir:
		return c.folders(a, b, 0)
	case aDir && b != "-":
		a = join(a, filepath.Base(b))
	case bDir && a != "-":
		b = join(b, filepath.Base(a))
	}
	if code := c.missing(a, b); code != same {
		return code
	}
	return c.files(a, b)
}

// missing reports operands that are not there; with --new-file one may be.
func (c *comparison) missing(a, b string) int {
	_, errA := c.stat(a)
	_, errB := c.stat(b)
	if c.absent && (errA == nil || errB == nil) {
		return same
	}
	code := same
	if errA != nil {
		code = c.fail(a, errA)
	}
	if errB != nil {
		code = c.fail(b, errB)
	}
	return code
}

func (c *comparison) fail(name string, err error) int {
	fmt.Fprintf(c.inv.Stderr, "diff: %s: %s\n", name, tool.Reason(err))
	return trouble
}

func (c *comparison) stat(name string) (os.FileInfo, error) {
	if name == "-" {
		return nil, nil //nolint:nilnil // there is nothing to know
	}
	return os.Stat(c.inv.Path(name))
}

func (c *comparison) isDir(name string) bool {
	info, err := c.stat(name)
	return err == nil && info != nil && info.IsDir()
}

// join is a name of the output: the operand stays as it was written.
func join(dir, name string) string { return strings.TrimSuffix(dir, "/") + "/" + name }

// folders compares two directories; with --new-file one of them may be missing.
func (c *comparison) folders(a, b string, depth int) int {
	if depth > maxDepth {
		fmt.Fprintf(c.inv.Stderr, "diff: %s: more than %d directories deep\n", a, maxDepth)
		return trouble
	}
	inA, errA := c.names(a)
	inB, errB := c.names(b)
	for name, err := range map[string]error{a: errA, b: errB} {
		if err != nil {
			return c.fail(name, err)
		}
	}
	names := slices.Concat(inA, inB)
	slices.Sort(names)
	code := same
	for _, name := range slices.Compact(names) {
		if c.ctx.Err() != nil {
			return trouble
		}
		if !c.excluded(name) {
			code = max(code, c.entry(a, b, name, slices.Contains(inA, name), slices.Contains(inB, name), depth))
		}
	}
	return code
}

func (c *comparison) names(dir string) ([]string, error) {
	list, err := os.ReadDir(c.inv.Path(dir))
	if os.IsNotExist(err) && c.absent {
		return nil, nil
	}
	var out []string
	for _, e := range list {
		out = append(out, e.Name())
	}
	return out, err
}

func (c *comparison) excluded(name string) bool {
	return slices.ContainsFunc(c.exclude, func(pattern string) bool {
		ok, err := filepath.Match(pattern, name)
		return err == nil && ok
	})
}

// entry compares what two directories have under one name.
func (c *comparison) entry(dirA, dirB, name string, inA, inB bool, depth int) int {
	a, b := join(dirA, name), join(dirB, name)
	folderA, folderB := inA && c.isDir(a), inB && c.isDir(b)
	folder := folderA || folderB
	switch {
	case !c.absent && !inB:
		fmt.Fprintf(c.inv.Stdout, "Only in %s: %s\n", dirA, name)
		return different
	case !c.absent && !inA:
		fmt.Fprintf(c.inv.Stdout, "Only in %s: %s\n", dirB, name)
		return different
	case inA && inB && folderA != folderB:
		fmt.Fprintf(c.inv.Stdout, "File %s is a %s while file %s is a %s\n", a, kind(folderA), b, kind(folderB))
		return different
	case folder && c.recursive:
		return c.folders(a, b, depth+1)
	case folder:
		fmt.Fprintf(c.inv.Stdout, "Common subdirectories: %s and %s\n", a, b)
		return same
	}
	var said strings.Builder
	whole := c.inv.Stdout
	c.inv.Stdout = &said
	code := c.files(a, b)
	c.inv.Stdout = whole
	if c.listing(said.String()) {
		fmt.Fprintf(whole, "diff%s %s %s\n", c.given, named(a), named(b))
	}
	_, _ = io.WriteString(whole, said.String())
	return code
}

// listing says whether changes were written, which are headed by the command
// that would compare the pair.
func (c *comparison) listing(said string) bool {
	return said != "" && !c.brief && !strings.HasPrefix(said, "Files ") && !strings.HasPrefix(said, "Binary files ")
}

func kind(folder bool) string {
	if folder {
		return "directory"
	}
	return "regular file"
}
