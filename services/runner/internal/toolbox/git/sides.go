package git

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// maxFile bounds a file that is compared or shown, in bytes.
const maxFile = 256 << 20

// entry is a file of one side of a comparison.
type entry struct {
	mode filemode.FileMode
	hash plumbing.Hash
	read func() ([]byte, error)
}

// change is a file that differs. Of an added file there is no before, of a
// deleted one no after.
type change struct {
	path          string
	from          string // the old path of a renamed file
	before, after entry
	status        byte
}

// treeSide is the files of a commit.
func (c *command) treeSide(commit *object.Commit) map[string]entry {
	out := map[string]entry{}
	files, err := commit.Files()
	if err != nil {
		return out
	}
	_ = files.ForEach(func(f *object.File) error {
		out[f.Name] = entry{f.Mode, f.Hash, func() ([]byte, error) { return c.blob(f.Hash) }}
		return nil
	})
	return out
}

func (c *command) blob(hash plumbing.Hash) ([]byte, error) {
	blob, err := c.repo.BlobObject(hash)
	if err != nil {
		return nil, err
	}
	if blob.Size > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", hash, maxFile)
	}
	r, err := blob.Reader()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// indexSide is the files of the index.
func (c *command) indexSide() (map[string]entry, error) {
	index, err := c.repo.Storer.Index()
	if err != nil {
		return nil, err
	}
	out := make(map[string]entry, len(index.Entries))
	for _, e := range index.Entries {
		hash := e.Hash
		out[e.Name] = entry{e.Mode, hash, func() ([]byte, error) { return c.blob(hash) }}
	}
	return out, nil
}

// diskSide is the files of the work tree that the index knows.
func (c *command) diskSide(index map[string]entry) (map[string]entry, error) {
	out := make(map[string]entry, len(index))
	for name, known := range index {
		if known.mode == filemode.Submodule {
			out[name] = known
			continue
		}
		e, err := c.onDisk(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out[name] = e
	}
	return out, nil
}

func (c *command) onDisk(name string) (entry, error) {
	path := filepath.Join(c.root, filepath.FromSlash(name))
	info, err := os.Lstat(path)
	if err != nil {
		return entry{}, err
	}
	if info.IsDir() {
		return entry{}, fs.ErrNotExist
	}
	mode := filemode.Regular
	read := func() ([]byte, error) {
		if info.Size() > maxFile {
			return nil, fmt.Errorf("%s is larger than %d bytes", name, maxFile)
		}
		return os.ReadFile(path)
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		mode = filemode.Symlink
		read = func() ([]byte, error) {
			to, err := os.Readlink(path)
			return []byte(to), err
		}
	case info.Mode()&0o100 != 0:
		mode = filemode.Executable
	}
	text, err := read()
	if err != nil {
		return entry{}, err
	}
	return entry{mode, plumbing.ComputeHash(plumbing.BlobObject, text), read}, nil
}

func (c *command) stat(path string) (fs.FileInfo, error) { return os.Lstat(c.inv.Path(path)) }

// compare lists the differences of two sides by path. A file that only moved is
// one change.
func compare(before, after map[string]entry, spec pathspec) []change {
	var out []change
	for _, path := range slices.Sorted(maps.Keys(before)) {
		old := before[path]
		now, ok := after[path]
		switch {
		case !spec.has(path):
		case !ok:
			out = append(out, change{path: path, before: old, status: 'D'})
		case now.hash != old.hash || now.mode != old.mode:
			status := byte('M')
			if kind(now.mode) != kind(old.mode) {
				status = 'T'
			}
			out = append(out, change{path: path, before: old, after: now, status: status})
		}
	}
	gone := map[plumbing.Hash]int{}
	for i, ch := range out {
		if ch.status == 'D' {
			gone[ch.before.hash] = i
		}
	}
	for _, path := range slices.Sorted(maps.Keys(after)) {
		if _, ok := before[path]; ok || !spec.has(path) {
			continue
		}
		ch := change{path: path, after: after[path], status: 'A'}
		if i, moved := gone[ch.after.hash]; moved && out[i].before.mode == ch.after.mode {
			delete(gone, ch.after.hash)
			ch.from, ch.before, ch.status = out[i].path, out[i].before, 'R'
			out[i].status = 0
		}
		out = append(out, ch)
	}
	out = slices.DeleteFunc(out, func(ch change) bool { return ch.status == 0 })
	slices.SortFunc(out, func(a, b change) int {
		if a.path < b.path {
			return -1
		}
		return 1
	})
	return out
}

func kind(m filemode.FileMode) filemode.FileMode {
	if m == filemode.Executable || m == filemode.Deprecated {
		return filemode.Regular
	}
	return m
}
