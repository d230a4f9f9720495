package git

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/towline/towline/services/runner/internal/toolbox/unified"
)

// diffFlags are the options of diff.
type diffFlags struct {
	nameOnly, nameStatus, stat, shortStat bool
	quiet, exitCode, cached, ignored      bool
	context                               int
	filter                                string
}

func (d *diffFlags) define(f *pflag.FlagSet) {
	f.BoolVar(&d.nameOnly, "name-only", false, "")
	f.BoolVar(&d.nameStatus, "name-status", false, "")
	f.BoolVar(&d.stat, "stat", false, "")
	f.BoolVar(&d.shortStat, "shortstat", false, "")
	f.BoolVar(&d.quiet, "quiet", false, "")
	f.BoolVar(&d.exitCode, "exit-code", false, "")
	f.BoolVar(&d.cached, "cached", false, "")
	f.BoolVar(&d.cached, "staged", false, "")
	f.BoolVar(&d.ignored, "no-color", false, "")
	f.BoolVar(&d.ignored, "no-ext-diff", false, "")
	f.IntVarP(&d.context, "unified", "U", unified.Context, "")
	f.StringVar(&d.filter, "diff-filter", "", "")
}

func (c *command) diff(_ context.Context, args []string) error {
	var d diffFlags
	operands, paths, err := c.flags("diff", args, d.define)
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		operands, paths = c.divide(operands)
	}
	spec, err := c.pathspec(paths)
	if err != nil {
		return err
	}
	before, after, err := c.sides(operands, d.cached)
	if err != nil {
		return err
	}
	changes := compare(before, after, spec)
	if d.filter != "" {
		changes = slices.DeleteFunc(changes, func(ch change) bool { return !strings.ContainsRune(d.filter, rune(ch.status)) })
	}
	if !d.quiet {
		if err := d.print(c, changes); err != nil {
			return err
		}
	}
	if len(changes) > 0 && (d.quiet || d.exitCode) {
		return exit{exitDifferent, ""}
	}
	return nil
}

// sides finds what is to be compared.
func (c *command) sides(operands []string, cached bool) (before, after map[string]entry, err error) {
	if len(operands) == 1 && strings.Contains(operands[0], "..") {
		a, b, _ := strings.Cut(operands[0], "..")
		rest, symmetric := strings.CutPrefix(b, ".")
		return c.between(a, rest, symmetric)
	}
	if len(operands) == 2 {
		return c.between(operands[0], operands[1], false)
	}
	if len(operands) > 2 {
		return nil, nil, fatal("diff takes at most two revisions")
	}
	index, err := c.indexSide()
	if err != nil {
		return nil, nil, err
	}
	before = index
	if len(operands) == 1 || cached {
		name := "HEAD"
		if len(operands) == 1 {
			name = operands[0]
		}
		commit, err := c.commitAt(name)
		if err != nil {
			return nil, nil, err
		}
		before = c.treeSide(commit)
	}
	if cached {
		return before, index, nil
	}
	after, err = c.diskSide(index)
	return before, after, err
}

func (c *command) between(a, b string, symmetric bool) (before, after map[string]entry, err error) {
	from, without, err := c.span([]string{"^" + orHead(a), orHead(b)})
	if err != nil {
		return nil, nil, err
	}
	old := without[0]
	if symmetric {
		bases, err := old.MergeBase(from[0])
		if err != nil || len(bases) == 0 {
			return nil, nil, fatal("%s...%s: no merge base", a, b)
		}
		old = bases[0]
	}
	return c.treeSide(old), c.treeSide(from[0]), nil
}

func orHead(name string) string {
	if name == "" {
		return "HEAD"
	}
	return name
}

func (d *diffFlags) print(c *command, changes []change) error {
	switch {
	case d.nameOnly:
		for _, ch := range changes {
			fmt.Fprintln(c.inv.Stdout, ch.path)
		}
		return nil
	case d.nameStatus:
		for _, ch := range changes {
			if ch.status == 'R' {
				fmt.Fprintf(c.inv.Stdout, "R100\t%s\t%s\n", ch.from, ch.path)
			} else {
				fmt.Fprintf(c.inv.Stdout, "%c\t%s\n", ch.status, ch.path)
			}
		}
		return nil
	case d.stat || d.shortStat:
		return d.statistics(c, changes)
	}
	for _, ch := range changes {
		text, err := d.patch(ch)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprint(c.inv.Stdout, text); err != nil {
			return err
		}
	}
	return nil
}

// texts are the contents before and after.
func (ch change) texts() (before, after []byte, err error) {
	if ch.before.read != nil {
		if before, err = ch.before.read(); err != nil {
			return nil, nil, err
		}
	}
	if ch.after.read != nil {
		after, err = ch.after.read()
	}
	return before, after, err
}

func binary(text []byte) bool { return bytes.IndexByte(text[:min(len(text), 8000)], 0) >= 0 }

// patch is one file's part of a diff.
func (d *diffFlags) patch(ch change) (string, error) {
	before, after, err := ch.texts()
	if err != nil {
		return "", err
	}
	old, now := "a/"+ch.path, "b/"+ch.path
	if ch.from != "" {
		old = "a/" + ch.from
	}
	var b strings.Builder
	fmt.Fprintf(&b, "diff --git %s %s\n", old, now)
	switch {
	case ch.status == 'A':
		fmt.Fprintf(&b, "new file mode %o\n", uint32(ch.after.mode))
		old = "/dev/null"
	case ch.status == 'D':
		fmt.Fprintf(&b, "deleted file mode %o\n", uint32(ch.before.mode))
		now = "/dev/null"
	case ch.status == 'R':
		fmt.Fprintf(&b, "similarity index 100%%\nrename from %s\nrename to %s\n", ch.from, ch.path)
		return b.String(), nil
	case ch.before.mode != ch.after.mode:
		fmt.Fprintf(&b, "old mode %o\nnew mode %o\n", uint32(ch.before.mode), uint32(ch.after.mode))
	}
	if ch.before.hash == ch.after.hash {
		return b.String(), nil
	}
	fmt.Fprintf(&b, "index %s..%s", short(ch.before.hash), short(ch.after.hash))
	if ch.before.mode == ch.after.mode {
		fmt.Fprintf(&b, " %o", uint32(ch.after.mode))
	}
	b.WriteByte('\n')
	if binary(before) || binary(after) {
		fmt.Fprintf(&b, "Binary files %s and %s differ\n", old, now)
		return b.String(), nil
	}
	hunks := unified.Hunks(string(before), string(after), d.context)
	if len(hunks) > 0 {
		fmt.Fprintf(&b, "--- %s\n+++ %s\n", old, now)
	}
	lines := strings.Split(string(before), "\n")
	for _, h := range hunks {
		b.WriteString(h.Header() + heading(lines, h.FromLine-2) + "\n")
		h.Body(&b)
	}
	return b.String(), nil
}

// heading is the line above a hunk that begins a section of the file.
func heading(lines []string, at int) string {
	for i := min(at, len(lines)-1); i >= 0; i-- {
		line := lines[i]
		if line != "" && (line[0] == '_' || line[0] == '$' || line[0]|0x20 >= 'a' && line[0]|0x20 <= 'z') {
			return " " + strings.TrimRight(line[:min(len(line), 80)], " \t\r")
		}
	}
	return ""
}
