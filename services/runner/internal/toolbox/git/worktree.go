package git

import (
	"errors"
	"os"
	"path/filepath"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// overwritten refuses a checkout that would lose what nobody has committed.
func (c *command) overwritten(target map[string]entry) error {
	head := map[string]entry{}
	if commit, err := c.commitAt("HEAD"); err == nil {
		head = c.treeSide(commit)
	}
	for _, ch := range compare(head, target, nil) {
		for _, name := range []string{ch.path, ch.from} {
			now, err := c.onDisk(name)
			if name != "" && err == nil && now.hash != head[name].hash && now.hash != target[name].hash {
				return exit{1, "error: Your local changes to the following files would be overwritten by checkout:\n\t" + name +
					"\nPlease commit your changes before you switch branches, or use -f.\nAborting"}
			}
		}
	}
	return nil
}

// take makes the files of the work tree those of a commit. go-git's own would
// also delete files that were never added. Without force, files that the commit
// does not change keep what was done to them.
func (c *command) take(commit *object.Commit, force bool) error {
	target := c.treeSide(commit)
	from, err := c.replaced(target, force)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(c.root)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, ch := range compare(from, target, nil) {
		gone := ch.from
		if ch.status == 'D' {
			gone = ch.path
		}
		if err := drop(root, gone); err != nil {
			return err
		}
		if ch.status == 'D' {
			continue
		}
		if err := put(root, ch.path, ch.after); err != nil {
			return err
		}
	}
	return nil
}

// replaced is what a checkout of target compares with: with force the files as
// they are, else those of HEAD.
func (c *command) replaced(target map[string]entry, force bool) (map[string]entry, error) {
	index, err := c.indexSide()
	if err != nil {
		return nil, err
	}
	if force {
		return c.diskSide(index)
	}
	if err := c.overwritten(target); err != nil {
		return nil, err
	}
	head, err := c.commitAt("HEAD")
	if err != nil {
		return map[string]entry{}, nil //nolint:nilerr // nothing is committed yet
	}
	return c.treeSide(head), nil
}

// drop removes a file and the directories that it leaves empty.
func drop(root *os.Root, name string) error {
	if name == "" {
		return nil
	}
	if err := root.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for dir := filepath.Dir(name); dir != "." && root.Remove(dir) == nil; dir = filepath.Dir(dir) {
		continue
	}
	return nil
}

// settle points HEAD at a branch, or at the commit itself, and makes the index
// that of the commit.
func (c *command) settle(commit *object.Commit, branch plumbing.ReferenceName) error {
	head := plumbing.NewHashReference(plumbing.HEAD, commit.Hash)
	if branch != "" {
		if err := c.repo.Storer.SetReference(plumbing.NewHashReference(branch, commit.Hash)); err != nil {
			return err
		}
		head = plumbing.NewSymbolicReference(plumbing.HEAD, branch)
	}
	same := c.head() == commit.Hash
	if err := c.repo.Storer.SetReference(head); err != nil || same {
		return err // what is staged stays staged
	}
	tree, err := c.repo.Worktree()
	if err != nil {
		return err
	}
	return tree.Reset(&gogit.ResetOptions{Commit: commit.Hash, Mode: gogit.MixedReset})
}
