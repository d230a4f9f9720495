package shell

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"mvdan.cc/sh/v3/interp"
)

const (
	failedCommand = "__towline_failed" // the interpreter's trap for ERR
	leftCommand   = "__towline_left"   // its trap for EXIT, and the end of a subshell
	codeCommand   = "__towline_exit"   // has the exit code that it is told
	lineVariable  = "__towline_line"   // LINENO in a trap for ERR
	errtrace      = "__towline_errtrace"
	stateVariable = "__towline_state"
)

// signals are the traps of a session.
type signals struct {
	mu    sync.Mutex
	texts map[string]string // of signals
	// of are the traps of each shell and subshell that has set one for EXIT or ERR.
	of map[uintptr]*traps
	// code is what a trap has ended the whole script with.
	code *int
}

// traps are those for EXIT and ERR of one shell or subshell. Only its own
// goroutine uses them.
type traps struct {
	hc        interp.HandlerContext // keeps the number of the shell from being used again
	texts     map[string]string
	running   bool
	quit      *int   // what exit in the trap that runs was told
	gone      bool   // the shell ends
	lastFired string // which command has failed last
	// redirected is the command that has failed last with redirections.
	redirected string
}

// identity is a number for the shell or subshell that a command belongs to. The
// interpreter has a name for it and does not tell it.
func identity(hc interp.HandlerContext) uintptr {
	return reflect.ValueOf(hc).FieldByName("runner").Pointer()
}

func (s *session) isMain(hc interp.HandlerContext) bool {
	return identity(hc) == reflect.ValueOf(s.runner).Pointer()
}

// trapsOf are the traps of the shell that a command belongs to, nil if it has none.
func (s *session) trapsOf(hc interp.HandlerContext) *traps {
	s.signals.mu.Lock()
	defer s.signals.mu.Unlock()
	if len(s.signals.of) == 0 {
		return nil
	}
	return s.signals.of[identity(hc)]
}

// runTrap runs the text of a trap, with code as $?, and returns what exit in it
// was told, nil without one. Exit ends the trap alone: the interpreter would go on
// with its next command.
func (s *session) runTrap(ctx context.Context, hc interp.HandlerContext, t *traps, event string, code int) *int {
	text := t.texts[event]
	if text == "" {
		return nil
	}
	last := s.begun(hc)
	t.running, t.quit = true, nil
	tracing := strings.Contains(hc.Env.Get(stateVariable).Str, "x")
	if tracing {
		_ = hc.Builtin(ctx, []string{"set", "+x"})
	}
	begin := "BASH_COMMAND=" + quote(last.text) + " " + lineVariable + "=" + strconv.FormatUint(uint64(s.reader.line(last.line)), 10)
	_ = hc.Builtin(ctx, []string{"eval", begin})
	if tracing {
		_ = hc.Builtin(ctx, []string{"set", "-x"})
	}
	_ = hc.Builtin(ctx, []string{"eval", codeCommand + " " + strconv.Itoa(code) + "\n" + text})
	t.running = false
	if t.quit != nil {
		_ = hc.Builtin(ctx, []string{"set", "+n"})
	}
	return t.quit
}

// leave runs the trap for EXIT, once, and returns the code that the shell ends with.
func (s *session) leave(ctx context.Context, hc interp.HandlerContext, t *traps, code int) int {
	quit := s.runTrap(ctx, hc, t, "EXIT", code)
	delete(t.texts, "EXIT")
	t.gone = true
	if quit != nil {
		code = *quit
	}
	return code
}

// left is the command at the end of a shell.
func (s *session) left(ctx context.Context, hc interp.HandlerContext, args []string) int {
	code, exits := hc.LastExitStatus, len(args) > 0
	if exits {
		code, _ = strconv.Atoi(args[0])
	}
	t := s.trapsOf(hc)
	if t == nil {
		return code
	}
	_ = hc.Builtin(ctx, []string{"eval", stateVariable + "=$-"})
	before := code
	code = s.leave(ctx, hc, t, code)
	if s.isMain(hc) && code != before {
		s.end(code)
	}
	s.signals.mu.Lock()
	delete(s.signals.of, identity(hc))
	s.signals.mu.Unlock()
	if exits {
		return -code - exitBySelf
	}
	return code
}

// exitBySelf is added to the code of a builtin that ends its shell, so that 0 has
// a sign too.
const exitBySelf = 256

// end notes what the script ends with.
func (s *session) end(code int) {
	s.signals.mu.Lock()
	defer s.signals.mu.Unlock()
	s.signals.code = &code
}

