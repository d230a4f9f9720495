package rules

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/towline/towline/pkg/filewatch"
)

// ErrUnusable means that there never were rules that can be used. Nothing may be
// let in until there are.
var ErrUnusable = errors.New("the rules of the cluster's owner cannot be used")

// Watcher keeps the last good rules of a path. Make it with NewWatcher; a nil
// Watcher has no rules and never any.
type Watcher struct {
	path   string
	report func(*Set, error)
	last   filewatch.Last[*Set]
}

// NewWatcher watches what Load reads. report is called when the rules changed or
// can no longer be used, never twice for the same state: with the rules now in
// force, nil when there never were any, and why what is there is not in force,
// nil when it is.
func NewWatcher(path string, report func(*Set, error)) *Watcher {
	return &Watcher{path: path, report: report}
}

// Run checks the files at once and then each filewatch.Interval, until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	if w == nil {
		<-ctx.Done()
		return nil
	}
	return filewatch.Run(ctx, w.Check)
}

// Check reads the files now. Callers use it to have a first answer before Run.
func (w *Watcher) Check() {
	w.last.Look(func(string) (string, func() (*Set, error)) {
		files, err := Read(w.path)
		return digest(files, err), func() (*Set, error) {
			if err != nil {
				return nil, err
			}
			return Parse(files...)
		}
	}, w.report)
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
	set, why := w.last.Get()
	switch {
	case set != nil:
		return set, why, nil
	case why != nil:
		return nil, nil, fmt.Errorf("%w: %w", ErrUnusable, why)
	}
	return nil, nil, fmt.Errorf("%w: they have not been read yet", ErrUnusable)
}
