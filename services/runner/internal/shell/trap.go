package shell

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"mvdan.cc/sh/v3/interp"
)

// signals are the traps of a shell for signals. EXIT and ERR are the
// interpreter's.
type signals struct {
	mu    sync.Mutex
	texts map[string]string
}

// trap is the builtin. The interpreter knows EXIT and ERR; the others are kept
// here, and those for TERM, INT and HUP run when the job is cancelled.
func (s *session) trap(ctx context.Context, hc interp.HandlerContext, args []string) int {
	if len(args) > 0 && args[0] == "-l" {
		return s.listSignals(hc, nil)
	}
	if len(args) == 0 || args[0] == "-p" {
		return s.listTraps(ctx, hc)
	}
	if args[0] == "--" {
		args = args[1:]
	}
	text, names := "-", args
	if len(args) > 1 {
		text, names = args[0], args[1:]
	}
	if text != "-" && text != "" {
		var err error
		if text, err = s.reader.reread(text, ""); err != nil {
			fmt.Fprintln(hc.Stderr, err)
			return exitFailure
		}
	}
	code := 0
	for _, name := range names {
		if c := s.setTrap(ctx, hc, text, name); c != 0 {
			code = c
		}
	}
	return code
}

func (s *session) setTrap(ctx context.Context, hc interp.HandlerContext, text, name string) int {
	event := strings.TrimPrefix(strings.ToUpper(name), "SIG")
	switch event {
	case "0", "EXIT":
		event = "EXIT"
		fallthrough
	case "ERR":
		if text == "-" {
			text = ""
		}
		if err := hc.Builtin(ctx, []string{"trap", "--", text, event}); err != nil {
			return exitFailure
		}
		return 0
	case "DEBUG", "RETURN":
		return s.fault(hc, exitFailure, "trap: %s is not supported on this runner", event)
	}
	sig, ok := signalNamed(event)
	if !ok || sig == 0 {
		return s.fault(hc, exitFailure, "trap: %s: invalid signal specification", name)
	}
	if hc.Env.Get(jobVariable).IsSet() {
		return 0 // a background command is ended without its traps
	}
	s.signals.mu.Lock()
	defer s.signals.mu.Unlock()
	if s.signals.texts == nil {
		s.signals.texts = map[string]string{}
	}
	s.signals.texts[unix.SignalName(sig)] = text
	return 0
}

func (s *session) listTraps(ctx context.Context, hc interp.HandlerContext) int {
	_ = hc.Builtin(ctx, []string{"trap"}) // prints
	s.signals.mu.Lock()
	defer s.signals.mu.Unlock()
	for name, text := range s.signals.texts {
		if text != "-" {
			fmt.Fprintf(hc.Stdout, "trap -- %s %s\n", quote(text), name)
		}
	}
	return 0
}

// traps runs what the script wants to be run when it is ended: the trap for the
// signal that a process would get, and that for EXIT. The interpreter has come
// to rest.
func (s *session) traps(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), trapTime)
	defer cancel()
	ctx = context.WithValue(ctx, rootKey{}, nil)
	s.limits.stop = func(error) { cancel() }
	s.signals.mu.Lock()
	text := ""
	for _, name := range []string{"SIGTERM", "SIGINT", "SIGHUP"} {
		if t := s.signals.texts[name]; t != "" && t != "-" {
			text = t
			break
		}
	}
	s.signals.mu.Unlock()
	file, err := s.reader.parse(text, s.script.Name)
	if err != nil {
		return
	}
	s.file = file
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.guarded(ctx) // the script has ended already: nothing asks how its traps did
	}()
	t := time.NewTimer(trapTime + stopGrace)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}
