package agentconfig

import (
	"context"
	"sync"
	"time"
)

// WatchInterval is how often a Watcher reads its file. It reads the bytes
// instead of waiting for file events: a ConfigMap volume changes by swapping a
// symbolic link two directories up, which events report badly.
const WatchInterval = time.Second

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

	checking sync.Mutex // one Check at a time
	seen     string     // revision or error text of the last read

	mu  sync.Mutex
	now Event
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

// Run checks the file at once and then each WatchInterval, until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
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

// Check reads the file now. Callers use it to have a first answer before Run.
func (w *Watcher) Check() {
	w.checking.Lock()
	defer w.checking.Unlock()
	files, err := w.read()
	seen := ""
	if err != nil {
		seen = "error: " + err.Error()
	} else {
		seen = files.Name + ": " + files.Revision()
	}
	if seen == w.seen {
		return
	}
	w.seen = seen
	var got *Loaded
	if err == nil {
		got, err = load(files, w.opts)
	}
	w.mu.Lock()
	w.now.Err = err
	if err == nil {
		w.now.Loaded = got
	}
	event := w.now
	w.mu.Unlock()
	w.report(event)
}

// Current is the configuration in force and why the file is not, if so.
func (w *Watcher) Current() Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// read reads the files again when they have changed, until both are of the same
// moment: a directory may be swapped between one file and the next.
func (w *Watcher) read() (Files, error) {
	f, err := ReadFiles(w.path)
	for range maxRereads {
		if err != nil || f.Name+": "+f.Revision() == w.seen {
			break
		}
		before := f.Revision()
		if f, err = ReadFiles(w.path); err == nil && f.Revision() == before {
			break
		}
	}
	return f, err
}

// maxRereads is how often files that keep changing are read again.
const maxRereads = 3
