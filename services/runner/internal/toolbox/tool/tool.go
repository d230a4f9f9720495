package tool

import (
	"context"
	"io"
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

// Path makes a path of the script absolute.
func (i Invocation) Path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(i.Dir, p)
}
