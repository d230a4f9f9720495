package job

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"

	"github.com/towline/towline/services/runner/internal/toolbox"
)

// stopGrace is how long a cancelled script may take to come to rest. A command
// that does not listen is left behind; the end of the process ends it.
const stopGrace = 2 * time.Second

// Exit codes of the shell itself.
const (
	exitFailure = 1
	exitSyntax  = 2
	exitPanic   = 70 // an embedded command crashed (EX_SOFTWARE)
)

// shell runs one script in a shell of its own.
type shell struct {
	tools  *toolbox.Toolbox
	env    []string
	dir    string
	xtrace bool
	stdout io.Writer
	stderr io.Writer
}

// exitError is a script that ended with a code other than 0.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("exit status %d", e.code) }

// run executes the items. It returns nil, an *exitError, or the cause of ctx.
func (s *shell) run(ctx context.Context, items []string) error {
	out, errs := &gate{w: s.stdout}, &gate{w: s.stderr}
	defer out.close()
	defer errs.close()
	text, err := newScript(items)
	if err != nil {
		fmt.Fprintf(errs, "bash: %v\n", err)
		return &exitError{exitSyntax}
	}
	file, err := text.parse()
	if err != nil {
		fmt.Fprintln(errs, err)
		return &exitError{exitSyntax}
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	tools := s.tools.Shell(text.userLine)
	runner, err := interp.New(
		interp.Env(expand.ListEnviron(s.env...)),
		interp.Dir(s.dir),
		interp.StdIO(null, out, errs),
		interp.ExecHandlers(tools.Exec),
		interp.CallHandler(tools.Call),
		s.options(),
	)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				fmt.Fprintf(errs, "bash: internal error: %v\n", p)
				_, _ = os.Stderr.Write(debug.Stack())
				done <- &exitError{exitPanic}
			}
		}()
		done <- runner.Run(ctx, file)
	}()
	return s.wait(ctx, done, errs)
}

func (s *shell) options() interp.RunnerOption {
	opts := []string{"-e", "-o", "pipefail"}
	if s.xtrace {
		opts = append(opts, "-x")
	}
	return interp.Params(opts...)
}

func (s *shell) wait(ctx context.Context, done <-chan error, errs io.Writer) error {
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		grace := time.NewTimer(stopGrace)
		defer grace.Stop()
		select {
		case <-done: //nolint:errcheck // ctx says why it ended
		case <-grace.C:
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var status interp.ExitStatus
	var exit *exitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &status):
		return &exitError{int(status)}
	case errors.As(err, &exit):
		return exit
	}
	// Anything else is the shell's own fault, such as an expansion it rejects.
	fmt.Fprintf(errs, "bash: %v\n", err)
	return &exitError{exitFailure}
}
