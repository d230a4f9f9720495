package shell

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	"mvdan.cc/sh/v3/interp"
)

// fork gives the background command that follows a number.
func (s *session) fork(ctx context.Context, hc interp.HandlerContext, args []string) int {
	text := ""
	s.reader.mu.Lock()
	if n, err := strconv.Atoi(strings.Join(args, "")); err == nil && n >= 0 && n < len(s.reader.forked) {
		text = s.reader.forked[n]
	}
	s.reader.mu.Unlock()
	b := s.shell.jobs.add(ctx, s, hc.Env.Get(jobVariable).Str, text)
	if b == nil {
		return s.fault(hc, exitFork, "fork: more than %d background commands", maxJobs)
	}
	if err := assignIn(ctx, hc, lastVariable, strconv.Itoa(b.number)); err != nil {
		return exitFailure
	}
	return 0
}

// done records how a background command has ended; its number is the last one
// that the shell around it has given.
func (s *session) done(_ context.Context, hc interp.HandlerContext, _ []string) int {
	b := s.shell.jobs.number(hc.Env.Get(lastVariable).Str)
	if b == nil {
		return hc.LastExitStatus
	}
	return s.shell.jobs.finish(b, hc.LastExitStatus)
}

func (s *session) noJobControl(_ context.Context, hc interp.HandlerContext, _ []string) int {
	return s.fault(hc, exitFailure, "there is no job control in scripts")
}

// children are the background commands that the shell at hand has started.
func (s *session) children(hc interp.HandlerContext) []*background {
	return s.shell.jobs.of(s, hc.Env.Get(jobVariable).Str)
}

// waiting is a call of the builtin wait.
type waiting struct {
	next bool   // -n: the first that ends
	name string // -p: variable for its number
	all  bool   // no commands are named
	list []*background
}

// parseWait reads wait [-n] [-f] [-p name] [id...]. A code other than 0 ends
// the builtin.
func (s *session) parseWait(hc interp.HandlerContext, args []string) (w waiting, code int) {
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		switch {
		case args[0] == "-n":
			w.next = true
		case args[0] == "-p" && len(args) > 1:
			w.name, args = args[1], args[1:]
		case args[0] == "-f" || args[0] == "--":
		default:
			return w, s.fault(hc, exitSyntax, "wait: %s: invalid option", args[0])
		}
		args = args[1:]
	}
	if len(args) == 0 {
		w.all, w.list = true, s.children(hc)
	}
	for _, id := range args {
		b := s.shell.jobs.find(s, hc.Env.Get(jobVariable).Str, id)
		if b == nil {
			return w, s.fault(hc, exitNotFound, "wait: pid %s is not a child of this shell", id)
		}
		w.list = append(w.list, b)
	}
	return w, 0
}

// wait is the builtin.
func (s *session) wait(ctx context.Context, hc interp.HandlerContext, args []string) int {
	w, code := s.parseWait(hc, args)
	if code != 0 {
		return code
	}
	var last *background
	if w.next {
		code = exitNotFound // when there is nothing to wait for
		if last = s.awaitNext(ctx, w.list); last != nil {
			_, code = s.shell.jobs.state(last)
		}
	} else {
		for _, b := range w.list {
			if !awaitOne(ctx, b) {
				return exitFailure
			}
			s.shell.jobs.ask(b)
			last = b
			if !w.all {
				_, code = s.shell.jobs.state(b)
			}
		}
	}
	if w.name == "" || last == nil {
		return code
	}
	if err := assignIn(ctx, hc, w.name, strconv.Itoa(last.number)); err != nil {
		return s.fault(hc, exitFailure, "wait: %v", err)
	}
	return code
}

func awaitOne(ctx context.Context, b *background) bool {
	select {
	case <-b.ended:
		return true
	case <-ctx.Done():
		return false
	}
}

// awaitNext waits for the first of the commands that was not waited for yet.
func (s *session) awaitNext(ctx context.Context, list []*background) *background {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	first := make(chan *background, len(list))
	waiting := 0
	for _, b := range list {
		if s.shell.jobs.wasAsked(b) {
			continue
		}
		waiting++
		go func() {
			if awaitOne(inner, b) {
				first <- b
			}
		}()
	}
	if waiting == 0 {
		return nil
	}
	select {
	case b := <-first:
		s.shell.jobs.ask(b)
		return b
	case <-ctx.Done():
		return nil
	}
}

