package workspace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/index"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Limits on a checkout.
const (
	maxFiles       = 200_000 // entries of all trees, directories included
	maxBytes       = 2 << 30 // content of all files
	maxTreeDepth   = 256
	maxSymlink     = 4096
	maxLFSPointer  = 1024
	filePermission = 0o666 // the process's umask applies
	execPermission = 0o777
)

// lfsPrefix starts the stand-in that Git LFS stores in place of a large file.
const lfsPrefix = "version https://git-lfs.github.com/spec/"

// checkout writes the files of one commit. Every directory is an os.Root of
// its own and every file is created anew, so that nothing a tree can contain
// leads outside the project directory or into .git.
type checkout struct {
	repo    *repository
	total   *totals
	index   []*index.Entry
	modules map[string]plumbing.Hash // commits of submodules by path
}

// totals count what a job's repository and its submodules hold together.
type totals struct {
	files   int
	bytes   int64
	lfs     int // pointers of Git LFS
	modules int
}

func (c *checkout) run(ctx context.Context, dir string, sha plumbing.Hash) error {
	commit, err := object.GetCommit(c.repo.store, sha)
	if err != nil {
		return fmt.Errorf("reference is not a tree: %s", sha)
	}
	tree, err := commit.Tree()
	if err != nil {
		return fmt.Errorf("tree of %s: %w", sha, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := c.tree(ctx, root, tree, "", 0); err != nil {
		return err
	}
	// Without an index Git would take every file for a new one.
	const version = 2
	if err := c.repo.store.SetIndex(&index.Index{Version: version, Entries: c.index}); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	if err := c.repo.store.SetReference(plumbing.NewHashReference(plumbing.HEAD, sha)); err != nil {
		return fmt.Errorf("HEAD: %w", err)
	}
	return nil
}

// remember adds an entry to the index.
func (c *checkout) remember(dir *os.Root, e *object.TreeEntry, path string) {
	known := &index.Entry{Name: path, Hash: e.Hash, Mode: e.Mode}
	if info, err := dir.Lstat(e.Name); err == nil && e.Mode != filemode.Submodule {
		known.ModifiedAt, known.Size = info.ModTime(), uint32(info.Size())
	}
	c.index = append(c.index, known)
}

func (c *checkout) tree(ctx context.Context, dir *os.Root, tree *object.Tree, path string, depth int) error {
	if depth > maxTreeDepth {
		return fmt.Errorf("the repository has more than %d levels of directories", maxTreeDepth)
	}
	for i := range tree.Entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if c.total.files++; c.total.files > maxFiles {
			return fmt.Errorf("the repository has more than %d files", maxFiles)
		}
		e := &tree.Entries[i]
		if err := safeName(e.Name); err != nil {
			return fmt.Errorf("%q in directory %q: %w", e.Name, path, err)
		}
		if err := c.entry(ctx, dir, e, path+e.Name, depth); err != nil {
			return err
		}
	}
	return nil
}

// safeName refuses names that are not the name of one file in one directory,
// and every spelling of .git.
func safeName(name string) error {
	switch {
	case name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\\\x00"):
		return errors.New("not a valid file name")
	case strings.EqualFold(strings.TrimRight(name, " ."), gitDir) || strings.EqualFold(name, "git~1"):
		return errors.New("a repository cannot contain .git")
	}
	return nil
}

func (c *checkout) entry(ctx context.Context, dir *os.Root, e *object.TreeEntry, path string, depth int) error {
	switch e.Mode {
	case filemode.Dir:
		sub, err := object.GetTree(c.repo.store, e.Hash)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := dir.Mkdir(e.Name, execPermission); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		inner, err := dir.OpenRoot(e.Name)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		defer inner.Close()
		return c.tree(ctx, inner, sub, path+"/", depth+1)
	case filemode.Submodule:
		if err := dir.Mkdir(e.Name, execPermission); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if c.modules == nil {
			c.modules = map[string]plumbing.Hash{}
		}
		c.modules[path] = e.Hash
		c.remember(dir, e, path)
		return nil
	case filemode.Symlink, filemode.Regular, filemode.Deprecated, filemode.Executable:
		if err := c.blob(dir, e); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		c.remember(dir, e, path)
		return nil
	}
	return fmt.Errorf("%s: unknown mode %s", path, e.Mode)
}

func (c *checkout) blob(dir *os.Root, e *object.TreeEntry) error {
	blob, err := object.GetBlob(c.repo.store, e.Hash)
	if err != nil {
		return err
	}
	if c.total.bytes += blob.Size; blob.Size < 0 || c.total.bytes > maxBytes {
		return fmt.Errorf("the files of the repository are larger than %d bytes", int64(maxBytes))
	}
	content, err := blob.Reader()
	if err != nil {
		return err
	}
	defer content.Close()
	if e.Mode == filemode.Symlink {
		return symlink(dir, e.Name, content)
	}
	perm := os.FileMode(filePermission)
	if e.Mode == filemode.Executable {
		perm = execPermission
	}
	// O_EXCL neither follows a link nor writes over an earlier entry.
	f, err := dir.OpenFile(e.Name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	var w io.Writer = f
	if blob.Size < maxLFSPointer {
		w = &lfsProbe{w: f, found: func() { c.total.lfs++ }}
	}
	_, err = io.Copy(w, io.LimitReader(content, blob.Size))
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// symlink makes a link as it stands, as git does. Nothing here follows it; a
// command that follows it out of the job's directories meets the sandbox.
func symlink(dir *os.Root, name string, content io.Reader) error {
	target, err := io.ReadAll(io.LimitReader(content, maxSymlink+1))
	if err != nil {
		return err
	}
	if len(target) > maxSymlink {
		return fmt.Errorf("link target is longer than %d bytes", maxSymlink)
	}
	return dir.Symlink(string(target), name)
}

// lfsProbe looks at the first write of a small file.
type lfsProbe struct {
	w     io.Writer
	found func()
	done  bool
}

func (p *lfsProbe) Write(b []byte) (int, error) {
	if !p.done && strings.HasPrefix(string(b), lfsPrefix) {
		p.found()
	}
	p.done = true
	return p.w.Write(b)
}
