package git

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// answers is how git rev-parse prints revisions.
type answers struct {
	length           int // of hashes
	abbrevRef, quiet bool
}

func (c *command) revParse(_ context.Context, args []string) error {
	if err := c.open(); err != nil {
		return err
	}
	a := &answers{length: len(plumbing.ZeroHash) * 2}
	for _, arg := range args {
		switch option, err := a.option(arg); {
		case err != nil:
			return err
		case option:
			continue
		}
		value, fact, err := c.fact(arg)
		if err == nil && !fact {
			value, err = c.answer(a, arg, args)
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(c.inv.Stdout, value)
	}
	return nil
}

// option reads what decides about the revisions that follow.
func (a *answers) option(arg string) (bool, error) {
	switch option, number, _ := strings.Cut(arg, "="); {
	case option == "--short":
		a.length = defaultAbbrev
		if number == "" {
			return true, nil
		}
		if _, err := fmt.Sscan(number, &a.length); err != nil || a.length < 4 || a.length > 40 {
			return true, fatal("option --short=%s is not a length from 4 to 40", number)
		}
	case option == "--abbrev-ref", arg == "--symbolic-full-name":
		a.abbrevRef = true
	case arg == "-q", arg == "--quiet":
		a.quiet = true
	case arg == "--verify", arg == "--end-of-options", arg == "--":
	default:
		return false, nil
	}
	return true, nil
}

// fact is what an option asks about the repository.
func (c *command) fact(arg string) (value string, ok bool, err error) {
	switch arg {
	case "--show-toplevel":
		return c.root, true, nil
	case "--show-prefix":
		rel, err := c.relative(".")
		if err != nil || rel == "." {
			return "", true, err
		}
		return rel + "/", true, nil
	case "--git-dir", "--git-common-dir", "--absolute-git-dir":
		if c.inv.Dir == c.root && arg != "--absolute-git-dir" {
			return ".git", true, nil
		}
		return filepath.Join(c.root, ".git"), true, nil
	case "--is-inside-work-tree":
		return "true", true, nil
	case "--is-bare-repository", "--is-inside-git-dir":
		return "false", true, nil
	case "--is-shallow-repository":
		shallow, err := c.repo.Storer.Shallow()
		return fmt.Sprint(len(shallow) > 0), true, err
	}
	if strings.HasPrefix(arg, "--") {
		return "", false, exit{exitUsage, fmt.Sprintf("error: git rev-parse: option %s is not available in a job", arg)}
	}
	return "", false, nil
}

// answer is a revision as the options want it.
func (c *command) answer(a *answers, arg string, args []string) (string, error) {
	if a.abbrevRef {
		return c.abbreviated(arg)
	}
	hash, err := c.revision(arg)
	switch {
	case err != nil && a.quiet:
		return "", exit{exitDifferent, ""}
	case err != nil:
		return "", c.unresolved(arg, args, err)
	}
	return hash.String()[:a.length], nil
}

// revision also knows REV:path.
func (c *command) revision(name string) (plumbing.Hash, error) {
	rev, path, ok := strings.Cut(name, ":")
	if !ok {
		return c.resolve(name)
	}
	commit, err := c.commitAt(orHead(rev))
	if err != nil {
		return plumbing.ZeroHash, err
	}
	tree, err := commit.Tree()
	if err != nil {
		return plumbing.ZeroHash, err
	}
	if path == "" {
		return tree.Hash, nil
	}
	found, err := tree.FindEntry(path)
	if err != nil {
		return plumbing.ZeroHash, fatal("path '%s' does not exist in '%s'", path, orHead(rev))
	}
	return found.Hash, nil
}

func (c *command) unresolved(name string, args []string, err error) error {
	if slices.Contains(args, "--verify") {
		return fatal("Needed a single revision")
	}
	fmt.Fprintln(c.inv.Stdout, name)
	return err
}

// abbreviated is the name of a branch or tag, HEAD when none is checked out.
func (c *command) abbreviated(name string) (string, error) {
	if name == "HEAD" || name == "@" {
		head, err := c.repo.Head()
		if err != nil {
			return "", fatal("ambiguous argument 'HEAD': unknown revision or path not in the working tree.")
		}
		return head.Name().Short(), nil
	}
	for _, rule := range plumbing.RefRevParseRules {
		if ref, err := c.repo.Reference(plumbing.ReferenceName(strings.Replace(rule, "%s", name, 1)), false); err == nil {
			return ref.Name().Short(), nil
		}
	}
	_, err := c.resolve(name)
	return "", err
}
