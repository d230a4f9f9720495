package shell

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/interp"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// own is put before the name of a builtin that this package carries out, so
// that the interpreter looks for a command of that name.
const own = "\x00"

// builtin carries out a builtin of ours and returns its exit code. A negative
// one ends the shell, with the exit code that it is the negative of.
type builtin func(ctx context.Context, s *session, hc interp.HandlerContext, args []string) int

// builtins are those that the interpreter lacks or has differently.
var builtins map[string]builtin

// lacking are those of them that the interpreter does not have at all.
var lacking = map[string]bool{
	"kill": true, "wait": true, "jobs": true, "disown": true, "fg": true, "bg": true, "umask": true, "ulimit": true, "trap": true,
}

// rewriting changes the words of a builtin that the interpreter has.
type rewriting func(s *session, hc interp.HandlerContext, args []string) ([]string, error)

var rewritings map[string]rewriting

func init() {
	builtins = map[string]builtin{
		"kill": of((*session).kill), "wait": of((*session).wait), "jobs": of((*session).listJobs), "disown": succeed,
		"fg": of((*session).noJobControl), "bg": of((*session).noJobControl), "umask": of((*session).umask), "ulimit": of((*session).ulimit),
		"type": of((*session).typeOf), "hash": of((*session).hash), "trap": of((*session).trap), "caller": fail, "complete": succeed,
		countCommand: countWords, forkCommand: of((*session).fork), doneCommand: of((*session).done),
		"read": of((*session).read), "printf": of((*session).printf), "command": of((*session).which),
		"mapfile": of((*session).mapfile), "readarray": of((*session).mapfile),
		anchorCommand: of((*session).anchor), againCommand: sameCode, writableCommand: of((*session).writable),
		secondsCommand: of((*session).seconds), pipeCommand: of((*session).pipe), pipedCommand: of((*session).piped),
		pipeStatusCommand: of((*session).pipeStatus), referCommand: of((*session).refer),
		failedCommand: of((*session).failed), leftCommand: of((*session).left), codeCommand: exitCode,
		startCommand: of((*session).start), timesCommand: of((*session).times),
	}
	rewritings = map[string]rewriting{
		"set": rewriteSet, "shopt": rewriteShopt, "echo": rewriteEcho, "cd": rewriteCd, "exit": rewriteExit, "return": rewriteExit,
		"[": rewriteTest, "test": rewriteTest, "eval": rewriteEval, "source": rewriteSource, ".": rewriteSource, "shift": rewriteShift,
		"kill": rewriteKill, numberCommand: rewriteNumber,
	}
}

// of makes a builtin of a method.
func of(method func(*session, context.Context, interp.HandlerContext, []string) int) builtin {
	return func(ctx context.Context, s *session, hc interp.HandlerContext, args []string) int {
		return method(s, ctx, hc, args)
	}
}

func succeed(context.Context, *session, interp.HandlerContext, []string) int { return 0 }

func countWords(_ context.Context, _ *session, hc interp.HandlerContext, args []string) int {
	fmt.Fprintln(hc.Stdout, len(args))
	return 0
}

func fail(context.Context, *session, interp.HandlerContext, []string) int { return exitFailure }

// call sees every simple command before the interpreter carries it out, and
// may change its words.
func (s *session) call(ctx context.Context, args []string) ([]string, error) {
	if err := s.limits.check(args[0]); err != nil {
		return nil, err
	}
	hc := s.handler(ctx)
	if line := hc.Pos.Line(); line > 0 {
		s.at.Store(uint64(line))
	}
	if b := s.job(hc); b != nil && args[0] != doneCommand {
		if signal := s.shell.jobs.killed(b); signal != 0 {
			return []string{"exit", strconv.Itoa(bySignal + signal)}, nil
		}
	}
	if s.reader.declares(args[0]) {
		return args, nil // its function, as long as it is not unset
	}
	// These two only say that a builtin is meant. (What this package itself
	// asks of the interpreter's own builtins it asks with the first one.)
	if len(args) > 1 && args[0] == "command" && rewritings[args[1]] != nil {
		words, err := rewritings[args[1]](s, hc, args[1:])
		return append([]string{"builtin"}, words...), err
	}
	if len(args) > 1 && (args[0] == "command" && builtins[args[1]] != nil || args[0] == "builtin" && lacking[args[1]]) {
		args = args[1:]
	}
	if rewrite := rewritings[args[0]]; rewrite != nil {
		return rewrite(s, hc, args)
	}
	if _, ok := builtins[args[0]]; ok && needsOurs(hc, args) {
		return append([]string{own + args[0]}, args[1:]...), nil
	}
	return args, nil
}

