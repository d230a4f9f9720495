package repository

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
)

// ModulePrefix starts the path of every module of ours.
const ModulePrefix = "github.com/towline/towline/"

// Services are the directories below services, in the order of a job's way.
var Services = []string{"tunnel", "policy", "runner"}

// Root is the directory of go.work, looked for from the working directory
// upwards.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no go.work here or above: run this inside the repository")
		}
		dir = up
	}
}

// Module is one go.mod of the repository.
type Module struct {
	Dir  string // relative to the root, with slashes
	File *modfile.File
}

// Modules finds every module below root, sorted by directory.
func Modules(root string) ([]Module, error) {
	var found []Module
	err := Walk(root, func(path string) error {
		if filepath.Base(path) != "go.mod" {
			return nil
		}
		raw, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return err
		}
		f, err := modfile.Parse(path, raw, nil)
		if err != nil {
			return err
		}
		found = append(found, Module{Dir: filepath.ToSlash(filepath.Dir(path)), File: f})
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b Module) int { return strings.Compare(a.Dir, b.Dir) })
	return found, nil
}

// Workspace parses go.work.
func Workspace(root string) (*modfile.WorkFile, error) {
	const name = "go.work"
	raw, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		return nil, err
	}
	f, err := modfile.ParseWork(name, raw, nil)
	if err != nil {
		return nil, fmt.Errorf("workspace: %w", err)
	}
	return f, nil
}

// Walk calls visit with the path, relative to root, of every file that belongs
// to the sources: nothing hidden, no build output, no test data.
func Walk(root string, visit func(path string) error) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || name == "bin" || name == "testdata" || name == "vendor") {
				return filepath.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		return visit(rel)
	})
}
