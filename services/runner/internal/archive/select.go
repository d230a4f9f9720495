package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Limits of patterns: each alternative in braces doubles the work.
const (
	maxPattern = 4096
	maxBraces  = 8
)

// Rules say which files of a project are meant (runner-api sheet, section 13.1).
// Patterns are globs with ** and relative to the project, or absolute paths
// inside it; a directory stands for everything in it.
type Rules struct {
	Paths   []string
	Exclude []string
	// Untracked says that the files in UntrackedFiles are wanted too.
	Untracked      bool
	UntrackedFiles []string
}

// File is one selected file, directory or link.
type File struct {
	Name string // relative to the project, with slashes
	Info fs.FileInfo
}

// Select lists what the rules mean, sorted by name. What is found, missing and
// excluded goes to log; only a limit and the end of ctx are errors. dir is the
// absolute path of root.
func Select(ctx context.Context, root *os.Root, dir string, rules Rules, limits Limits, log Log) ([]File, error) {
	s := &selection{
		ctx: ctx, root: root, rules: rules, limits: limits, log: log,
		files: map[string]fs.FileInfo{}, excluded: map[string]int{},
	}
	for _, p := range rules.Paths {
		if err := s.path(dir, p); err != nil {
			return nil, err
		}
	}
	if rules.Untracked {
		if err := s.untracked(); err != nil {
			return nil, err
		}
	}
	for _, pattern := range rules.Exclude {
		if n := s.excluded[pattern]; n > 0 {
			log.Raw(fmt.Sprintf("%s: excluded %d files", pattern, n))
		}
	}
	return s.sorted()
}

// selection is one run of Select.
type selection struct {
	ctx      context.Context
	root     *os.Root
	rules    Rules
	limits   Limits
	log      Log
	files    map[string]fs.FileInfo
	excluded map[string]int
	visited  int
	git      bool // the warning about .git was given
}

// path handles one entry of paths.
func (s *selection) path(dir, p string) error {
	pattern, ok := relative(dir, p)
	if !ok {
		s.log.Warn("processPath: artifact path is not a subpath of project directory: " + p)
		return nil
	}
	if err := checkPattern(pattern); err != nil {
		s.log.Warn(fmt.Sprintf("%s: %v", p, err))
		return nil
	}
	found, err := s.match(pattern)
	if err != nil {
		return err
	}
	if found == 0 {
		s.log.Warn(fmt.Sprintf("%s: no matching files. Ensure that the artifact path is relative to the working directory (%s)", p, dir))
		return nil
	}
	s.log.Raw(fmt.Sprintf("%s: found %d matching artifact files and directories", p, found))
	return nil
}

// relative makes a path relative to the project; false means it leads outside.
func relative(dir, p string) (string, bool) {
	if path.IsAbs(p) {
		rest, ok := strings.CutPrefix(path.Clean(p)+"/", strings.TrimSuffix(dir, "/")+"/")
		if !ok {
			return "", false
		}
		p = rest
	}
	p = path.Clean(p)
	return p, filepath.IsLocal(p)
}

func checkPattern(pattern string) error {
	switch {
	case len(pattern) > maxPattern:
		return fmt.Errorf("the pattern is longer than %d bytes", maxPattern)
	case strings.Count(pattern, "{") > maxBraces:
		return fmt.Errorf("the pattern has more than %d alternatives in braces", maxBraces)
	case !doublestar.ValidatePattern(pattern):
		return doublestar.ErrBadPattern
	}
	return nil
}

