package agentconfig

import (
	"context"

	"github.com/towline/towline/pkg/filewatch"
)

// Event is told to a Watcher's owner when the file's state is news.
type Event struct {
	// Loaded is the configuration now in force; nil when there never was a
	// good one.
	Loaded *Loaded
	// Err is why the file as it stands is not in force; nil when it is. It is
	// a strictyaml.Faults when the file could be read.
	Err error
}

// Watcher keeps the last good configuration of a path. Make it with NewWatcher.
type Watcher struct {
	path   string
	opts   Options
	report func(Event)
	last   filewatch.Last[*Loaded]
}

// NewWatcher watches a file or a directory as Load takes it. report is called
// when the configuration changed or can no longer be used, never twice for the
// same state; it may be nil.
func NewWatcher(path string, opts Options, report func(Event)) *Watcher {
	if report == nil {
		report = func(Event) {}
	}
	return &Watcher{path: path, opts: opts, report: report}
}

// Run checks the file at once and then each filewatch.Interval, until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	return filewatch.Run(ctx, w.Check)
}

// Check reads the file now. Callers use it to have a first answer before Run.
func (w *Watcher) Check() {
	w.last.Look(w.read, func(l *Loaded, err error) { w.report(Event{Loaded: l, Err: err}) })
}

// Current is the configuration in force and why the file is not, if so.
func (w *Watcher) Current() Event {
	loaded, err := w.last.Get()
	return Event{Loaded: loaded, Err: err}
}

// read reads the files again when they have changed, until both are of the same
// moment: a directory may be swapped between one file and the next.
func (w *Watcher) read(known string) (string, func() (*Loaded, error)) {
	f, err := ReadFiles(w.path)
	for range maxRereads {
		if err != nil || stateOf(f) == known {
			break
		}
		before := f.Revision()
		if f, err = ReadFiles(w.path); err == nil && f.Revision() == before {
			break
		}
	}
	if err != nil {
		return "error: " + err.Error(), func() (*Loaded, error) { return nil, err }
	}
	return stateOf(f), func() (*Loaded, error) { return load(f, w.opts) }
}

func stateOf(f Files) string { return f.Name + ": " + f.Revision() }

// maxRereads is how often files that keep changing are read again.
const maxRereads = 3
