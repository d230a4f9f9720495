package git

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/spf13/pflag"

	"github.com/towline/towline/services/runner/internal/toolbox/unified"
)

// logFlags are the options of log, show and rev-list.
type logFlags struct {
	number, skip                       int
	format, pretty, date, since, until string
	grep, author                       string
	oneline, reverse, merges, noMerges bool
	firstParent, all, count, noPatch   bool
	nameOnly, nameStatus, stat, patch  bool
	ignored                            bool
	decorate                           string
}

func (l *logFlags) define(f *pflag.FlagSet) {
	f.IntVarP(&l.number, "max-count", "n", -1, "")
	f.IntVar(&l.skip, "skip", 0, "")
	f.StringVar(&l.format, "format", "", "")
	f.StringVar(&l.pretty, "pretty", "", "")
	f.Lookup("pretty").NoOptDefVal = "medium"
	f.StringVar(&l.date, "date", "", "")
	f.StringVar(&l.since, "since", "", "")
	f.StringVar(&l.since, "after", "", "")
	f.StringVar(&l.until, "until", "", "")
	f.StringVar(&l.until, "before", "", "")
	f.StringVar(&l.grep, "grep", "", "")
	f.StringVar(&l.author, "author", "", "")
	f.BoolVar(&l.oneline, "oneline", false, "")
	f.BoolVar(&l.reverse, "reverse", false, "")
	f.BoolVar(&l.merges, "merges", false, "")
	f.BoolVar(&l.noMerges, "no-merges", false, "")
	f.BoolVar(&l.firstParent, "first-parent", false, "")
	f.BoolVar(&l.all, "all", false, "")
	f.BoolVar(&l.count, "count", false, "")
	f.BoolVarP(&l.noPatch, "no-patch", "s", false, "")
	f.BoolVar(&l.nameOnly, "name-only", false, "")
	f.BoolVar(&l.nameStatus, "name-status", false, "")
	f.BoolVar(&l.stat, "stat", false, "")
	f.BoolVarP(&l.patch, "patch", "p", false, "")
	f.BoolVar(&l.ignored, "abbrev-commit", false, "")
	f.BoolVar(&l.ignored, "no-decorate", false, "")
	f.BoolVar(&l.ignored, "no-color", false, "")
	f.StringVar(&l.decorate, "decorate", "", "")
	f.Lookup("decorate").NoOptDefVal = "short"
}

// select finds the commits that the options ask for.
func (c *command) pick(l *logFlags, operands, paths []string) ([]*object.Commit, error) {
	spec, err := c.pathspec(paths)
	if err != nil {
		return nil, err
	}
	if l.all {
		refs, err := c.repo.References()
		if err != nil {
			return nil, err
		}
		_ = refs.ForEach(func(r *plumbing.Reference) error {
			if r.Type() == plumbing.HashReference {
				operands = append(operands, r.Hash().String())
			}
			return nil
		})
	}
	from, without, err := c.span(operands)
	if err != nil {
		return nil, err
	}
	since, err := moment(l.since)
	if err != nil {
		return nil, err
	}
	until, err := moment(l.until)
	if err != nil {
		return nil, err
	}
	var out []*object.Commit
	skip := l.skip
	for _, commit := range c.history(from, without, l.firstParent) {
		switch {
		case l.number >= 0 && len(out) >= l.number:
		case l.noMerges && len(commit.ParentHashes) > 1, l.merges && len(commit.ParentHashes) < 2,
			!since.IsZero() && commit.Committer.When.Before(since), !until.IsZero() && commit.Committer.When.After(until),
			!strings.Contains(commit.Message, l.grep), !strings.Contains(person(commit.Author), l.author),
			len(spec) > 0 && !c.touches(commit, spec):
		case skip > 0:
			skip--
		default:
			out = append(out, commit)
		}
	}
	if l.reverse {
		slices.Reverse(out)
	}
	return out, nil
}

// touches says whether a commit changes one of the files.
func (c *command) touches(commit *object.Commit, spec pathspec) bool {
	parents := c.parents(commit)
	if len(parents) > 1 {
		return false
	}
	before := map[string]entry{}
	if len(parents) == 1 {
		before = c.treeSide(parents[0])
	}
	return len(compare(before, c.treeSide(commit), spec)) > 0
}

// moment reads a point in time of --since.
func moment(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, text, time.UTC); err == nil {
			return t, nil
		}
	}
	var n int
	var unit string
	words := strings.NewReplacer(".", " ").Replace(text)
	if _, err := fmt.Sscanf(words, "%d %s ago", &n, &unit); err == nil {
		step := map[string]time.Duration{"second": time.Second, "minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour, "week": 7 * 24 * time.Hour}[strings.TrimSuffix(unit, "s")]
		if step != 0 {
			return time.Now().Add(-time.Duration(n) * step), nil
		}
	}
	return time.Time{}, fatal("the time '%s' cannot be read: write it as 2006-01-02T15:04:05Z or \"3 days ago\"", text)
}