// match adds what a pattern means and returns how much that was.
func (s *selection) match(pattern string) (int, error) {
	base, rest := doublestar.SplitPattern(pattern)
	if !hasMeta(rest) {
		base = path.Join(base, strings.ReplaceAll(rest, `\`, ""))
		return s.tree(base)
	}
	depth := maxDepth
	if !strings.Contains(rest, "**") {
		depth = strings.Count(rest, "/")
	}
	if ok, _ := doublestar.Match(pattern, base); ok && base != "." {
		return s.tree(base)
	}
	return s.search(base, pattern, depth)
}

func hasMeta(p string) bool { return strings.ContainsAny(p, "*?[{") }

// search looks for matches in a directory and, depth levels deep, below it.
func (s *selection) search(dir, pattern string, depth int) (int, error) {
	names, err := s.list(dir)
	if err != nil {
		return 0, err
	}
	found := 0
	for _, e := range names {
		name := path.Join(dir, e.Name())
		n := 0
		if ok, _ := doublestar.Match(pattern, name); ok {
			n, err = s.tree(name)
		} else if e.IsDir() && depth > 0 {
			n, err = s.search(name, pattern, depth-1)
		}
		if err != nil {
			return 0, err
		}
		found += n
	}
	return found, nil
}

// list reads a directory; what cannot be read is treated as empty.
func (s *selection) list(dir string) ([]fs.DirEntry, error) {
	if s.ctx.Err() != nil {
		return nil, context.Cause(s.ctx)
	}
	f, err := s.root.Open(dir)
	if err != nil {
		return nil, nil
	}
	defer f.Close()
	var out []fs.DirEntry
	for {
		const batch = 1024
		part, err := f.ReadDir(batch)
		out = append(out, part...)
		if s.visited += len(part); s.visited > maxVisited {
			return nil, fmt.Errorf("the project directory has more than %d files: name the wanted ones more exactly", maxVisited)
		}
		if errors.Is(err, io.EOF) || err != nil {
			break
		}
	}
	slices.SortFunc(out, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return out, nil
}

// tree adds a file, or a directory with everything in it. Links are added as
// links.
func (s *selection) tree(name string) (int, error) {
	info, err := s.root.Lstat(name)
	if err != nil {
		return 0, nil //nolint:nilerr // what does not exist is not found
	}
	if strings.Count(name, "/") > maxDepth || len(name) > maxName {
		return 0, fmt.Errorf("%.80s...: the path is too deep or too long", name)
	}
	found := 0
	added, err := s.add(name, info)
	if err != nil {
		return 0, err
	}
	if added {
		found = 1
	}
	if !info.IsDir() {
		return found, nil
	}
	entries, err := s.list(name)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		n, err := s.tree(path.Join(name, e.Name()))
		if err != nil {
			return 0, err
		}
		found += n
	}
	return found, nil
}

// add keeps one entry unless it is excluded or cannot be stored.
func (s *selection) add(name string, info fs.FileInfo) (bool, error) {
	for _, pattern := range s.rules.Exclude {
		if checkPattern(pattern) != nil {
			continue
		}
		if ok, _ := doublestar.Match(pattern, name); ok {
			s.excluded[pattern]++
			return false, nil
		}
	}
	if !info.Mode().IsRegular() && !info.IsDir() && info.Mode().Type() != fs.ModeSymlink {
		s.log.Warn(name + ": is neither a file, a directory nor a link: not stored")
		return false, nil
	}
	if !s.git && (name == ".git" || strings.HasPrefix(name, ".git/")) {
		s.git = true
		s.log.Warn("Part of .git directory is on the list of files to archive")
		s.log.Warn("This may introduce unexpected problems")
	}
	if name == "." {
		return true, nil
	}
	s.files[name] = info
	if len(s.files) > s.limits.Entries {
		return false, fmt.Errorf("more than %d files match: store less, or pack them into one file first", s.limits.Entries)
	}
	return true, nil
}

func (s *selection) untracked() error {
	found := 0
	for _, name := range s.rules.UntrackedFiles {
		if !filepath.IsLocal(name) {
			continue
		}
		info, err := s.root.Lstat(name)
		if err != nil {
			continue
		}
		added, err := s.add(path.Clean(name), info)
		if err != nil {
			return err
		}
		if added {
			found++
		}
	}
	if found == 0 {
		s.log.Warn("untracked: no files")
		return nil
	}
	s.log.Raw(fmt.Sprintf("untracked: found %d files", found))
	return nil
}

// sorted lists the selection and refuses what is too large before a byte of it
// is read: a sparse file costs nothing until then.
func (s *selection) sorted() ([]File, error) {
	var total int64
	files := make([]File, 0, len(s.files))
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		info := s.files[name]
		if info.Mode().IsRegular() {
			total += info.Size()
			if info.Size() > s.limits.Content || total > s.limits.Content {
				return nil, fmt.Errorf("the files are larger than %s (with %s of %s): store less", Size(s.limits.Content), name, Size(info.Size()))
			}
		}
		files = append(files, File{Name: name, Info: info})
	}
	return files, nil
}
