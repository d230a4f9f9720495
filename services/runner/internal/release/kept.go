package release

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Limits on what is kept between runs.
const (
	maxKept    = 64 // packed charts on disk
	maxIndexes = 512
)

// key names something of a repository for whoever has the same credentials.
func (s *source) key(parts ...string) string {
	text, _ := json.Marshal(append(parts, s.Username.Reveal(), s.Password.Reveal(), s.CA)) // strings can be written
	return hexSum(text)
}

// indexCache remembers what indexes said, for as long as they do not change. It
// may be used by several goroutines.
type indexCache struct {
	mu    sync.Mutex
	known map[string]resolved
}

func (c *indexCache) get(key string) resolved {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known[key]
}

func (c *indexCache) put(key string, r resolved) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= maxIndexes {
		c.known = map[string]resolved{}
	}
	c.known[key] = r
}

// kept returns a packed chart from the directory for them, nil if it is not
// there. With a digest it must have it.
func (e *Engine) kept(key, digest string) []byte {
	if e.options.Cache == "" {
		return nil
	}
	name := filepath.Join(e.options.Cache, key+".tgz")
	text, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	sum, packed, ok := bytes.Cut(text, []byte("\n"))
	if !ok || string(sum) != hexSum(packed) || digest != "" && string(sum) != digest {
		_ = os.Remove(name) // cut short, or worse
		return nil
	}
	now := time.Now()
	_ = os.Chtimes(name, now, now) // the least recently used go first
	return packed
}

// keep writes a packed chart to the directory for them. That it cannot is no
// failure: the chart is fetched again.
func (e *Engine) keep(key string, packed []byte) {
	if e.options.Cache == "" {
		return
	}
	f, err := os.CreateTemp(e.options.Cache, "fetching-")
	if err != nil {
		return
	}
	_, err = f.Write(append([]byte(hexSum(packed)+"\n"), packed...))
	if closed := f.Close(); err != nil || closed != nil {
		_ = os.Remove(f.Name())
		return
	}
	if err := os.Rename(f.Name(), filepath.Join(e.options.Cache, key+".tgz")); err != nil {
		_ = os.Remove(f.Name())
	}
	e.tidy()
}

// tidy removes what has not been used for the longest time.
func (e *Engine) tidy() {
	names, err := filepath.Glob(filepath.Join(e.options.Cache, "*.tgz"))
	if err != nil || len(names) <= maxKept {
		return
	}
	used := map[string]time.Time{}
	for _, name := range names {
		if info, err := os.Lstat(name); err == nil && info.Mode()&fs.ModeType == 0 {
			used[name] = info.ModTime()
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(used[a].Compare(used[b]), cmp.Compare(a, b)) })
	for _, name := range names[:len(names)-maxKept] {
		_ = os.Remove(name)
	}
}
