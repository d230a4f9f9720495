package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/spf13/pflag"
)

// maxMessage bounds a commit message from a file, in bytes.
const maxMessage = 1 << 20

func (c *command) add(_ context.Context, args []string) error {
	var all, update, force, verbose bool
	operands, paths, err := c.flags("add", args, func(f *pflag.FlagSet) {
		f.BoolVarP(&all, "all", "A", false, "")
		f.BoolVarP(&update, "update", "u", false, "")
		f.BoolVarP(&force, "force", "f", false, "")
		f.BoolVarP(&verbose, "verbose", "v", false, "")
	})
	if err != nil {
		return err
	}
	operands = append(operands, paths...)
	if len(operands) == 0 && (all || update) {
		operands = []string{c.root}
	}
	if len(operands) == 0 {
		fmt.Fprintln(c.inv.Stderr, "Nothing specified, nothing added.")
		return nil
	}
	index, err := c.indexSide()
	if err != nil {
		return err
	}
	disk, err := c.diskSide(index)
	if err != nil {
		return err
	}
	names := []string{}
	for _, ch := range compare(index, disk, nil) {
		names = append(names, ch.path)
	}
	if !update {
		fresh, err := c.untracked(index, true)
		if err != nil {
			return err
		}
		names = append(names, fresh...)
	}
	return c.stage(operands, names, index)
}

// stage puts those of names that the operands mean into the index.
func (c *command) stage(operands, names []string, index map[string]entry) error {
	tree, err := c.repo.Worktree()
	if err != nil {
		return err
	}
	for _, operand := range operands {
		spec, err := c.pathspec([]string{operand})
		if err != nil {
			return err
		}
		matched := false
		for name := range index {
			matched = matched || spec.has(name)
		}
		for _, name := range names {
			if !spec.has(name) {
				continue
			}
			matched = true
			if _, err := tree.Add(name); err != nil {
				return fmt.Errorf("add %s: %w", name, err)
			}
		}
		if _, err := c.stat(operand); err != nil && !matched {
			return fatal("pathspec '%s' did not match any files", operand)
		}
	}
	return nil
}