// listJobs is the builtin jobs [-p] [-l] [-r] [-s].
func (s *session) listJobs(_ context.Context, hc interp.HandlerContext, args []string) int {
	numbers, running := false, false
	for _, arg := range args {
		numbers = numbers || arg == "-p"
		running = running || arg == "-r"
	}
	children := s.children(hc)
	for i, b := range children {
		over, code := s.shell.jobs.state(b)
		if over && (running || s.shell.jobs.ask(b)) {
			continue
		}
		mark := " "
		switch len(children) - i {
		case 1:
			mark = "+"
		case 2:
			mark = "-"
		}
		state := "Running"
		switch {
		case over && code == 0:
			state = "Done"
		case over:
			state = "Exit " + strconv.Itoa(code)
		}
		if numbers {
			fmt.Fprintln(hc.Stdout, b.number)
		} else {
			fmt.Fprintf(hc.Stdout, "[%d]%s  %-24s%s &\n", i+1, mark, state, b.text)
		}
	}
	return 0
}

// kill is the builtin: it ends background commands of this job, or the shell
// itself.
func (s *session) kill(_ context.Context, hc interp.HandlerContext, args []string) int {
	if len(args) > 0 && (args[0] == "-l" || args[0] == "-L") {
		return s.listSignals(hc, args[1:])
	}
	signal := unix.SIGTERM
	if len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		name := args[0][1:]
		args = args[1:]
		if (name == "s" || name == "n") && len(args) > 0 {
			name, args = args[0], args[1:]
		}
		var ok bool
		if signal, ok = signalNamed(name); name == "-" {
			signal = unix.SIGTERM
		} else if !ok {
			return s.fault(hc, exitFailure, "kill: %s: invalid signal specification", name)
		}
	}
	if len(args) == 0 {
		return s.fault(hc, exitSyntax, "kill: usage: kill [-s sigspec | -n signum | -sigspec] pid | jobspec ... or kill -l [sigspec]")
	}
	code := 0
	for _, id := range args {
		if c := s.killOne(hc, id, signal); c < 0 {
			return c
		} else if c > 0 {
			code = c
		}
	}
	return code
}

func (s *session) killOne(hc interp.HandlerContext, id string, signal syscall.Signal) int {
	if id == strconv.Itoa(os.Getpid()) {
		if signal == 0 {
			return 0
		}
		return -(bySignal + int(signal))
	}
	b := s.shell.jobs.find(s, hc.Env.Get(jobVariable).Str, id)
	switch {
	case signal == unix.SIGSTOP || signal == unix.SIGTSTP || signal == unix.SIGCONT:
		return s.fault(hc, exitFailure, "kill: background commands cannot be stopped and continued on this runner")
	case b == nil && strings.HasPrefix(id, "%"):
		return s.fault(hc, exitFailure, "kill: %s: no such job", id)
	case b == nil || !s.shell.jobs.kill(b, int(signal)):
		return s.fault(hc, exitFailure, "kill: (%s) - No such process", id)
	}
	return 0
}

func (s *session) listSignals(hc interp.HandlerContext, args []string) int {
	for _, arg := range args {
		n, err := strconv.Atoi(arg)
		if err != nil {
			sig, ok := signalNamed(arg)
			if !ok {
				return s.fault(hc, exitFailure, "kill: %s: invalid signal specification", arg)
			}
			fmt.Fprintln(hc.Stdout, int(sig))
			continue
		}
		fmt.Fprintln(hc.Stdout, strings.TrimPrefix(unix.SignalName(syscall.Signal(n&0x7f)), "SIG"))
	}
	if len(args) > 0 {
		return 0
	}
	const signals = 31 // without the real-time ones
	for n := 1; n <= signals; n++ {
		fmt.Fprintf(hc.Stdout, "%2d) %s\n", n, unix.SignalName(syscall.Signal(n)))
	}
	return 0
}

// signalNamed reads TERM, SIGTERM, term or 15; 0 only asks.
func signalNamed(name string) (syscall.Signal, bool) {
	if n, err := strconv.Atoi(name); err == nil {
		sig := syscall.Signal(n)
		return sig, n == 0 || n > 0 && unix.SignalName(sig) != ""
	}
	sig := unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG"))
	return sig, sig != 0
}
