package rules

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"
)

// WatchInterval is how often a Watcher reads its files. It reads the bytes
// instead of waiting for file events: a ConfigMap volume changes by swapping a
// symbolic link, which events report badly.
const WatchInterval = time.Second

// ErrUnusable means that there never were rules that can be used. Nothing may be
// let in until there are.
var ErrUnusable = errors.New("the rules of the cluster's owner cannot be used")

// Watcher keeps the last good rules of a path. Make it with NewWatcher; a nil
// Watcher has no rules and never any.
type Watcher struct {
	path   string
	report func(*Set, error)

	checking sync.Mutex // one Check at a time
	seen     string     // digest of what was read last, or its error

	mu  sync.Mutex
	set *Set
	err error // why what is there is not in force
}

// NewWatcher watches what Load reads. report is called when the rules changed or
// can no longer be used, never twice for the same state: with the rules now in
// force, nil when there never were any, and why what is there is not in force,
// nil when it is.
func NewWatcher(path string, report func(*Set, error)) *Watcher {
	return &Watcher{path: path, report: report}
}

// Run checks the files at once and then each WatchInterval, until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	if w == nil {
		<-ctx.Done()
		return nil
	}
	t := time.NewTicker(WatchInterval)
	defer t.Stop()
	for {
		w.Check()
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// Check reads the files now. Callers use it to have a first answer before Run.
func (w *Watcher) Check() {
	w.checking.Lock()
	defer w.checking.Unlock()
	files, err := Read(w.path)
	seen := digest(files, err)
	if seen == w.seen {
		return
	}
	w.seen = seen
	var set *Set
	if err == nil {
		set, err = Parse(files...)
	}
	w.mu.Lock()
	if err == nil {
		w.set = set
	}
	w.err = err
	set = w.set
	w.mu.Unlock()
	w.report(set, err)
}

func digest(files []File, err error) string {
	h := sha256.New()
	fmt.Fprintf(h, "%v\n", err)
	for _, f := range files {
		fmt.Fprintf(h, "%q %d\n", f.Name, len(f.Content))
		h.Write(f.Content)
	}
	return string(h.Sum(nil))
}

// Current returns the rules in force; ErrUnusable, with why, when there never
// were any. faulty is why newer ones are not in force.
func (w *Watcher) Current() (set *Set, faulty, err error) {
	if w == nil {
		return nil, nil, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.set != nil:
		return w.set, w.err, nil
	case w.err != nil:
		return nil, nil, fmt.Errorf("%w: %w", ErrUnusable, w.err)
	}
	return nil, nil, fmt.Errorf("%w: they have not been read yet", ErrUnusable)
}
