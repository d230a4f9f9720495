package grep

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/towline/towline/services/runner/internal/toolbox/glob"
)

// filter is one --include or --exclude.
type filter struct {
	operand, below glob.Pattern // for what the command line names, and for what lies in directories
	include        bool
}

func newFilter(text string, include bool) filter {
	return filter{glob.Compile(text, glob.Mode{Trailing: true}), glob.Compile(text, glob.Mode{}), include}
}

// walk finds the files that a command line means, in the order of their names.
type walk struct {
	*options
	path  func(string) string // where a name is
	ended func() bool         // says that nothing more is wanted
	visit func(name string)   // gets each file
	fail  func(name string, err error)
	warn  func(text string)
}

// operands goes through all that is to be searched. Standard input is visited
// as "-".
func (w *walk) operands() {
	for _, name := range w.files {
		if w.ended() {
			return
		}
		w.operand(name)
	}
}

func (w *walk) operand(name string) {
	if name == "-" {
		w.visit(name)
		return
	}
	info, err := os.Stat(w.path(name))
	switch {
	case err != nil:
		w.fail(name, err)
	case !info.IsDir():
		if w.chosen(name, true) {
			w.visit(name)
		}
	case w.skipped(name):
	case w.recursive():
		w.folder(name, []os.FileInfo{info})
	default:
		w.fail(name, syscall.EISDIR)
	}
}

// skipped says whether an operand is a directory that is left out.
func (w *walk) skipped(name string) bool {
	if w.implied {
		return false
	}
	bare := strings.TrimRight(name, "/")
	return slices.ContainsFunc(w.skipDir, func(f filter) bool { return f.operand.Match(bare) })
}

// chosen says whether a file is searched: the last filter that fits decides,
// and where none does, the first.
func (w *walk) chosen(name string, operand bool) bool {
	if len(w.filters) == 0 {
		return true
	}
	base := path.Base(name)
	for i := len(w.filters) - 1; i >= 0; i-- {
		f := w.filters[i]
		if operand && f.operand.Match(name) || !operand && f.below.Match(base) {
			return f.include
		}
	}
	return !w.filters[0].include
}

// folder visits what lies in a directory. above are the directories that lead to
// it, with itself as the last.
func (w *walk) folder(name string, above []os.FileInfo) {
	entries, err := os.ReadDir(w.path(name))
	if err != nil {
		w.fail(name, err)
		return
	}
	for _, entry := range entries {
		if w.ended() {
			return
		}
		shown := strings.TrimSuffix(name, "/") + "/" + entry.Name()
		if w.implied {
			shown = strings.TrimPrefix(shown, "./")
		}
		w.entry(shown, entry, above)
	}
}

func (w *walk) entry(name string, entry os.DirEntry, above []os.FileInfo) {
	if entry.Type()&os.ModeSymlink != 0 && !w.set["R"] {
		return
	}
	if !entry.IsDir() && entry.Type().IsRegular() {
		if w.chosen(name, false) {
			w.visit(name)
		}
		return
	}
	info, err := os.Stat(w.path(name))
	switch {
	case err != nil:
		if !entry.Type().IsRegular() && w.chosen(name, false) {
			w.fail(name, err)
		}
	case info.IsDir():
		if slices.ContainsFunc(w.skipDir, func(f filter) bool { return f.below.Match(entry.Name()) }) {
			return
		}
		if slices.ContainsFunc(above, func(other os.FileInfo) bool { return os.SameFile(info, other) }) {
			w.warn(fmt.Sprintf("%s: warning: recursive directory loop", name))
			return
		}
		w.folder(name, append(above[:len(above):len(above)], info))
	case info.Mode().IsRegular() && w.chosen(name, false):
		w.visit(name)
	}
}
