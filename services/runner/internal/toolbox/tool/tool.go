package tool

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Command carries out one invocation and returns its exit code. It must not
// read or write the process's own streams, environment or working directory,
// must be safe for concurrent use, and should return soon after ctx has ended;
// the caller leaves it behind otherwise.
type Command func(ctx context.Context, inv Invocation) int

// Invocation is one command of a script.
type Invocation struct {
	Name    string   // as the script called it
	Args    []string // without the name
	Dir     string   // absolute; what relative paths are relative to
	Environ []string // the exported variables as KEY=value; the last of a key counts
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	// Run carries out another command, found as the shell would find it, and
	// returns its exit code (127 when there is none of that name). The caller
	// starts from a copy of its own invocation. Its own Run is set by the callee.
	Run func(ctx context.Context, inv Invocation) int
}

// Getenv returns the value of an exported variable, and whether it is set.
func (i Invocation) Getenv(key string) (string, bool) {
	for n := len(i.Environ) - 1; n >= 0; n-- {
		if name, value, _ := strings.Cut(i.Environ[n], "="); name == key {
			return value, true
		}
	}
	return "", false
}

// Path makes a path of the script absolute. /dev/stdin and its kind are the
// command's, not those of the process in which it runs.
func (i Invocation) Path(p string) string {
	var stream any
	switch filepath.Clean(p) {
	case "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0":
		stream = i.Stdin
	case "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1":
		stream = i.Stdout
	case "/dev/stderr", "/dev/fd/2", "/proc/self/fd/2":
		stream = i.Stderr
	}
	switch {
	case stream != nil:
		return again(stream)
	case p == "" || filepath.IsAbs(p):
		return p
	}
	return filepath.Join(i.Dir, p)
}

// wrapper is a writer that stands before another.
type wrapper interface{ behind() io.Writer }

// again is the path under which an open file can be opened again. There is none
// for what is no file, such as the job's log.
func again(stream any) string {
	for w, ok := stream.(wrapper); ok; w, ok = stream.(wrapper) {
		stream = w.behind()
	}
	fd := -1
	if f, ok := stream.(*os.File); ok {
		if c, err := f.SyscallConn(); err == nil {
			_ = c.Control(func(n uintptr) { fd = int(n) })
		}
	}
	return fmt.Sprintf("/proc/self/fd/%d", fd)
}