func (c *command) log(_ context.Context, args []string) error {
	var l logFlags
	operands, paths, err := c.flags("log", args, l.define)
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		operands, paths = c.divide(operands)
	}
	if _, err := c.repo.Head(); err != nil && len(operands) == 0 {
		return fatal("your current branch does not have any commits yet")
	}
	commits, err := c.pick(&l, operands, paths)
	if err != nil {
		return err
	}
	return c.write(&l, commits, false)
}

// divide tells revisions from files, as git does without "--".
func (c *command) divide(operands []string) (revisions, paths []string) {
	for i, operand := range operands {
		if strings.Contains(operand, "..") || strings.HasPrefix(operand, "^") {
			continue
		}
		if _, err := c.resolve(operand); err == nil {
			continue
		}
		if _, err := c.stat(operand); err == nil {
			return operands[:i], operands[i:]
		}
	}
	return operands, nil
}

// write prints commits with what the options want to see of their changes.
func (c *command) write(l *logFlags, commits []*object.Commit, patch bool) error {
	format := l.format
	if format == "" {
		format = l.pretty
	}
	p, err := c.pretty(format, l.oneline, l.date)
	if err != nil {
		return err
	}
	show := diffFlags{context: unified.Context, nameOnly: l.nameOnly, nameStatus: l.nameStatus, stat: l.stat}
	changes := (l.nameOnly || l.nameStatus || l.stat || l.patch || patch) && !l.noPatch
	divided := p.divided()
	for i, commit := range commits {
		if i > 0 && divided {
			fmt.Fprintln(c.inv.Stdout)
		}
		fmt.Fprint(c.inv.Stdout, p.text(commit))
		if p.ends || p.form == "" || changes {
			fmt.Fprintln(c.inv.Stdout)
		}
		if !changes || len(commit.ParentHashes) > 1 {
			continue
		}
		if divided || p.form != "" {
			fmt.Fprintln(c.inv.Stdout)
		}
		if err := show.print(c, compare(c.before(commit), c.treeSide(commit), nil)); err != nil {
			return err
		}
	}
	return nil
}

// before is the tree that a commit changed; it is empty for the first one.
func (c *command) before(commit *object.Commit) map[string]entry {
	if parents := c.parents(commit); len(parents) > 0 {
		return c.treeSide(parents[0])
	}
	return map[string]entry{}
}

func (c *command) show(_ context.Context, args []string) error {
	var l logFlags
	operands, _, err := c.flags("show", args, l.define)
	if err != nil {
		return err
	}
	if len(operands) == 0 {
		operands = []string{"HEAD"}
	}
	for _, operand := range operands {
		if rev, path, ok := strings.Cut(operand, ":"); ok {
			if err := c.showFile(rev, path); err != nil {
				return err
			}
			continue
		}
		commit, err := c.commitAt(operand)
		if err != nil {
			return err
		}
		if err := c.write(&l, []*object.Commit{commit}, true); err != nil {
			return err
		}
	}
	return nil
}

func (c *command) showFile(rev, path string) error {
	if rev == "" {
		rev = "HEAD"
	}
	commit, err := c.commitAt(rev)
	if err != nil {
		return err
	}
	e, ok := c.treeSide(commit)[strings.TrimPrefix(path, "./")]
	if !ok {
		return fatal("path '%s' does not exist in '%s'", path, rev)
	}
	text, err := e.read()
	if err != nil {
		return err
	}
	_, err = c.inv.Stdout.Write(text)
	return err
}

func (c *command) revList(_ context.Context, args []string) error {
	var l logFlags
	operands, paths, err := c.flags("rev-list", args, l.define)
	if err != nil {
		return err
	}
	if len(operands) == 0 && !l.all {
		return exit{exitUsage, "usage: git rev-list [<options>] <commit>... [--] [<path>...]"}
	}
	commits, err := c.pick(&l, operands, paths)
	if err != nil {
		return err
	}
	if l.count {
		fmt.Fprintln(c.inv.Stdout, len(commits))
		return nil
	}
	for _, commit := range commits {
		fmt.Fprintln(c.inv.Stdout, commit.Hash)
	}
	return nil
}

func (c *command) mergeBase(_ context.Context, args []string) error {
	var ancestor bool
	operands, _, err := c.flags("merge-base", args, func(f *pflag.FlagSet) { f.BoolVar(&ancestor, "is-ancestor", false, "") })
	if err != nil {
		return err
	}
	if len(operands) != 2 {
		return exit{exitUsage, "usage: git merge-base [--is-ancestor] <commit> <commit>"}
	}
	a, err := c.commitAt(operands[0])
	if err != nil {
		return err
	}
	b, err := c.commitAt(operands[1])
	if err != nil {
		return err
	}
	if ancestor {
		if slices.ContainsFunc(c.history([]*object.Commit{b}, nil, false), func(x *object.Commit) bool { return x.Hash == a.Hash }) {
			return nil
		}
		return exit{exitDifferent, ""}
	}
	theirs := map[plumbing.Hash]bool{}
	for _, commit := range c.history([]*object.Commit{b}, nil, false) {
		theirs[commit.Hash] = true
	}
	for _, commit := range c.history([]*object.Commit{a}, nil, false) {
		if theirs[commit.Hash] {
			fmt.Fprintln(c.inv.Stdout, commit.Hash)
			return nil
		}
	}
	return exit{exitDifferent, ""}
}
