package toolbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/towline/towline/services/runner/internal/toolbox/getopt"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// Exit codes of timeout.
const (
	exitTimeout = 124
	exitUsage   = 125
	bySignal    = 128
)

var errTimeout = errors.New("timeout")

var timeoutSpec = getopt.Spec{Short: "k:s:v", InOrder: true, Long: map[string]string{
	"signal": "s", "kill-after": "k", "verbose": "v", "preserve-status": "preserve", "foreground": "foreground",
}}

// timeout runs a command for a limited time: timeout [-s signal] [-k time]
// [--preserve-status] [--foreground] time command [argument...].
func (t *Toolbox) timeout(ctx context.Context, inv tool.Invocation) int {
	options, args, err := getopt.Parse(timeoutSpec, inv.Args)
	if err != nil {
		getopt.Fault(inv.Stderr, "timeout", err)
		return exitUsage
	}
	signal, preserve := unix.SIGTERM, false
	for _, o := range options {
		switch o.Name {
		case "s":
			signal = namedSignal(o.Value)
		case "preserve":
			preserve = true
		}
	}
	const least = 2
	if len(args) < least {
		fmt.Fprintln(inv.Stderr, "timeout: usage: timeout [-s SIGNAL] [--preserve-status] DURATION COMMAND [ARG]...")
		return exitUsage
	}
	limit, err := sleepTime(args[0])
	if err != nil || signal == 0 {
		fmt.Fprintf(inv.Stderr, "timeout: invalid time interval '%s' or signal\n", args[0])
		return exitUsage
	}
	if limit > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, limit, errTimeout)
		defer stop()
	}
	inv.Name, inv.Args = args[1], args[2:]
	code := inv.Run(ctx, inv)
	switch {
	case !errors.Is(context.Cause(ctx), errTimeout):
		return code
	case signal == unix.SIGKILL:
		return bySignal + int(signal)
	case preserve:
		return t.ended(inv.Name, code, signal)
	}
	return exitTimeout
}

// ended is the exit code of a command that was told to end with a signal. A
// program gets SIGTERM whatever the signal is called, and a command of this
// process none, so that both are given the code that the signal would leave.
func (t *Toolbox) ended(name string, code int, signal syscall.Signal) int {
	if t.Program(name) == "" || code == bySignal+int(unix.SIGTERM) {
		return bySignal + int(signal)
	}
	return code
}

func namedSignal(name string) syscall.Signal {
	var n int
	if _, err := fmt.Sscanf(name, "%d", &n); err == nil {
		return syscall.Signal(n)
	}
	return unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG"))
}

var envSpec = getopt.Spec{Short: "0iu:C:S:v", InOrder: true, Long: map[string]string{
	"ignore-environment": "i", "null": "0", "unset": "u", "chdir": "C", "split-string": "S", "debug": "v",
}}

// envWanted says whether env has an option that busybox's does not know.
func envWanted(args []string) bool {
	options, _, _ := getopt.Parse(envSpec, args)
	return slices.ContainsFunc(options, func(o getopt.Option) bool { return o.Name == "C" || o.Name == "S" })
}

// env runs a command with other variables, or prints them: env [-i] [-u name]
// [-C directory] [-S words] [name=value...] [command [argument...]].
func env(ctx context.Context, inv tool.Invocation) int {
	options, args, err := getopt.Parse(envSpec, inv.Args)
	environ, end, chdir := inv.Environ, "\n", ""
	for i := 0; err == nil && i < len(options); i++ {
		switch o := options[i]; o.Name {
		case "i":
			environ = nil
		case "u":
			environ = without(environ, o.Value)
		case "0":
			end = "\x00"
		case "C":
			chdir = o.Value
		case "S":
			if strings.ContainsAny(o.Value, `"'\$#`) {
				err = errors.New("quotes, backslashes, $ and # in -S are not supported on this runner")
			}
			// What the words say stands in place of the option.
			var more []getopt.Option
			var operands []string
			if err == nil {
				more, operands, err = getopt.Parse(envSpec, append(strings.Fields(o.Value), args...))
			}
			options, args = append(options[:i+1:i+1], more...), operands
		}
	}
	if err != nil {
		getopt.Fault(inv.Stderr, "env", err)
		return exitUsage
	}
	if len(args) > 0 && args[0] == "-" {
		environ, args = nil, args[1:]
	}
	for len(args) > 0 && strings.Contains(args[0], "=") {
		name, _, _ := strings.Cut(args[0], "=")
		environ, args = append(without(environ, name), args[0]), args[1:]
	}
	if code := checkFolder(inv, chdir, len(args) > 0); code != 0 {
		return code
	}
	if len(args) == 0 {
		for _, entry := range environ {
			fmt.Fprint(inv.Stdout, entry, end)
		}
		return 0
	}
	if chdir != "" {
		inv.Dir = inv.Path(chdir)
	}
	inv.Name, inv.Args, inv.Environ = args[0], args[1:], environ
	return inv.Run(ctx, inv)
}

// checkFolder tells why env cannot go to a directory.
func checkFolder(inv tool.Invocation, dir string, command bool) int {
	if dir == "" {
		return 0
	}
	if !command {
		getopt.Fault(inv.Stderr, "env", errors.New("must specify command with --chdir (-C)"))
		return exitUsage
	}
	info, err := os.Stat(inv.Path(dir))
	if err == nil && !info.IsDir() {
		err = unix.ENOTDIR
	}
	if err != nil {
		fmt.Fprintf(inv.Stderr, "env: cannot change directory to '%s': %s\n", dir, tool.Reason(err))
		return exitUsage
	}
	return 0
}

func without(environ []string, name string) []string {
	out := make([]string, 0, len(environ)+1)
	for _, entry := range environ {
		if key, _, _ := strings.Cut(entry, "="); key != name {
			out = append(out, entry)
		}
	}
	return out
}

// nice runs a command as it is: jobs cannot change priorities. nohup has
// nothing to protect a command from.
func nice(ctx context.Context, inv tool.Invocation) int {
	args := inv.Args
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		if args[0] == "-n" && len(args) > 1 {
			args = args[1:]
		}
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(inv.Stdout, 0)
		return 0
	}
	inv.Name, inv.Args = args[0], args[1:]
	return inv.Run(ctx, inv)
}
