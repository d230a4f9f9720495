package program

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// Exit codes as shells have them.
const (
	exitCannotRun = 126
	exitNotFound  = 127
	bySignal      = 128
)

// killAfter is the time between the polite and the final signal, and the time
// for which the output of what a program leaves behind is still taken.
const killAfter = time.Second

// Variable is a variable that every program gets in addition.
type Variable struct{ Name, Value string }

// Run starts the executable at path and waits for it. The program inherits
// socket as InheritedFD when it is not nil. When ctx ends the program gets
// SIGTERM, and SIGKILL a second later. place begins the messages of the shell.
func Run(ctx context.Context, inv tool.Invocation, path, place string, socket *os.File, extra Variable) int {
	cmd := exec.CommandContext(ctx, path)
	cmd.Args = append([]string{inv.Name}, inv.Args...)
	cmd.Env = append(withoutVariable(inv.Environ, extra.Name), extra.Name+"="+extra.Value)
	cmd.Dir = inv.Dir
	cmd.Stdout, cmd.Stderr = inv.Stdout, inv.Stderr
	if inv.Stdin != nil {
		cmd.Stdin = inv.Stdin
	}
	if socket != nil {
		cmd.ExtraFiles = []*os.File{socket}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGTERM) }
	cmd.WaitDelay = killAfter
	if err := cmd.Start(); err != nil {
		if ctx.Err() != nil {
			return bySignal + int(unix.SIGTERM)
		}
		return explain(inv, path, place, err)
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return 0
	case !errors.As(err, &exit):
		if cmd.ProcessState != nil && ctx.Err() == nil {
			return cmd.ProcessState.ExitCode() // its reader is gone
		}
		return 1
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return exit.ExitCode()
	}
	if sig := status.Signal(); ctx.Err() == nil && sig != unix.SIGPIPE && sig != unix.SIGINT {
		fmt.Fprintf(inv.Stderr, "%s%s: %s\n", place, inv.Name, describe(sig))
	}
	return bySignal + int(status.Signal())
}

// InheritedFD is the descriptor under which programs find the inherited file.
const InheritedFD = 3

func withoutVariable(environ []string, name string) []string {
	out := make([]string, 0, len(environ)+1)
	for _, entry := range environ {
		if key, _, _ := strings.Cut(entry, "="); key != name {
			out = append(out, entry)
		}
	}
	return out
}

// describe names a signal as bash does.
func describe(sig syscall.Signal) string {
	switch sig {
	case unix.SIGKILL:
		return "Killed"
	case unix.SIGTERM:
		return "Terminated"
	case unix.SIGSEGV:
		return "Segmentation fault"
	case unix.SIGABRT:
		return "Aborted"
	default:
	}
	return strings.ToUpper(sig.String()[:1]) + sig.String()[1:]
}

// explain says why a file could not be started.
func explain(inv tool.Invocation, path, place string, err error) int {
	info, bad := Inspect(path)
	why, code := tool.Reason(err), exitCannotRun
	switch {
	case bad == nil && info.Loader != "":
		why = "this program is dynamically linked, and only static programs can run in a job; put a statically linked one into the toolbox folder"
	case errors.Is(err, unix.ENOEXEC):
		why = "cannot execute binary file: Exec format error"
	case errors.Is(err, os.ErrNotExist) && inv.Dir != "" && !isDir(inv.Dir):
		why = "the current directory does not exist any more"
	case errors.Is(err, os.ErrNotExist):
		code = exitNotFound
	}
	fmt.Fprintf(inv.Stderr, "%s%s: %s\n", place, inv.Name, why)
	return code
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
