package certs

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

const (
	// MaxFile bounds what is read of a file, in bytes: the certificates of all
	// public authorities take a quarter of it.
	MaxFile = 1 << 20
	// Interval is the least time between two looks at a file.
	Interval = time.Second
)

// version tells one state of a file from another.
type version struct {
	changed time.Time
	size    int64
}

// watched is what is made of files, made anew when one of them has changed.
type watched[T any] struct {
	paths []string
	parse func(contents [][]byte) (T, error)

	mu       sync.Mutex
	value    T
	versions []version
	looked   time.Time
}

// newWatched reads the files for the first time; only then a fault is an error.
func newWatched[T any](parse func([][]byte) (T, error), paths ...string) (*watched[T], error) {
	w := &watched[T]{paths: paths, parse: parse, versions: make([]version, len(paths))}
	versions, err := w.look()
	if err != nil {
		return nil, err
	}
	if w.value, err = w.read(); err != nil {
		return nil, err
	}
	w.versions, w.looked = versions, time.Now()
	return w, nil
}

// get returns what the files hold now, or held when they were last good.
func (w *watched[T]) get() T {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.looked) < Interval {
		return w.value
	}
	w.looked = time.Now()
	versions, err := w.look()
	if err != nil || same(versions, w.versions) {
		return w.value
	}
	if v, err := w.read(); err == nil {
		w.value, w.versions = v, versions
	}
	return w.value
}

func (w *watched[T]) look() ([]version, error) {
	out := make([]version, len(w.paths))
	for i, p := range w.paths {
		s, err := os.Stat(p)
		if err != nil {
			return nil, err
		}
		out[i] = version{s.ModTime(), s.Size()}
	}
	return out, nil
}

func (w *watched[T]) read() (T, error) {
	var none T
	contents := make([][]byte, len(w.paths))
	for i, p := range w.paths {
		b, err := readFile(p)
		if err != nil {
			return none, err
		}
		contents[i] = b
	}
	return w.parse(contents)
}

func same(a, b []version) bool {
	for i := range a {
		if a[i].size != b[i].size || !a[i].changed.Equal(b[i].changed) {
			return false
		}
	}
	return true
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > MaxFile {
		return nil, fmt.Errorf("%s is over %d bytes", path, MaxFile)
	}
	return b, nil
}
