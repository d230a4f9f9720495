package gitobject

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"path"

	"github.com/towline/towline/pkg/syncspec"
)

// Limits of a tree.
const (
	maxFiles = 200_000
	maxDepth = 100
)

// File is one file of a commit.
type File struct {
	Path    string
	ID      ID
	Regular bool // neither a symbolic link nor another repository
}

var errTree = errors.New("a directory of the commit is malformed")

// Files are all files of a tree, in the order of their directories.
func (o *Objects) Files(tree ID) ([]File, error) {
	w := walker{objects: o}
	return w.files, w.walk(tree, "", 0)
}

type walker struct {
	objects *Objects
	files   []File
	entries int
}

func (w *walker) walk(id ID, dir string, depth int) error {
	o, ok := w.objects.all[id]
	if !ok || o.kind != "tree" {
		return fmt.Errorf("GitLab did not send the directory %q of the commit", dir)
	}
	if depth > maxDepth {
		return fmt.Errorf("the repository has directories deeper than %d", maxDepth)
	}
	for rest := o.content; len(rest) > 0; {
		head, after, ok := bytes.Cut(rest, []byte{0})
		mode, base, also := bytes.Cut(head, []byte(" "))
		if !ok || !also || len(after) < w.objects.size || bytes.ContainsRune(base, '/') {
			return errTree
		}
		if w.entries++; w.entries > maxFiles {
			return fmt.Errorf("the repository has more than %d files and directories", maxFiles)
		}
		of := ID(hex.EncodeToString(after[:w.objects.size]))
		rest = after[w.objects.size:]
		at := path.Join(dir, string(base))
		if !syncspec.Clean(at) || path.Base(at) != string(base) {
			return errTree
		}
		if err := w.entry(string(mode), at, of, depth); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) entry(mode, at string, id ID, depth int) error {
	switch mode {
	case "40000":
		return w.walk(id, at, depth+1)
	case "100644", "100755", "100664":
		w.files = append(w.files, File{at, id, true})
	case "120000", "160000":
		w.files = append(w.files, File{at, id, false})
	default:
		return errTree
	}
	return nil
}
