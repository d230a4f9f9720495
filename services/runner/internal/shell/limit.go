package shell

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"
)

// Limits of a script. Each ends it with a message.
const (
	maxScript     = 4 << 20 // bytes of one script
	maxReadFrames = 20_000  // calls of Go's that reading may nest: some thousand constructs
	maxRunFrames  = 30_000  // calls of Go's that running may nest: some thousand functions
	maxGoroutines = 2_000   // subshells, pipelines and commands at once, in the process
	maxBraces     = 16 << 10
	checkEvery    = 32 // commands between two looks at the limits
)

// limitError is a limit that a script has run into.
type limitError struct {
	text string
	code int
}

func (e *limitError) Error() string { return e.text }

// limits watches what a script takes. The commands of all shells of a job are
// counted together.
type limits struct {
	calls *atomic.Uint64
	stop  context.CancelCauseFunc // ends the whole script of the job
}

// check is called before each command; name is that of the command.
func (l *limits) check(name string) error {
	if l.calls.Add(1)%checkEvery != 0 {
		return nil
	}
	var err *limitError
	switch {
	case runtime.NumGoroutine() > maxGoroutines:
		err = &limitError{fmt.Sprintf("fork: Resource temporarily unavailable: more than %d commands and subshells at once", maxGoroutines), exitFork}
	case deeper(maxRunFrames):
		err = &limitError{name + ": maximum function nesting level exceeded", exitFailure}
	default:
		return nil
	}
	return l.end(err)
}

// end ends the whole script of the job.
func (l *limits) end(err *limitError) error {
	if l.stop != nil {
		l.stop(err)
	}
	return err
}

// deeper says whether the calling goroutine's stack has more frames. The cost
// is that of walking them; a stack that is never allowed to grow further cannot
// end the process.
func deeper(frames int) bool {
	var pc [1]uintptr
	return runtime.Callers(frames, pc[:]) > 0
}

// boundedReader ends a parse that nests too deeply: the parser reads while it
// descends. Looking at the stack takes its time, and short texts cannot nest
// deeply.
type boundedReader struct {
	r    io.Reader
	read int
}

func (b *boundedReader) Read(p []byte) (int, error) {
	const short, chunk = 2 << 10, 512
	if b.read > short && deeper(maxReadFrames) {
		return 0, &limitError{"the script nests too deeply", exitSyntax}
	}
	n, err := b.r.Read(p[:min(len(p), chunk)])
	b.read += n
	return n, err
}
