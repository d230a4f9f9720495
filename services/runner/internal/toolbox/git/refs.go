package git

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/spf13/pflag"
)

// defaultAbbrev is how long git abbreviates hashes in small repositories.
const defaultAbbrev = 7

// decoration is the names that lead to a commit.
func (c *command) decoration(hash plumbing.Hash, brackets bool) string {
	var names []string
	head, err := c.repo.Head()
	if err == nil && head.Hash() == hash {
		names = append(names, "HEAD")
		if head.Name().IsBranch() {
			names[0] = "HEAD -> " + head.Name().Short()
		}
	}
	if byCommit, err := c.tags(); err == nil {
		var list []string
		for _, t := range byCommit[hash] {
			list = append(list, "tag: "+t.name)
		}
		slices.Sort(list)
		names = append(names, list...)
	}
	if refs, e := c.repo.References(); e == nil {
		_ = refs.ForEach(func(r *plumbing.Reference) error {
			if r.Type() == plumbing.HashReference && r.Hash() == hash && (r.Name().IsRemote() || r.Name().IsBranch() && (err != nil || r.Name() != head.Name())) {
				names = append(names, r.Name().Short())
			}
			return nil
		})
	}
	text := strings.Join(names, ", ")
	if brackets && text != "" {
		text = " (" + text + ")"
	}
	return text
}

func (c *command) branch(_ context.Context, args []string) error {
	var current, all, remotes, remove bool
	var format string
	operands, _, err := c.flags("branch", args, func(f *pflag.FlagSet) {
		f.BoolVar(&current, "show-current", false, "")
		f.BoolVarP(&all, "all", "a", false, "")
		f.BoolVarP(&remotes, "remotes", "r", false, "")
		f.BoolVarP(&remove, "delete", "D", false, "")
		f.BoolVar(&all, "list", false, "")
		f.StringVar(&format, "format", "", "")
	})
	if err != nil {
		return err
	}
	head, err := c.repo.Reference(plumbing.HEAD, false)
	if err != nil {
		return err
	}
	switch {
	case current:
		if head.Type() == plumbing.SymbolicReference {
			fmt.Fprintln(c.inv.Stdout, head.Target().Short())
		}
		return nil
	case remove:
		for _, name := range operands {
			if err := c.repo.Storer.RemoveReference(plumbing.NewBranchReferenceName(name)); err != nil {
				return err
			}
		}
		return nil
	case len(operands) > 0:
		return c.newBranch(operands)
	}
	if head.Type() == plumbing.HashReference && !remotes {
		fmt.Fprintf(c.inv.Stdout, "* (HEAD detached at %s)\n", short(head.Hash()))
	}
	return c.listBranches(head, all, remotes, format)
}

func (c *command) newBranch(operands []string) error {
	start := "HEAD"
	if len(operands) > 1 {
		start = operands[1]
	}
	commit, err := c.commitAt(start)
	if err != nil {
		return err
	}
	name := plumbing.NewBranchReferenceName(operands[0])
	if _, err := c.repo.Reference(name, false); err == nil {
		return fatal("a branch named '%s' already exists", operands[0])
	}
	return c.repo.Storer.SetReference(plumbing.NewHashReference(name, commit.Hash))
}

func (c *command) listBranches(head *plumbing.Reference, all, remotes bool, format string) error {
	refs, err := c.repo.References()
	if err != nil {
		return err
	}
	var lines []string
	_ = refs.ForEach(func(r *plumbing.Reference) error {
		name := r.Name()
		text := "  " + name.Short()
		switch {
		case name.IsBranch() && !remotes:
			if head.Target() == name {
				text = "* " + name.Short()
			}
		case name.IsRemote() && all:
			text = "  remotes/" + name.Short()
		case !name.IsRemote() || !remotes:
			return nil
		}
		if format != "" {
			text = strings.NewReplacer("%(refname:short)", name.Short(), "%(refname)", name.String(), "%(objectname)", r.Hash().String()).Replace(format)
		}
		lines = append(lines, text)
		return nil
	})
	if format != "" {
		slices.Sort(lines)
	} else {
		slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[2:], b[2:]) })
	}
	for _, line := range lines {
		fmt.Fprintln(c.inv.Stdout, line)
	}
	return nil
}

func (c *command) tag(_ context.Context, args []string) error {
	var list, annotate, remove, force bool
	var pointsAt, message, sort string
	operands, _, err := c.flags("tag", args, func(f *pflag.FlagSet) {
		f.BoolVarP(&list, "list", "l", false, "")
		f.BoolVarP(&annotate, "annotate", "a", false, "")
		f.BoolVarP(&remove, "delete", "d", false, "")
		f.BoolVarP(&force, "force", "f", false, "")
		f.StringVar(&pointsAt, "points-at", "", "")
		f.Lookup("points-at").NoOptDefVal = "HEAD"
		f.StringVarP(&message, "message", "m", "", "")
		f.StringVar(&sort, "sort", "refname", "")
	})
	if err != nil {
		return err
	}
	switch {
	case remove:
		for _, name := range operands {
			if err := c.repo.DeleteTag(name); err != nil {
				return exit{1, fmt.Sprintf("error: tag '%s' not found.", name)}
			}
		}
		return nil
	case len(operands) > 0 && !list && pointsAt == "":
		return c.newTag(operands, message, force)
	}
	if pointsAt != "" && len(operands) > 0 && !list {
		pointsAt = operands[0]
		operands = nil
	}
	return c.listTags(operands, pointsAt, sort)
}

func (c *command) listTags(patterns []string, pointsAt, sort string) error {
	byCommit, err := c.tags()
	if err != nil {
		return err
	}
	if pointsAt != "" {
		commit, err := c.commitAt(pointsAt)
		if err != nil {
			return err
		}
		byCommit = map[plumbing.Hash][]tagged{commit.Hash: byCommit[commit.Hash]}
	}
	var names []string
	for _, list := range byCommit {
		for _, t := range list {
			if len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { ok, _ := filepath.Match(p, t.name); return ok }) {
				names = append(names, t.name)
			}
		}
	}
	key, reverse := strings.CutPrefix(sort, "-")
	switch key {
	case "version:refname", "v:refname":
		slices.SortFunc(names, compareVersions)
	case "refname":
		slices.Sort(names)
	default:
		return fatal("the order '%s' is not available in a job: refname and v:refname are", key)
	}
	if reverse {
		slices.Reverse(names)
	}
	for _, name := range names {
		fmt.Fprintln(c.inv.Stdout, name)
	}
	return nil
}

// compareVersions takes runs of digits for numbers.
func compareVersions(a, b string) int {
	for a != "" && b != "" {
		x, y := leading(a), leading(b)
		if x > 0 && y > 0 {
			m, n := strings.TrimLeft(a[:x], "0"), strings.TrimLeft(b[:y], "0")
			if len(m) != len(n) {
				return len(m) - len(n)
			}
			if m != n {
				return strings.Compare(m, n)
			}
			a, b = a[x:], b[y:]
			continue
		}
		if a[0] != b[0] {
			return int(a[0]) - int(b[0])
		}
		a, b = a[1:], b[1:]
	}
	return len(a) - len(b)
}

// leading is how many digits a text begins with.
func leading(s string) int { return len(s) - len(strings.TrimLeft(s, "0123456789")) }
