package program

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxNames is how many files of one folder are looked at.
const maxNames = 10_000

// Folders are the directories with programs; of several with one name the
// first counts.
type Folders []string

// Check says which of the folders cannot be used.
func (f Folders) Check() error {
	var errs []error
	for _, dir := range f {
		info, err := os.Stat(dir)
		switch {
		case !filepath.IsAbs(dir):
			errs = append(errs, fmt.Errorf("toolbox folder %s: use an absolute path", dir))
		case err != nil:
			errs = append(errs, fmt.Errorf("toolbox folder: %w", err))
		case !info.IsDir():
			errs = append(errs, fmt.Errorf("toolbox folder %s: it is no directory", dir))
		}
	}
	return errors.Join(errs...)
}

// Find returns the file of a program.
func (f Folders) Find(name string) (path string, ok bool) {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return "", false
	}
	for _, dir := range f {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, true
		}
	}
	return "", false
}

// Holds says whether dir is one of the folders.
func (f Folders) Holds(dir string) bool {
	return slices.Contains(f, filepath.Clean(dir))
}

// Names lists the programs, sorted.
func (f Folders) Names() []string {
	var names []string
	for _, dir := range f {
		folder, err := os.Open(dir)
		if err != nil {
			continue
		}
		found, _ := folder.Readdirnames(maxNames) // what cannot be read cannot be run
		folder.Close()
		for _, name := range found {
			if _, ok := f.Find(name); ok {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
