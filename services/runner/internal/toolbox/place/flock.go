package place

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/towline/towline/services/runner/internal/toolbox/getopt"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// lockPoll is how often a lock that another has is tried.
const lockPoll = 20 * time.Millisecond

// Exit codes of flock.
const (
	exitLocked = 1
	exitUsage  = 64 // EX_USAGE
	exitNoFile = 66 // EX_NOINPUT
)

var flockSpec = getopt.Spec{Short: "c:eE:nosuvw:xF", InOrder: true, Long: map[string]string{
	"command": "c", "exclusive": "x", "conflict-exit-code": "E", "nonblock": "n", "nb": "n", "close": "o", "shared": "s", "unlock": "u",
	"timeout": "w", "wait": "w", "no-fork": "F", "verbose": "v",
}}

// lock is what a command line of flock asks for.
type lock struct {
	how      int
	conflict int
	wait     time.Duration // negative waits for ever
	file     string
	command  []string
}

// Flock runs a command while it holds the lock of a file. Locks hold between
// the commands of one job: other jobs have other files.
func Flock(ctx context.Context, inv tool.Invocation) int {
	l, err := parseLock(inv.Args)
	if err != nil {
		getopt.Fault(inv.Stderr, "flock", err)
		return exitUsage
	}
	f, err := os.OpenFile(inv.Path(l.file), os.O_RDONLY|os.O_CREATE, newFile)
	if errors.Is(err, unix.EISDIR) {
		f, err = os.Open(inv.Path(l.file))
	}
	if err != nil {
		fail(inv, "flock", "cannot open lock file "+l.file, err)
		return exitNoFile
	}
	defer f.Close()
	ok, err := l.take(ctx, f)
	switch {
	case err != nil:
		fail(inv, "flock", l.file, err)
		return exitNoFile
	case !ok:
		return l.conflict
	}
	inv.Name, inv.Args = l.command[0], l.command[1:]
	return inv.Run(ctx, inv)
}

func parseLock(args []string) (*lock, error) {
	l := &lock{how: unix.LOCK_EX, conflict: exitLocked, wait: -1}
	options, operands, err := getopt.Parse(flockSpec, args)
	if err != nil {
		return nil, err
	}
	if len(operands) > 0 {
		// Options may stand between the file and a command.
		more, rest, err := getopt.Parse(flockSpec, operands[1:])
		if err != nil {
			return nil, err
		}
		options, l.file, l.command = append(options, more...), operands[0], rest
	}
	for _, o := range options {
		switch o.Name {
		case "s":
			l.how = unix.LOCK_SH
		case "x", "e":
			l.how = unix.LOCK_EX
		case "u":
			return nil, errors.New("-u needs a file descriptor, which jobs do not have; the lock ends with the command")
		case "n":
			l.wait = 0
		case "w":
			seconds, err := strconv.ParseFloat(o.Value, 64)
			if err != nil || !(seconds >= 0) || seconds > 1e9 {
				return nil, errors.New("invalid timeout value")
			}
			l.wait = time.Duration(seconds * float64(time.Second))
		case "E":
			code, err := strconv.Atoi(o.Value)
			if err != nil || code < 0 || code > 255 {
				return nil, errors.New("exit code out of range (expected 0 to 255)")
			}
			l.conflict = code
		case "c":
			l.command = []string{"sh", "-c", o.Value}
		}
	}
	if len(l.command) == 0 {
		return nil, fmt.Errorf("a file and a command are needed, as in: flock FILE COMMAND [ARGUMENT]...; descriptors such as `flock 9` are not there")
	}
	return l, nil
}

// take waits for the lock. It returns false when that takes too long.
func (l *lock) take(ctx context.Context, f *os.File) (bool, error) {
	begun := time.Now()
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		err := unix.Flock(int(f.Fd()), l.how|unix.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			return false, err
		case l.wait >= 0 && time.Since(begun) >= l.wait:
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-tick.C:
		}
	}
}