func (c *command) remove(_ context.Context, args []string) error {
	var cached, recursive, force, quiet bool
	operands, paths, err := c.flags("rm", args, func(f *pflag.FlagSet) {
		f.BoolVar(&cached, "cached", false, "")
		f.BoolVarP(&recursive, "recursive", "r", false, "")
		f.BoolVarP(&force, "force", "f", false, "")
		f.BoolVarP(&quiet, "quiet", "q", false, "")
	})
	if err != nil {
		return err
	}
	spec, err := c.pathspec(append(operands, paths...))
	if err != nil || len(spec) == 0 {
		return errors.Join(err, c.nothing(len(spec)))
	}
	index, err := c.repo.Storer.Index()
	if err != nil {
		return err
	}
	removed := 0
	for _, e := range append(index.Entries[:0:0], index.Entries...) {
		if !spec.has(e.Name) {
			continue
		}
		removed++
		if _, err := index.Remove(e.Name); err != nil {
			return err
		}
		if !cached {
			if err := os.Remove(filepath.Join(c.root, e.Name)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
		if !quiet {
			fmt.Fprintf(c.inv.Stdout, "rm '%s'\n", e.Name)
		}
	}
	if removed == 0 {
		return fatal("pathspec '%s' did not match any files", operands[0])
	}
	return c.repo.Storer.SetIndex(index)
}

func (c *command) nothing(n int) error {
	if n == 0 {
		return fatal("No pathspec was given. Which files should I remove?")
	}
	return nil
}

func (c *command) commit(ctx context.Context, args []string) error {
	var messages []string
	var all, empty, quiet, amend, noVerify bool
	var file, author string
	_, _, err := c.flags("commit", args, func(f *pflag.FlagSet) {
		f.StringArrayVarP(&messages, "message", "m", nil, "")
		f.StringVarP(&file, "file", "F", "", "")
		f.StringVar(&author, "author", "", "")
		f.BoolVarP(&all, "all", "a", false, "")
		f.BoolVar(&empty, "allow-empty", false, "")
		f.BoolVarP(&quiet, "quiet", "q", false, "")
		f.BoolVar(&amend, "amend", false, "")
		f.BoolVar(&noVerify, "no-verify", false, "")
	})
	if err != nil {
		return err
	}
	if all {
		if err := c.add(ctx, []string{"-u"}); err != nil {
			return err
		}
	}
	message, err := c.message(messages, file)
	if err != nil {
		return err
	}
	opts := &gogit.CommitOptions{AllowEmptyCommits: true, Amend: amend}
	if opts.Committer, err = c.person("COMMITTER", ""); err != nil {
		return err
	}
	if opts.Author, err = c.person("AUTHOR", author); err != nil {
		return err
	}
	changes, err := c.staged()
	if err != nil {
		return err
	}
	if len(changes) == 0 && !empty && !amend {
		fmt.Fprintf(c.inv.Stdout, "On branch %s\nnothing to commit, working tree clean\n", c.where())
		return exit{exitDifferent, ""}
	}
	tree, err := c.repo.Worktree()
	if err != nil {
		return err
	}
	hash, err := tree.Commit(message, opts)
	if err != nil {
		return err
	}
	if !quiet {
		first, _, _ := strings.Cut(message, "\n")
		fmt.Fprintf(c.inv.Stdout, "[%s %s] %s\n", c.where(), short(hash), first)
		return (&diffFlags{shortStat: true}).statistics(c, changes)
	}
	return nil
}

// staged is what the next commit will change.
func (c *command) staged() ([]change, error) {
	index, err := c.indexSide()
	if err != nil {
		return nil, err
	}
	head := map[string]entry{}
	if _, err := c.repo.Head(); err == nil {
		commit, err := c.commitAt("HEAD")
		if err != nil {
			return nil, err
		}
		head = c.treeSide(commit)
	}
	return compare(head, index, nil), nil
}

func (c *command) message(messages []string, file string) (string, error) {
	text := strings.Join(messages, "\n\n")
	if file != "" {
		in := c.inv.Stdin
		if file != "-" {
			f, err := os.Open(c.inv.Path(file))
			if err != nil {
				return "", fatal("could not read log file '%s'", file)
			}
			defer f.Close()
			in = f
		}
		read, err := io.ReadAll(io.LimitReader(in, maxMessage))
		if err != nil {
			return "", err
		}
		text = string(read)
	}
	if strings.TrimSpace(text) == "" {
		return "", exit{1, "Aborting commit due to empty commit message. Give one with -m: there is no editor in a job."}
	}
	return strings.TrimRight(text, "\n") + "\n", nil
}

// person is who commits: the environment, then -c and the configuration.
func (c *command) person(role, given string) (*object.Signature, error) {
	s := &object.Signature{When: time.Now()}
	if name, mail, ok := strings.Cut(given, " <"); ok {
		s.Name, s.Email = name, strings.TrimSuffix(mail, ">")
	}
	for _, field := range []struct {
		at       *string
		variable string
		key      string
	}{{&s.Name, "GIT_" + role + "_NAME", "user.name"}, {&s.Email, "GIT_" + role + "_EMAIL", "user.email"}} {
		if *field.at != "" {
			continue
		}
		if value, ok := c.inv.Getenv(field.variable); ok && value != "" {
			*field.at = value
			continue
		}
		*field.at, _ = c.setting(field.key)
	}
	if s.Name == "" || s.Email == "" {
		return nil, fatal("unable to auto-detect who you are\n\nRun\n\n  git config user.email \"you@example.com\"\n  git config user.name \"Your Name\"")
	}
	if date, ok := c.inv.Getenv("GIT_" + role + "_DATE"); ok {
		if when, err := moment(date); err == nil {
			s.When = when
		}
	}
	return s, nil
}
