package rules

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ErrMissing is returned when there is no rules file at a path.
var ErrMissing = errors.New("no rules file")

// Load reads path: a file, or a directory whose files that end in .yaml or .yml
// are all rules files, in the order of their names. A directory without any is
// an error, as a file that is not there: rules that vanish must not let
// everything in.
func Load(path string) (*Set, error) {
	files, err := Read(path)
	if err != nil {
		return nil, err
	}
	return Parse(files...)
}

// Read reads the files that Load parses.
func Read(path string) ([]File, error) {
	names, err := filesOf(path)
	if err != nil {
		return nil, err
	}
	var files []File
	for _, name := range names {
		content, err := readFile(name)
		if err != nil {
			return nil, err
		}
		files = append(files, File{Name: name, Content: content})
	}
	return files, nil
}

func filesOf(path string) ([]string, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w; create it or correct the path", path, ErrMissing)
	case err != nil:
		return nil, err
	case !info.IsDir():
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path) // sorted by name
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		// The volume of a ConfigMap has directories that start with two dots.
		if slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(e.Name())) && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, filepath.Join(path, e.Name()))
		}
	}
	switch {
	case len(names) == 0:
		return nil, fmt.Errorf("%s: %w that ends in .yaml or .yml; write one with rules: [] if there are to be no rules", path, ErrMissing)
	case len(names) > MaxFiles:
		return nil, fmt.Errorf("%s: %d rules files are over the limit of %d; put several rules into one file", path, len(names), MaxFiles)
	}
	return names, nil
}

// readFile reads at most one byte more than MaxFile, which Parse then refuses.
func readFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: not a regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return content, nil
}
