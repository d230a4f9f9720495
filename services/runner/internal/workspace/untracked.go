package workspace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/go-git/go-git/v5/plumbing/format/index"
)

// maxIndex bounds the index, which a script may have replaced.
const maxIndex = 64 << 20

// Untracked lists the files in the project directory that Git does not know,
// ignored ones included, as `git ls-files -o` does. Links are not followed, and
// other repositories inside are left out.
func Untracked(ctx context.Context, dir string) ([]string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	known, err := tracked(root)
	if err != nil {
		return nil, err
	}
	var out []string
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return nil //nolint:nilerr // what cannot be read cannot be stored
		case d.IsDir() && name != ".":
			if _, err := root.Lstat(path.Join(name, gitDir)); err == nil || path.Base(name) == gitDir {
				return fs.SkipDir
			}
			return nil
		case d.IsDir() || known[name]:
			return nil
		case len(out) == maxFiles:
			return fmt.Errorf("more than %d files are untracked", maxFiles)
		}
		out = append(out, name)
		return nil
	})
	return out, err
}

// tracked are the names in the index.
func tracked(root *os.Root) (map[string]bool, error) {
	f, err := root.Open(gitDir + "/index")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("the project directory holds no Git repository with a checkout")
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var idx index.Index
	if err := index.NewDecoder(io.LimitReader(f, maxIndex)).Decode(&idx); err != nil {
		return nil, fmt.Errorf("the repository's index cannot be read: %w", err)
	}
	out := make(map[string]bool, len(idx.Entries))
	for _, e := range idx.Entries {
		out[e.Name] = true
	}
	return out, nil
}
