package toolbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// Exit codes of timeout.
const (
	exitTimeout = 124
	exitUsage   = 125
	bySignal    = 128
)

var errTimeout = errors.New("timeout")

// timeout runs a command for a limited time: timeout [-s signal] [-k time]
// [--preserve-status] [--foreground] time command [argument...].
func timeout(ctx context.Context, inv tool.Invocation) int {
	args, signal := inv.Args, unix.SIGTERM
	for len(args) > 0 && strings.HasPrefix(args[0], "-") && args[0] != "-" {
		name, value, attached := strings.Cut(args[0], "=")
		args = args[1:]
		if name == "--" {
			break
		}
		if strings.HasPrefix(name, "-s") && len(name) > 2 && name[1] != '-' {
			name, value, attached = "-s", name[2:], true
		}
		switch name {
		case "--preserve-status", "--foreground", "-v", "--verbose":
			continue
		case "-s", "--signal", "-k", "--kill-after":
		default:
			fmt.Fprintf(inv.Stderr, "timeout: unrecognized option '%s'\n", name)
			return exitUsage
		}
		if !attached && len(args) > 0 {
			value, args = args[0], args[1:]
		}
		if strings.HasPrefix(name, "-s") || name == "--signal" {
			signal = namedSignal(value)
		}
	}
	const least = 2
	if len(args) < least {
		fmt.Fprintln(inv.Stderr, "timeout: usage: timeout [-s SIGNAL] DURATION COMMAND [ARG]...")
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
	}
	return exitTimeout
}

func namedSignal(name string) syscall.Signal {
	var n int
	if _, err := fmt.Sscanf(name, "%d", &n); err == nil {
		return syscall.Signal(n)
	}
	return unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG"))
}

// env runs a command with other variables, or prints them: env [-i] [-u name]
// [name=value...] [command [argument...]].
func env(ctx context.Context, inv tool.Invocation) int {
	args, environ := inv.Args, inv.Environ
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		option := args[0]
		args = args[1:]
		switch {
		case option == "-i" || option == "-" || option == "--ignore-environment":
			environ = nil
		case option == "-u" && len(args) > 0:
			environ, args = without(environ, args[0]), args[1:]
		case strings.HasPrefix(option, "--unset="):
			environ = without(environ, strings.TrimPrefix(option, "--unset="))
		case option == "-S" && len(args) > 0:
			args = append(strings.Fields(args[0]), args[1:]...)
		case option == "--":
		default:
			fmt.Fprintf(inv.Stderr, "env: option %s is not supported on this runner\n", option)
			return exitUsage
		}
	}
	for len(args) > 0 && strings.Contains(args[0], "=") {
		name, _, _ := strings.Cut(args[0], "=")
		environ, args = append(without(environ, name), args[0]), args[1:]
	}
	if len(args) == 0 {
		for _, entry := range environ {
			fmt.Fprintln(inv.Stdout, entry)
		}
		return 0
	}
	inv.Name, inv.Args, inv.Environ = args[0], args[1:], environ
	return inv.Run(ctx, inv)
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
