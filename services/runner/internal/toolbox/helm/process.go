package helm

import (
	"io"
	"log"
	"os"
	"sync"

	"github.com/towline/towline/services/runner/internal/toolbox/helm/library"
)

var setUpProcess = sync.OnceFunc(func() {
	library.SetUp()
	// The library warns of charts and values through the standard log.
	log.SetFlags(log.Lshortfile)
	log.SetOutput(libraryLog)
})

// libraryLog is where the lines of the standard log go.
var libraryLog = &logRouter{streams: map[*io.Writer]bool{}}

// logRouter gives each line to the standard error of every command that runs at
// the moment, nearly always one, since a line does not say whose it is. All of
// them belong to the same job.
type logRouter struct {
	mu      sync.Mutex
	streams map[*io.Writer]bool
}

// attach adds a command's standard error and returns what takes it away again.
func (l *logRouter) attach(w io.Writer) func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := &w
	l.streams[key] = true
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.streams, key)
	}
}

// Write implements io.Writer.
func (l *logRouter) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.streams) == 0 {
		return os.Stderr.Write(line)
	}
	for w := range l.streams {
		_, _ = (*w).Write(line) // nobody is left to tell
	}
	return len(line), nil
}
