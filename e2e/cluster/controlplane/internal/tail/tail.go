package tail

import (
	"bytes"
	"strings"
	"sync"
)

const (
	maxLines = 3
	maxBytes = 500
)

// Errors is an io.Writer that remembers the last error lines written to it.
// Its zero value is ready; it is safe for concurrent use.
type Errors struct {
	mu    sync.Mutex
	lines []string
}

// Write looks at one klog record. Records of severity error and fatal start
// with E or F and a digit; everything else is dropped.
func (e *Errors) Write(p []byte) (int, error) {
	if len(p) < 2 || (p[0] != 'E' && p[0] != 'F') || p[1] < '0' || p[1] > '9' {
		return len(p), nil
	}
	line, _, _ := bytes.Cut(p, []byte("\n"))
	if _, message, ok := bytes.Cut(line, []byte("] ")); ok {
		line = message
	}
	if len(line) > maxBytes {
		line = line[:maxBytes]
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lines = append(e.lines, string(line))
	if len(e.lines) > maxLines {
		e.lines = e.lines[len(e.lines)-maxLines:]
	}
	return len(p), nil
}

// String returns the remembered lines, oldest first, on one line.
func (e *Errors) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.lines, " | ")
}
