package job

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/towline/towline/services/runner/internal/shell"
)

// Exit codes of the shell itself.
const (
	exitFailure = 1
	exitSyntax  = 2
)

// step runs the scripts of one stage, each in a shell of its own.
type step struct {
	shell  *shell.Shell
	env    []string
	dir    string
	xtrace bool
	// sections begins the names of the sections that commands of several lines
	// are; with none they are not.
	sections string
	stdout   io.Writer
	stderr   io.Writer
}

// run executes the items. It returns nil, an *shell.ExitError, or the cause of
// ctx.
func (s *step) run(ctx context.Context, items []string) error {
	out, errs := &gate{w: s.stdout}, &gate{w: s.stderr}
	defer out.close()
	defer errs.close()
	text, err := newScript(items, s.sections)
	if err != nil {
		fmt.Fprintf(errs, "bash: %v\n", err)
		return &shell.ExitError{Code: exitSyntax}
	}
	options := []string{"-e", "-o", "pipefail"}
	if s.xtrace {
		options = append(options, "-x")
	}
	return s.shell.Run(ctx, shell.Script{
		Text: text.text, Name: "bash", Line: text.userLine, Options: options, Environ: s.env, Dir: s.dir,
		Stdout: out, Stderr: errs,
	})
}

// isExit says whether a script has ended by itself, and with which code.
func isExit(err error) (code int, ok bool) {
	var exit *shell.ExitError
	if !errors.As(err, &exit) {
		return 0, false
	}
	return exit.Code, true
}