// needsOurs says whether the interpreter's own builtin will not do.
func needsOurs(hc interp.HandlerContext, args []string) bool {
	switch args[0] {
	case "command":
		return len(args) > 1 && (args[1] == "-v" || args[1] == "-V")
	case "read":
		return strings.Trim(string(separatorsOf(hc)), blanks) != "" || slices.ContainsFunc(args[1:], func(a string) bool {
			return len(a) > 1 && a[0] == '-' && strings.ContainsAny(a, "tnNduei")
		})
	}
	return true
}

// job is the background command that a command belongs to.
func (s *session) job(hc interp.HandlerContext) *background {
	number := hc.Env.Get(jobVariable)
	if !number.IsSet() {
		return nil
	}
	return s.shell.jobs.number(number.Str)
}

// exec carries out a command that is none of the interpreter's.
func (s *session) exec(interp.ExecHandlerFunc) interp.ExecHandlerFunc {
	return func(ctx context.Context, args []string) error {
		hc := s.handler(ctx)
		base := ctx
		b := s.job(hc)
		if b != nil {
			ctx = b.ctx
		}
		var code int
		if name, ok := strings.CutPrefix(args[0], own); ok {
			if code = s.builtin(ctx, hc, name, args[1:]); code < 0 {
				return hc.Builtin(base, []string{"exit", strconv.Itoa(-code & 0xff)})
			}
		} else {
			code = s.shell.tools.RunAt(ctx, s.invocation(hc, args), s.place(hc))
		}
		if err := base.Err(); err != nil {
			return err // ends the script
		}
		if b != nil && args[0] != own+doneCommand {
			if signal := s.shell.jobs.killed(b); signal != 0 {
				code = bySignal + signal
			}
		}
		if code != 0 {
			return interp.ExitStatus(code)
		}
		return nil
	}
}

func (s *session) builtin(ctx context.Context, hc interp.HandlerContext, name string, args []string) int {
	carryOut := builtins[name]
	if carryOut == nil {
		return s.fault(hc, exitNotFound, "%s: command not found", name)
	}
	return carryOut(ctx, s, hc, args)
}

// place begins the messages about one command.
func (s *session) place(hc interp.HandlerContext) string {
	return fmt.Sprintf("%s: line %d: ", s.script.place, s.reader.line(hc.Pos.Line()))
}

// fault prints a message about one command and returns code.
func (s *session) fault(hc interp.HandlerContext, code int, format string, args ...any) int {
	fmt.Fprintf(hc.Stderr, s.place(hc)+format+"\n", args...)
	return code
}

func (s *session) invocation(hc interp.HandlerContext, args []string) tool.Invocation {
	return tool.Invocation{
		Name: args[0], Args: args[1:], Dir: hc.Dir, Environ: exported(hc.Env),
		Stdin: hc.Stdin, Stdout: hc.Stdout, Stderr: hc.Stderr,
	}
}

// assignIn sets a variable of the shell that a builtin runs for.
func assignIn(ctx context.Context, hc interp.HandlerContext, name, value string) error {
	err := hc.Builtin(ctx, []string{"eval", name + "=" + quote(value)})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// quote makes one word of a value. The interpreter would keep the backslash of \'
// in what is assigned.
func quote(value string) string { return "'" + strings.ReplaceAll(value, "'", `'"'"'`) + "'" }
