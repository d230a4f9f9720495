package preview

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/syncspec"
)

// maxVisited bounds how many files and directories of a tree are looked at.
const maxVisited = 200_000

// Tree reads the files of an entry from a working tree, within the limits and by
// the rules that hold for the entry's commits.
func Tree(dir string, m agentconfig.Manifests) ([]syncspec.File, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	t := tree{root: root, entry: m}
	if err := fs.WalkDir(root.FS(), ".", t.visit); err != nil {
		return nil, err
	}
	if m.Chart != nil && m.Chart.Repository != nil {
		return t.files, nil // it may need none
	}
	if len(t.files) == 0 {
		return nil, errors.New("the working tree has no file that the entry chooses")
	}
	return t.files, nil
}

type tree struct {
	root    *os.Root
	entry   agentconfig.Manifests
	files   []syncspec.File
	visited int
	total   int
}

func (t *tree) visit(name string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	if t.visited++; t.visited > maxVisited {
		return fmt.Errorf("the working tree has more than %d files and directories", maxVisited)
	}
	if d.IsDir() {
		if name == ".git" {
			return fs.SkipDir
		}
		return nil
	}
	chosen, err := syncspec.Chosen(t.entry, name)
	switch {
	case err != nil || !chosen:
		return err
	case d.Type()&fs.ModeSymlink != 0 && t.entry.Kustomize != "":
		return nil
	case !d.Type().IsRegular():
		return fmt.Errorf("%s is a symbolic link or no regular file; put the file itself there, or narrow the globs", name)
	case len(t.files) == syncspec.MaxFiles:
		return fmt.Errorf("more than %d files are chosen; narrow the globs, or run this before files are built", syncspec.MaxFiles)
	}
	return t.read(name)
}

func (t *tree) read(name string) error {
	f, err := t.root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, syncspec.MaxFileBytes+1))
	switch {
	case err != nil:
		return err
	case len(text) > syncspec.MaxFileBytes:
		return fmt.Errorf("%s has more than %d bytes", name, syncspec.MaxFileBytes)
	case t.total+len(text) > syncspec.MaxBytes:
		return fmt.Errorf("the files that are chosen have more than %d bytes together", syncspec.MaxBytes)
	}
	t.total += len(text)
	t.files = append(t.files, syncspec.File{Path: name, Content: text})
	return nil
}
