package release

import (
	"fmt"
	"strings"
	"sync"
)

// Limits on what is kept of Helm's log.
const (
	maxLogLines = 20
	maxLogLine  = 400
)

// logLines keeps the last lines that Helm's library has logged. It may be used
// by several goroutines.
type logLines struct {
	mu    sync.Mutex
	lines []string
}

// printf is Helm's log function.
func (l *logLines) printf(format string, args ...any) {
	line := strings.TrimSpace(fmt.Sprintf(format, args...))
	if len(line) > maxLogLine {
		line = line[:maxLogLine] + "..."
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) == maxLogLines {
		l.lines = append(l.lines[:0], l.lines[1:]...)
	}
	l.lines = append(l.lines, strings.ToValidUTF8(line, "?"))
}

// last returns the lines, oldest first.
func (l *logLines) last() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines...)
}
