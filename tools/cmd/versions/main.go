package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"

	"golang.org/x/mod/modfile"

	"github.com/towline/towline/tools/internal/repository"
)

// list is the file with the versions, relative to the root.
const list = "tools/versions.txt"

func main() {
	write := flag.Bool("write", false, "set the versions instead of comparing them")
	flag.Parse()
	root, err := repository.Root()
	if err == nil {
		err = run(root, *write)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(root string, write bool) error {
	raw, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(list)))
	if err != nil {
		return err
	}
	want, err := parse(string(raw))
	if err != nil {
		return fmt.Errorf("%s: %w", list, err)
	}
	modules, err := repository.Modules(root)
	if err != nil {
		return err
	}
	work, err := repository.Workspace(root)
	if err != nil {
		return err
	}
	if write {
		return set(root, want, modules, work)
	}
	together := func(dir string) bool {
		return slices.ContainsFunc(work.Use, func(u *modfile.Use) bool { return path.Clean(u.Path) == dir })
	}
	faults := compare(want, modules, together)
	if work.Go == nil || work.Go.Version != want.toolchain {
		faults = append(faults, fmt.Errorf("go.work: its go line is not %s", want.toolchain))
	}
	if len(faults) > 0 {
		faults = append(faults, fmt.Errorf("%s decides; run `make tidy`, or change it there", list))
	}
	return errors.Join(faults...)
}

// set writes the versions into the files that have others.
func set(root string, want *wanted, modules []repository.Module, work *modfile.WorkFile) error {
	for _, m := range modules {
		if err := align(want, m.File); err != nil {
			return fmt.Errorf("%s: %w", m.Dir, err)
		}
		m.File.Cleanup()
		text, err := m.File.Format()
		if err != nil {
			return err
		}
		if err := rewrite(filepath.Join(root, filepath.FromSlash(m.Dir), "go.mod"), text); err != nil {
			return err
		}
	}
	if err := work.AddGoStmt(want.toolchain); err != nil {
		return err
	}
	return rewrite(filepath.Join(root, "go.work"), modfile.Format(work.Syntax))
}

// rewrite writes a file only if it changes, so that builds stay cached.
func rewrite(file string, text []byte) error {
	old, err := os.ReadFile(file)
	if err != nil || string(old) == string(text) {
		return err
	}
	return os.WriteFile(file, text, 0o644) //nolint:gosec // G306: a source file
}
