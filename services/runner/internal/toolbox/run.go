package toolbox

import (
	"context"
	"fmt"
	"os"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"github.com/towline/towline/services/runner/internal/toolbox/callback"
	"github.com/towline/towline/services/runner/internal/toolbox/program"
	"github.com/towline/towline/services/runner/internal/toolbox/spelling"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// Exit codes of commands that did not run.
const (
	exitCannotRun = 126
	exitNotFound  = 127
	exitPanic     = 70
)

// Run carries out one command for a program or another command.
func (t *Toolbox) Run(ctx context.Context, inv tool.Invocation) int {
	return t.RunAt(ctx, inv, "bash: ")
}

// RunAt carries out one command. A crash of a command of this process is a
// failure of that command alone. place begins the messages of the shell, such
// as "bash: line 3: ".
func (t *Toolbox) RunAt(ctx context.Context, inv tool.Invocation, place string) (code int) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(inv.Stderr, "%s: internal error: %v\n", inv.Name, p)
			_, _ = os.Stderr.Write(debug.Stack())
			code = exitPanic
		}
	}()
	inv.Run = t.Run
	inv.Name, inv.Dir = t.tmp.Path(inv.Name), t.tmp.Path(inv.Dir)
	inv.Args, inv.Environ = t.tmp.Args(inv.Name, inv.Args), t.tmp.Environ(inv.Environ)
	if found, ok := t.Find(inv.Name); ok {
		return t.start(ctx, inv, found, place)
	}
	file := inv.Name
	if !strings.Contains(file, "/") {
		at, ok := t.inPath(inv, file)
		if !ok {
			t.unknown(inv, place)
			return exitNotFound
		}
		file = at
	}
	return t.runFile(ctx, inv, file, place)
}

func (t *Toolbox) start(ctx context.Context, inv tool.Invocation, found Found, place string) int {
	if found.command != nil {
		return leaving(ctx, func() int { return found.command(ctx, inv) })
	}
	if v, ok := t.variants[path.Base(inv.Name)]; ok && v.wanted(inv.Args) {
		return leaving(ctx, func() int { return v.command(ctx, inv) })
	}
	if script, ok := shebang(found.program); ok {
		return t.runScript(ctx, inv, found.program, script, place)
	}
	inv.Environ, inv.Args = t.withWay(inv.Environ), spelling.Args(path.Base(inv.Name), inv.Args)
	return program.Run(ctx, inv, found.program, place, t.calls.Socket(),
		program.Variable{Name: callback.Variable, Value: t.calls.Allow(ctx, program.InheritedFD)})
}

// runFile runs a file that is none of the toolbox: only scripts can be.
func (t *Toolbox) runFile(ctx context.Context, inv tool.Invocation, file, place string) int {
	script, err := executable(inv.Path(file))
	if err != nil {
		return t.refuse(inv, err, place)
	}
	return t.runScript(ctx, inv, file, script, place)
}

// runScript has a script's interpreter run it.
func (t *Toolbox) runScript(ctx context.Context, inv tool.Invocation, file string, script interpreter, place string) int {
	found, ok := t.Find(script.name)
	if !ok {
		fmt.Fprintf(inv.Stderr, "%s%s: %s: bad interpreter: No such file or directory\n", place, inv.Name, script.line)
		fmt.Fprintf(inv.Stderr, "bash: %s is not among the commands of this runner; %s\n", path.Base(script.name), elsewhere)
		return exitCannotRun
	}
	inv.Name, inv.Args = script.name, append(append(script.args, file), inv.Args...)
	if inner, isScript := shebang(found.program); isScript && found.command == nil {
		fmt.Fprintf(inv.Stderr, "%s%s: its interpreter %s is itself a script for %s\n", place, file, found.program, inner.name)
		return exitCannotRun
	}
	return t.start(ctx, inv, found, place)
}

// leaving waits for a command or for the end of ctx, whichever comes first: a
// command that does not listen is left behind, and the end of the process,
// which is near then, ends it.
func leaving(ctx context.Context, fn func() int) int {
	done := make(chan int, 1)
	var crash any
	go func() {
		defer func() {
			if crash = recover(); crash != nil {
				_, _ = os.Stderr.Write(debug.Stack())
				close(done)
			}
		}()
		done <- fn()
	}()
	var late <-chan time.Time
	ended := ctx.Done()
	for {
		select {
		case code, ok := <-done:
			if !ok {
				panic(crash)
			}
			return code
		case <-ended:
			ended, late = nil, time.After(lastWords)
		case <-late:
			return 1
		}
	}
}

// lastWords is how long a command has after the end of its context: helm writes
// down then that a release was cancelled, and would leave it pending for ever
// otherwise.
const lastWords = 2 * time.Second
