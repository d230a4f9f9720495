package worker

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"syscall"
)

// maxLine is how much of a line is held back at most.
const maxLine = 4096

// faults are what the Go runtime says of itself when it ends a process for want
// of something, and what that means.
var faults = []struct{ says, means string }{
	{"runtime: goroutine stack exceeds", stackFault},
	{"fatal error: stack overflow", stackFault},
	{"runtime: out of memory", memoryFault},
	{"runtime: cannot allocate memory", memoryFault},
	{"fatal error: runtime: out of memory", memoryFault},
	{"fatal error: runtime: cannot allocate memory", memoryFault},
	{"fatal error: out of memory", memoryFault},
	{"runtime/cgo: pthread_create failed", threadFault},
	{"runtime: failed to create new OS thread", threadFault},
	{"runtime: may need to increase max user processes", threadFault},
}

const (
	memoryFault = "out of memory"
	stackFault  = "stack overflow"
	threadFault = "out of threads"
)

// ownOutput passes on what a job process itself writes, which is nothing unless
// something is wrong. The dump that follows a known fault helps nobody and is
// left out.
type ownOutput struct {
	to    io.Writer
	line  []byte
	fault string
}

// Write implements io.Writer.
func (l *ownOutput) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		rest = after
		l.line = append(l.line, line...)
		if whole {
			l.line = append(l.line, '\n')
		}
		if whole || len(l.line) > maxLine {
			l.pass()
		}
	}
	return len(p), nil
}

// pass judges the line and hands it on.
func (l *ownOutput) pass() {
	for _, f := range faults {
		if l.fault == "" && bytes.HasPrefix(l.line, []byte(f.says)) {
			l.fault = f.means
		}
	}
	if l.fault == "" {
		_, _ = l.to.Write(l.line)
	}
	l.line = l.line[:0]
}

// diagnosis is why a job's process ended without a result, in words for the
// job's author.
func (r *running) diagnosis(err error) (why string, code int) {
	how, code := r.proc.how()
	const begin = "the job's process ended unexpectedly"
	switch {
	case err != nil: // it was ended for that
		return fmt.Sprintf("%s (%s): %v", begin, how, err), code
	case r.words.fault == memoryFault:
		return begin + ": it ran out of memory; " + r.w.memoryAllowed(), code
	case r.words.fault == stackFault:
		return begin + ": something in it calls itself without end (stack overflow); look for a function, a template or an included file that uses itself", code
	case r.words.fault == threadFault:
		return begin + ": it could start no more threads, because it ran out of memory or because the jobs of this runner have too many processes together", code
	case code == bySignal+int(syscall.SIGKILL):
		return fmt.Sprintf("%s (%s): it was ended from outside, most likely because the runner's pod or its node ran out of memory", begin, how), code
	case code == bySignal+int(syscall.SIGSYS):
		return fmt.Sprintf("%s (%s): it made a system call that jobs must not make", begin, how), code
	}
	return fmt.Sprintf("%s (%s)", begin, how), code
}

func (w *Worker) memoryAllowed() string {
	if w.Limits.Memory == 0 {
		return "the node or the pod has no more"
	}
	return strings.Join([]string{"--memory-limit of the runner allows", size(w.Limits.Memory), "per process"}, " ")
}
