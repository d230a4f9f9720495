package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"github.com/towline/towline/services/runner/internal/toolbox"
)

const (
	// stopGrace is how long a cancelled script may take to come to rest. A
	// command that does not listen is left behind.
	stopGrace = 900 * time.Millisecond
	// trapTime is how long the traps of a cancelled script may take.
	trapTime = 5 * time.Second
)

// Exit codes of the shell itself.
const (
	exitFailure  = 1
	exitSyntax   = 2
	exitNotFound = 127
	exitPanic    = 70 // an embedded command crashed (EX_SOFTWARE)
	exitFork     = 254
	bySignal     = 128
)

// Shell runs the scripts of one job.
type Shell struct {
	tools *toolbox.Toolbox
	jobs  *jobs
	calls atomic.Uint64 // commands so far
	// null is the standard input of scripts that have none. It stays open as
	// long as the process: what a script leaves behind may still use it.
	null *os.File
}

// New makes a shell for the commands of tools, and gives them sh and bash.
func New(tools *toolbox.Toolbox) (*Shell, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, fmt.Errorf("shell: %w", err)
	}
	s := &Shell{tools: tools, jobs: newJobs(), null: null}
	for _, name := range []string{"sh", "bash", "ash", "dash"} {
		tools.Add(name, s.command)
	}
	return s, nil
}

// Script is one run of a shell.
type Script struct {
	Text    string
	Name    string          // $0, and what messages begin with
	Line    func(uint) uint // translates a line of Text into the one that its author knows; nil for the same
	Args    []string        // $1 and so on
	Options []string        // as for set: "-e", "-o", "pipefail"
	Environ []string        // KEY=value
	Dir     string
	Stdin   io.Reader // nil for an empty one
	Stdout  io.Writer // may be written to by several goroutines
	Stderr  io.Writer
	source  string // what BASH_SOURCE says
	place   string // begins messages; Name when empty
	inherit bool   // command substitutions inherit errexit, as those of sh do
}

// ExitError is a script that ended with a code other than 0.
type ExitError struct{ Code int }

func (e *ExitError) Error() string { return fmt.Sprintf("exit status %d", e.Code) }

// Run runs a script to its end. It returns nil, an *ExitError, or the cause of
// ctx; in the last case traps for EXIT and TERM have run for a bounded time,
// and what does not listen is left behind. Whatever the script has left in the
// background ends with it.
func (s *Shell) Run(ctx context.Context, script Script) error {
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	inner = context.WithValue(inner, rootKey{}, &root{cancel: cancel})
	ses, err := s.open(inner, script)
	if err != nil {
		fmt.Fprintln(script.Stderr, err)
		return &ExitError{exitSyntax}
	}
	done := make(chan error, 1)
	go func() { done <- ses.guarded(inner) }()
	err, rested := wait(inner, done)
	switch {
	case ctx.Err() != nil:
		if rested {
			ses.traps(ctx)
		}
		return context.Cause(ctx)
	case errors.As(context.Cause(inner), new(*limitError)):
		err = context.Cause(inner)
	}
	return ses.verdict(err)
}

// wait waits for a script, or for ctx and then a little longer. rested says
// that the interpreter has ended.
func wait(ctx context.Context, done <-chan error) (err error, rested bool) {
	select {
	case err := <-done:
		return err, true
	case <-ctx.Done():
	}
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case err := <-done:
		return err, true
	case <-grace.C:
		return nil, false
	}
}

// root is the script that the job runs; shells that it starts share its end.
type root struct{ cancel context.CancelCauseFunc }

type rootKey struct{}

// session is one interpreter.
type session struct {
	shell   *Shell
	script  Script
	file    *syntax.File
	runner  *interp.Runner
	reader  *reader
	limits  limits
	signals signals
	pipes   pipes
	at      atomic.Uint64 // the line of the last command
	began   time.Time
}

// open reads a script and makes an interpreter for it. The error is a message
// of the shell.
func (s *Shell) open(ctx context.Context, script Script) (*session, error) {
	if script.Stdin == nil {
		script.Stdin = s.null
	}
	if script.place == "" {
		script.place = script.Name
	}
	ses := &session{shell: s, script: script, reader: newReader(script.place, script.Line), limits: limits{calls: &s.calls}, began: time.Now()}
	ses.reader.inherit = script.inherit
	ses.at.Store(1)
	var err error
	if ses.file, err = ses.reader.read(script.Text, script.Name, script.source); err != nil {
		return nil, err
	}
	if stop, ok := ctx.Value(rootKey{}).(*root); ok {
		ses.limits.stop = stop.cancel
	}
	ses.runner, err = interp.New(
		interp.Env(newEnviron(script.Environ)),
		interp.Dir(script.Dir),
		interp.StdIO(script.Stdin, script.Stdout, &messages{script.Stderr, ses}),
		interp.ExecHandlers(ses.exec),
		interp.CallHandler(ses.call),
		interp.OpenHandler(ses.openFile),
		interp.StatHandler(ses.stat),
		interp.ReadDirHandler2(ses.readDir),
		interp.AccessHandler(ses.access),
		interp.Params(append(script.Options, append([]string{"--"}, script.Args...)...)...),
	)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", script.place, err)
	}
	return ses, nil
}

// guarded runs the script; a crash of the interpreter is a failure of the
// script.
func (s *session) guarded(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(s.script.Stderr, "%s: internal error: %v\n", s.script.place, p)
			_, _ = os.Stderr.Write(debug.Stack())
			err = &ExitError{exitPanic}
		}
	}()
	err = s.runner.Run(ctx, s.file)
	s.signals.mu.Lock()
	defer s.signals.mu.Unlock()
	if s.signals.code != nil && ctx.Err() == nil {
		err = interp.ExitStatus(*s.signals.code)
		if *s.signals.code == 0 {
			err = nil
		}
	}
	return err
}

// verdict turns what the interpreter returns into what Run returns.
func (s *session) verdict(err error) error {
	var status interp.ExitStatus
	var exit *ExitError
	var limit *limitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &status):
		return &ExitError{int(status)}
	case errors.As(err, &exit):
		return exit
	case errors.As(err, &limit):
		fmt.Fprintf(s.script.Stderr, "%s: %v\n", s.script.place, limit)
		return &ExitError{limit.code}
	}
	// Anything else is the shell's own fault, such as an expansion it rejects.
	fmt.Fprintf(s.script.Stderr, "%s: %v\n", s.script.place, err)
	return &ExitError{exitFailure}
}