// failed is the command that runs when another one has failed that is not exempt
// from errexit. The interpreter runs it in functions too, and for what is around a
// command that has failed.
func (s *session) failed(ctx context.Context, hc interp.HandlerContext, _ []string) int {
	t, code := s.trapsOf(hc), hc.LastExitStatus
	if t == nil || t.gone {
		return code
	}
	_ = hc.Builtin(ctx, []string{"eval", stateVariable + "=$-; { local " + stateVariable + "_=1; } 2>/dev/null && " + stateVariable + "=/$" + stateVariable})
	state := hc.Env.Get(stateVariable).Str
	flags, inFunction := strings.CutPrefix(state, "/")
	ends := strings.Contains(flags, "e")
	fired := hc.Env.Get(runVariable).Str + state
	again := fired == t.lastFired
	t.lastFired = fired
	if !again && s.begun(hc).redirected && t.redirected != fired {
		t.redirected, t.lastFired = fired, "" // for what is around, where the redirections are gone
		return code
	}
	var quit *int
	if !again && (!inFunction || hc.Env.Get(errtrace).Str != "") {
		quit = s.runTrap(ctx, hc, t, "ERR", code)
	}
	switch {
	case quit != nil:
		code = s.leave(ctx, hc, t, *quit)
		if s.isMain(hc) {
			s.end(code)
		}
		_ = hc.Builtin(ctx, []string{"set", "-n"}) // nothing runs from here on
	case ends && !s.isMain(hc):
		code = s.leave(ctx, hc, t, code)
	case ends:
		t.gone = true
	}
	return code
}

// quitting is exit in a trap, or in a subshell that has a trap for EXIT.
func (s *session) quitting(hc interp.HandlerContext, args []string) []string {
	t := s.trapsOf(hc)
	if t == nil || len(args) > 2 || !t.running && (s.isMain(hc) || t.texts["EXIT"] == "") {
		return args
	}
	code := hc.LastExitStatus
	if len(args) == 2 {
		code, _ = strconv.Atoi(args[1])
	}
	if !t.running {
		return []string{own + leftCommand, strconv.Itoa(code)}
	}
	t.quit = &code
	return []string{"builtin", "set", "-n"}
}

func exitCode(_ context.Context, _ *session, _ interp.HandlerContext, args []string) int {
	code, _ := strconv.Atoi(strings.Join(args, ""))
	return code
}

// trap is the builtin. The interpreter tells when a shell ends and when a command
// fails; the traps for TERM, INT and HUP run when the job is cancelled.
func (s *session) trap(ctx context.Context, hc interp.HandlerContext, args []string) int {
	if len(args) > 0 && args[0] == "-l" {
		return s.listSignals(hc, nil)
	}
	if len(args) == 0 || args[0] == "-p" {
		return s.listTraps(hc, args[min(1, len(args)):])
	}
	if args[0] == "--" {
		args = args[1:]
	}
	text, names := "-", args
	if len(args) > 1 {
		text, names = args[0], args[1:]
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
	if event == "0" {
		event = "EXIT"
	}
	fitted := text
	if text != "-" && text != "" {
		var err error
		if fitted, err = s.reader.trapped(text, event); err != nil {
			fmt.Fprintln(hc.Stderr, err)
			return exitFailure
		}
	}
	switch event {
	case "EXIT", "ERR":
		return s.setOwn(ctx, hc, fitted, event)
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
	s.signals.texts[unix.SignalName(sig)] = fitted
	return 0
}

// setOwn sets a trap of the shell at hand for EXIT or ERR.
func (s *session) setOwn(ctx context.Context, hc interp.HandlerContext, text, event string) int {
	t := s.trapsOf(hc)
	if t == nil {
		t = &traps{hc: hc, texts: map[string]string{}}
		s.signals.mu.Lock()
		if s.signals.of == nil {
			s.signals.of = map[uintptr]*traps{}
		}
		s.signals.of[identity(hc)] = t
		s.signals.mu.Unlock()
	}
	delete(t.texts, event)
	if text != "-" && text != "" {
		t.texts[event] = text
	}
	for event, ours := range map[string]string{"EXIT": leftCommand, "ERR": failedCommand} {
		if err := hc.Builtin(ctx, []string{"trap", "--", ours, event}); err != nil {
			return exitFailure
		}
	}
	return 0
}

// listTraps prints the traps, or those of some events, in the order of bash.
func (s *session) listTraps(hc interp.HandlerContext, events []string) int {
	s.signals.mu.Lock()
	defer s.signals.mu.Unlock()
	texts := map[string]string{}
	for name, text := range s.signals.texts {
		if text != "-" {
			texts[name] = text
		}
	}
	if t := s.signals.of[identity(hc)]; t != nil {
		for event, text := range t.texts {
			texts[event] = text
		}
	}
	names := make([]string, 0, len(texts))
	for name := range texts {
		short := strings.TrimPrefix(name, "SIG")
		if len(events) == 0 || slices.ContainsFunc(events, func(e string) bool { return strings.TrimPrefix(strings.ToUpper(e), "SIG") == short }) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	for _, name := range names {
		fmt.Fprintf(hc.Stdout, "trap -- '%s' %s\n", strings.ReplaceAll(s.reader.trapText(texts[name]), "'", `'\''`), name)
	}
	return 0
}

// rank is the place of an event in a list of traps.
func rank(event string) int {
	const last = 100
	switch event {
	case "EXIT":
		return 0
	case "ERR":
		return last
	}
	return int(unix.SignalNum(event))
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
