package cache

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/towline/towline/pkg/service"
)

const (
	pruneEvery = 10 * time.Minute
	// unfinished is how old a file must be that nobody finished writing.
	unfinished    = 24 * time.Hour
	tempPrefix    = ".put-"
	folderMode    = 0o700
	entryMode     = 0o600
	maxDirEntries = 1_000_000
)

// Directory stores entries in a directory, one folder for each project. Several
// runners may share it.
type Directory struct {
	root     *os.Root
	maxAge   time.Duration
	maxBytes int64
	log      *slog.Logger
	wrote    chan struct{}
}

// OpenDirectory opens dir, which it makes if need be. Entries that nobody used
// for maxAge are removed, and the ones unused for longest while all take more
// than maxBytes.
func OpenDirectory(dir string, maxAge time.Duration, maxBytes int64, log *slog.Logger) (*Directory, error) {
	if err := os.MkdirAll(dir, folderMode); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Directory{root: root, maxAge: maxAge, maxBytes: maxBytes, log: log, wrote: make(chan struct{}, 1)}, nil
}

func (o Object) path() string { return strconv.FormatInt(o.Project, 10) + "/" + o.Name }

// Get opens an entry and marks it as used.
func (d *Directory) Get(_ context.Context, o Object) (io.ReadCloser, int64, error) {
	f, err := d.root.Open(o.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, ErrMissing
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, 0, fmt.Errorf("%s is not a readable file: %w", o.path(), err)
	}
	_ = d.root.Chtimes(o.path(), time.Time{}, time.Now())
	return f, info.Size(), nil
}

// Put writes an entry beside the old one and takes its place.
func (d *Directory) Put(_ context.Context, o Object, size int64, content io.Reader) error {
	folder := strconv.FormatInt(o.Project, 10)
	if err := d.root.MkdirAll(folder, folderMode); err != nil {
		return err
	}
	temp := folder + "/" + tempPrefix + rand.Text()
	f, err := d.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, entryMode)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, content)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil && n != size {
		err = fmt.Errorf("%d of %d bytes arrived", n, size)
	}
	if err == nil {
		err = d.root.Rename(temp, o.path())
	}
	if err != nil {
		_ = d.root.Remove(temp)
		return err
	}
	select {
	case d.wrote <- struct{}{}:
	default:
	}
	return nil
}

// Run removes what is too old or too much, until ctx ends.
func (d *Directory) Run(ctx context.Context) error {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		if err := d.prune(time.Now()); err != nil {
			d.log.Warn("old caches not removed", service.Err(err))
		}
		select {
		case <-ctx.Done():
			return d.root.Close()
		case <-tick.C:
		case <-d.wrote:
		}
	}
}

// kept is one file of the directory.
type kept struct {
	path string
	size int64
	used time.Time
}

func (d *Directory) prune(now time.Time) error {
	files, err := d.files()
	if err != nil {
		return err
	}
	slices.SortFunc(files, func(a, b kept) int { return b.used.Compare(a.used) }) // the newest first
	var total int64
	for _, f := range files {
		total += f.size
		age := now.Sub(f.used)
		if total <= d.maxBytes && age <= d.maxAge {
			continue
		}
		if isTemp(f.path) && age < unfinished {
			continue // somebody is writing it
		}
		if err := d.root.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		total -= f.size
	}
	return nil
}

func isTemp(path string) bool { return strings.Contains(path, "/"+tempPrefix) }

// files lists the entries of all projects, and nothing that is none of ours.
func (d *Directory) files() ([]kept, error) {
	var out []kept
	err := fs.WalkDir(d.root.FS(), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || strings.Count(path, "/") != 1 {
			return nil //nolint:nilerr // what disappears meanwhile needs no removal
		}
		info, err := e.Info()
		if err != nil {
			return nil //nolint:nilerr // as above
		}
		if len(out) == maxDirEntries {
			return fs.SkipAll
		}
		out = append(out, kept{path, info.Size(), info.ModTime()})
		return nil
	})
	return out, err
}
