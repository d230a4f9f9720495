package syncer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/services/runner/internal/recency"
)

// Limits on what is kept of chart repositories from sync to sync.
const (
	maxShelves      = 128
	maxShelvesBytes = 256 << 20 // of all together
	maxShelfBytes   = 80 << 20  // of one
	maxShelfFiles   = 128
)

// shelves hold what repositories have sent, one for each entry and whoever it
// is synced as. A sync gets its own shelf into its directory and reaches no other,
// so what one entry makes of its shelf no other ever reads. They end with the
// replica. Safe for concurrent use.
type shelves struct {
	dir string // made when something is kept
	mu  sync.Mutex
}

// shelfOf names the shelf of a claimed sync.
func shelfOf(c *claim) (string, error) {
	m := c.task.Entry
	who := c.session.Claims().Identity
	text, err := json.Marshal([]any{m.Name, m.Project, m.Chart.Repository, who.User, who.Groups})
	return strings.TrimPrefix(grant.Digest(text), "sha256:"), err
}

// lend puts a shelf at a place that does not exist yet.
func (s *shelves) lend(name, place string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if os.Rename(filepath.Join(s.dir, name), place) != nil {
		return os.Mkdir(place, dirMode) // there is none, or another sync has it
	}
	return nil
}

// takeBack keeps a shelf for the next sync. The one it was lent to may have left
// anything in it.
func (s *shelves) takeBack(name, place string) error {
	if _, err := inspect(place); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := os.Mkdir(s.dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	at := filepath.Join(s.dir, name)
	if err := os.RemoveAll(at); err != nil {
		return err
	}
	if err := os.Rename(place, at); err != nil {
		return err
	}
	return errors.Join(recency.Use(at), s.tidy())
}

// inspect removes what does not belong onto a shelf and returns the size of the
// rest. Links are not followed.
func inspect(place string) (size int64, err error) {
	dir, err := os.OpenRoot(place)
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	files, err := fs.ReadDir(dir.FS(), ".")
	if err != nil {
		return 0, err
	}
	if len(files) > maxShelfFiles {
		return 0, fmt.Errorf("more than %d files are kept", maxShelfFiles)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			return 0, err
		}
		if ext := filepath.Ext(f.Name()); !info.Mode().IsRegular() || ext != ".tgz" && ext != ".json" {
			if err := dir.RemoveAll(f.Name()); err != nil {
				return 0, err
			}
			continue
		}
		if size += info.Size(); size > maxShelfBytes {
			return 0, fmt.Errorf("more than %d MiB are kept", maxShelfBytes>>20)
		}
	}
	return size, nil
}

// tidy removes what has not been used for the longest time.
func (s *shelves) tidy() error {
	names, err := recency.List(s.dir)
	if err != nil {
		return err
	}
	var total int64
	var errs []error
	for i, name := range names {
		at := filepath.Join(s.dir, name)
		size, err := inspect(at)
		if total += size; err != nil || i >= maxShelves || total > maxShelvesBytes {
			errs = append(errs, os.RemoveAll(at))
		}
	}
	return errors.Join(errs...)
}
