package library

import (
	"bytes"
	"io"
	"os"
	"sync"
)

// lines takes those of the standard log, to which the library writes directly:
// it warns there of charts and of values, which it quotes. A line does not say
// whose it is.
var lines = &logLines{to: map[*io.Writer]bool{}}

// LogTo gives the library's lines to w until end is called; while nobody takes
// them they go to the process's standard error. Nearly always there is one that
// does; all belong to the same job.
func LogTo(w io.Writer) (end func()) { return lines.attach(w) }

// WithoutWarnings keeps the library's warnings from everybody until end is
// called: values that they quote may be secret.
func WithoutWarnings() (end func()) { return lines.hush() }

type logLines struct {
	mu     sync.Mutex
	to     map[*io.Writer]bool
	hushed int // by how many at the moment
}

func (l *logLines) attach(w io.Writer) (end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := &w
	l.to[key] = true
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.to, key)
	}
}

func (l *logLines) hush() (end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hushed++
	return sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.hushed--
	})
}

// Write implements io.Writer; the log package calls it once for each line.
func (l *logLines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hushed > 0 && bytes.Contains(bytes.ToLower(line), []byte("warning:")) {
		return len(line), nil
	}
	if len(l.to) == 0 {
		return os.Stderr.Write(line)
	}
	for w := range l.to {
		_, _ = (*w).Write(line) // nobody is left to tell
	}
	return len(line), nil
}
