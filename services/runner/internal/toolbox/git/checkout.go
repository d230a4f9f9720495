package git

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/spf13/pflag"
)

func (c *command) checkout(_ context.Context, args []string) error {
	var create, reset string
	var force, detach, quiet bool
	operands, paths, err := c.flags("checkout", args, func(f *pflag.FlagSet) {
		f.StringVarP(&create, "branch", "b", "", "")
		f.StringVarP(&reset, "reset", "B", "", "")
		f.BoolVarP(&force, "force", "f", false, "")
		f.BoolVar(&detach, "detach", false, "")
		f.BoolVarP(&quiet, "quiet", "q", false, "")
	})
	if err != nil {
		return err
	}
	if len(paths) == 0 && create == "" && reset == "" {
		operands, paths = c.divide(operands)
	}
	if len(paths) > 0 {
		return c.takeFiles(first(operands), paths)
	}
	if reset != "" {
		_ = c.repo.Storer.RemoveReference(plumbing.NewBranchReferenceName(reset))
		create = reset
	}
	return c.moveTo(first(operands), create, force, detach, quiet)
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

func (c *command) switchTo(_ context.Context, args []string) error {
	var create string
	var detach, force, quiet bool
	operands, _, err := c.flags("switch", args, func(f *pflag.FlagSet) {
		f.StringVarP(&create, "create", "c", "", "")
		f.BoolVarP(&detach, "detach", "d", false, "")
		f.BoolVarP(&force, "force", "f", false, "")
		f.BoolVarP(&quiet, "quiet", "q", false, "")
	})
	if err != nil {
		return err
	}
	return c.moveTo(first(operands), create, force, detach, quiet)
}

// moveTo checks a revision or a branch out.
func (c *command) moveTo(name, create string, force, detach, quiet bool) error {
	commit, err := c.commitAt(orHead(name))
	branch := plumbing.NewBranchReferenceName(orHead(name))
	remote, remoteErr := c.repo.Reference(plumbing.NewRemoteReferenceName("origin", name), true)
	if err != nil && remoteErr == nil && create == "" {
		create, name = name, "origin/"+name
		commit, err = c.commitOf(remote.Hash())
	}
	if err != nil {
		return exit{1, fmt.Sprintf("error: pathspec '%s' did not match any file(s) known to git", name)}
	}
	_, onBranch := c.repo.Reference(branch, false)
	said := fmt.Sprintf("HEAD is now at %s %s", short(commit.Hash), subject(commit))
	switch {
	case create != "":
		branch = plumbing.NewBranchReferenceName(create)
		if _, err := c.repo.Reference(branch, false); err == nil {
			return fatal("a branch named '%s' already exists", create)
		}
		said = fmt.Sprintf("Switched to a new branch '%s'", create)
	case onBranch == nil && !detach:
		said = fmt.Sprintf("Switched to branch '%s'", name)
	default:
		branch = ""
	}
	if name == "" && create == "" && !detach {
		return nil
	}
	if err := c.take(commit, force); err != nil {
		return err
	}
	if err := c.settle(commit, branch); err != nil {
		return err
	}
	if !quiet {
		fmt.Fprintln(c.inv.Stderr, said)
	}
	return nil
}

func (c *command) head() plumbing.Hash {
	head, err := c.repo.Head()
	if err != nil {
		return plumbing.ZeroHash
	}
	return head.Hash()
}

func (c *command) restore(_ context.Context, args []string) error {
	var source string
	var staged, worktree bool
	operands, paths, err := c.flags("restore", args, func(f *pflag.FlagSet) {
		f.StringVarP(&source, "source", "s", "", "")
		f.BoolVarP(&staged, "staged", "S", false, "")
		f.BoolVarP(&worktree, "worktree", "W", false, "")
	})
	if err != nil {
		return err
	}
	paths = append(operands, paths...)
	if staged && !worktree {
		spec, err := c.pathspec(paths)
		if err != nil {
			return err
		}
		return c.unstage(spec)
	}
	return c.takeFiles(source, paths)
}

// unstage resets files of the index to those of the commit.
func (c *command) unstage(spec pathspec) error {
	tree, err := c.repo.Worktree()
	if err != nil {
		return err
	}
	changes, err := c.staged()
	if err != nil {
		return err
	}
	var files []string
	for _, ch := range changes {
		if spec.has(ch.path) {
			files = append(files, ch.path)
		}
	}
	if len(files) == 0 {
		return nil
	}
	return tree.Reset(&gogit.ResetOptions{Mode: gogit.MixedReset, Files: files})
}

// takeFiles writes files of a revision, or of the index, to the work tree.
func (c *command) takeFiles(source string, paths []string) error {
	spec, err := c.pathspec(paths)
	if err != nil {
		return err
	}
	from, err := c.indexSide()
	if err != nil {
		return err
	}
	if source != "" {
		commit, err := c.commitAt(source)
		if err != nil {
			return err
		}
		from = c.treeSide(commit)
	}
	root, err := os.OpenRoot(c.root)
	if err != nil {
		return err
	}
	defer root.Close()
	tree, err := c.repo.Worktree()
	if err != nil {
		return err
	}
	taken := 0
	for name, e := range from {
		if !spec.has(name) {
			continue
		}
		taken++
		if err := put(root, name, e); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if source != "" {
			if _, err := tree.Add(name); err != nil {
				return err
			}
		}
	}
	if taken == 0 {
		return exit{1, fmt.Sprintf("error: pathspec '%s' did not match any file(s) known to git", first(paths))}
	}
	return nil
}

// Permissions of a work tree, before the job's umask.
const (
	filePermission       = 0o666
	executablePermission = 0o777
)

func put(root *os.Root, name string, e entry) error {
	text, err := e.read()
	if err != nil {
		return err
	}
	if dir := filepath.Dir(name); dir != "." {
		if err := root.MkdirAll(dir, executablePermission); err != nil {
			return err
		}
	}
	if err := root.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	switch e.mode.String() {
	case "0120000":
		return root.Symlink(string(text), name)
	case "0100755":
		return root.WriteFile(name, text, executablePermission)
	}
	return root.WriteFile(name, text, filePermission)
}

func (c *command) reset(_ context.Context, args []string) error {
	var hard, soft, mixed, quiet bool
	operands, paths, err := c.flags("reset", args, func(f *pflag.FlagSet) {
		f.BoolVar(&hard, "hard", false, "")
		f.BoolVar(&soft, "soft", false, "")
		f.BoolVar(&mixed, "mixed", false, "")
		f.BoolVarP(&quiet, "quiet", "q", false, "")
	})
	if err != nil {
		return err
	}
	if len(paths) > 0 {
		spec, err := c.pathspec(paths)
		if err != nil {
			return err
		}
		return c.unstage(spec)
	}
	commit, err := c.commitAt(orHead(first(operands)))
	if err != nil {
		return err
	}
	opts := &gogit.ResetOptions{Commit: commit.Hash, Mode: gogit.MixedReset}
	switch {
	case hard:
		if err := c.take(commit, true); err != nil {
			return err
		}
	case soft:
		opts.Mode = gogit.SoftReset
	}
	tree, err := c.repo.Worktree()
	if err != nil {
		return err
	}
	if err := tree.Reset(opts); err != nil {
		return err
	}
	if hard && !quiet {
		fmt.Fprintf(c.inv.Stdout, "HEAD is now at %s %s\n", short(commit.Hash), subject(commit))
	}
	return nil
}
