package git

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

const shortHash = 7

func short(h plumbing.Hash) string { return h.String()[:shortHash] }

// resolve finds the object of a revision.
func (c *command) resolve(name string) (plumbing.Hash, error) {
	base, suffix := name, ""
	if at := strings.Index(name, "^{"); at >= 0 {
		base, suffix = name[:at], name[at:]
	}
	if base == "@" {
		base = "HEAD"
	}
	hash, err := c.walk(base)
	if err != nil {
		return plumbing.ZeroHash, fatal("ambiguous argument '%s': unknown revision or path not in the working tree.\nUse '--' to separate paths from revisions, like this:\n'git <command> [<revision>...] -- [<file>...]'", name)
	}
	switch suffix {
	case "":
		return hash, nil
	case "^{tree}":
		commit, err := c.commitOf(hash)
		if err != nil {
			return plumbing.ZeroHash, err
		}
		return commit.TreeHash, nil
	}
	commit, err := c.commitOf(hash)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	return commit.Hash, nil
}

// walk follows ~ and ^ from a name; go-git would give up at a commit whose
// parents are not there.
func (c *command) walk(name string) (plumbing.Hash, error) {
	at := strings.IndexAny(name, "~^")
	if at < 0 {
		return c.named(name)
	}
	hash, err := c.named(name[:at])
	for steps := name[at:]; steps != "" && err == nil; {
		end := 1
		for end < len(steps) && steps[end] >= '0' && steps[end] <= '9' {
			end++
		}
		n := 1
		if end > 1 {
			if n, err = strconv.Atoi(steps[1:end]); err != nil {
				return hash, err
			}
		}
		hash, err = c.step(hash, steps[0], n)
		steps = steps[end:]
	}
	return hash, err
}

func (c *command) step(from plumbing.Hash, kind byte, n int) (plumbing.Hash, error) {
	commit, err := c.commitOf(from)
	if err != nil {
		return from, err
	}
	if kind == '^' {
		parents := c.parents(commit)
		switch {
		case n == 0:
			return commit.Hash, nil
		case n > len(parents):
			return from, plumbing.ErrObjectNotFound
		}
		return parents[n-1].Hash, nil
	}
	for range n {
		parents := c.parents(commit)
		if len(parents) == 0 {
			return from, plumbing.ErrObjectNotFound
		}
		commit = parents[0]
	}
	return commit.Hash, nil
}

func (c *command) named(name string) (plumbing.Hash, error) {
	if plumbing.IsHash(name) {
		return plumbing.NewHash(name), nil
	}
	for _, rule := range append([]string{"%s"}, plumbing.RefRevParseRules...) {
		ref, err := c.repo.Reference(plumbing.ReferenceName(strings.Replace(rule, "%s", name, 1)), true)
		if err == nil {
			return ref.Hash(), nil
		}
	}
	hash, err := c.repo.ResolveRevision(plumbing.Revision(name))
	if err != nil {
		return plumbing.ZeroHash, err
	}
	return *hash, nil
}

// commit finds the commit of a revision.
func (c *command) commitAt(name string) (*object.Commit, error) {
	hash, err := c.resolve(name)
	if err != nil {
		return nil, err
	}
	return c.commitOf(hash)
}

// commitOf follows annotated tags.
func (c *command) commitOf(hash plumbing.Hash) (*object.Commit, error) {
	if tag, err := c.repo.TagObject(hash); err == nil {
		return c.commitOf(tag.Target)
	}
	commit, err := c.repo.CommitObject(hash)
	if err != nil {
		return nil, fatal("bad object %s", hash)
	}
	return commit, nil
}

// parents are those that are there: a shallow repository ends somewhere.
func (c *command) parents(commit *object.Commit) []*object.Commit {
	if shallow, err := c.repo.Storer.Shallow(); err == nil && slices.Contains(shallow, commit.Hash) {
		return nil
	}
	var out []*object.Commit
	for _, hash := range commit.ParentHashes {
		if p, err := c.repo.CommitObject(hash); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// history is the commits that can be reached from some and not from others,
// the newest first.
func (c *command) history(from, without []*object.Commit, firstParent bool) []*object.Commit {
	hidden := map[plumbing.Hash]bool{}
	for queue := slices.Clone(without); len(queue) > 0; {
		commit := queue[0]
		queue = queue[1:]
		if !hidden[commit.Hash] {
			hidden[commit.Hash] = true
			queue = append(queue, c.parents(commit)...)
		}
	}
	var out []*object.Commit
	seen := map[plumbing.Hash]bool{}
	queue := []*object.Commit{}
	push := func(commit *object.Commit) {
		if seen[commit.Hash] || hidden[commit.Hash] {
			return
		}
		seen[commit.Hash] = true
		at := 0 // after all that are as new or newer
		for at < len(queue) && !queue[at].Committer.When.Before(commit.Committer.When) {
			at++
		}
		queue = slices.Insert(queue, at, commit)
	}
	for _, commit := range from {
		push(commit)
	}
	for len(queue) > 0 {
		commit := queue[0]
		queue = queue[1:]
		out = append(out, commit)
		parents := c.parents(commit)
		if firstParent && len(parents) > 1 {
			parents = parents[:1]
		}
		for _, p := range parents {
			push(p)
		}
	}
	return out
}

// span reads revisions as log takes them: A, A..B, A...B and ^A.
func (c *command) span(args []string) (from, without []*object.Commit, err error) {
	add := func(list *[]*object.Commit, name string) {
		if name == "" {
			name = "HEAD"
		}
		commit, e := c.commitAt(name)
		if e != nil {
			err = errors.Join(err, e)
			return
		}
		*list = append(*list, commit)
	}
	for _, arg := range args {
		switch a, b, isRange := strings.Cut(arg, ".."); {
		case strings.HasPrefix(b, "."):
			add(&from, a)
			add(&from, b[1:])
			if err == nil {
				bases, e := from[len(from)-2].MergeBase(from[len(from)-1])
				err = errors.Join(err, e)
				without = append(without, bases...)
			}
		case isRange:
			add(&without, a)
			add(&from, b)
		case strings.HasPrefix(arg, "^"):
			add(&without, arg[1:])
		default:
			add(&from, arg)
		}
	}
	if len(from) == 0 && err == nil {
		add(&from, "HEAD")
	}
	return from, without, err
}
