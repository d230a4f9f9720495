package shell

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"mvdan.cc/sh/v3/interp"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// Options of set that change nothing here: those about traps in functions, job
// control, history and how bash keeps its books.
const ignoredFlags = "ThbBHmPkvpti"

var ignoredOptions = map[string]bool{
	"functrace": true, "hashall": true, "notify": true, "braceexpand": true, "histexpand": true, "monitor": true,
	"physical": true, "keyword": true, "verbose": true, "privileged": true, "onecmd": true, "posix": true,
	"history": true, "ignoreeof": true, "interactive-comments": true, "emacs": true, "vi": true, "nolog": true,
}

// noclobber is the variable that says that > overwrites no file, "" if it may: a
// subshell inherits and loses it as bash's own option.
const noclobber = "__towline_noclobber"

// setWords leaves the options that mean something to the interpreter. What sets
// or clears noclobber and errtrace comes first.
func setWords(args []string) (before string, out []string) {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" || len(arg) < 2 || arg[0] != '-' && arg[0] != '+' {
			return before, append(append(out, arg), args...)
		}
		flags := strings.Map(func(c rune) rune {
			if strings.ContainsRune(ignoredFlags, c) {
				return -1
			}
			return c
		}, arg[1:])
		if strings.Contains(flags, "o") && len(args) > 0 {
			name := args[0]
			args = args[1:]
			flags = strings.Replace(flags, "o", "", 1)
			switch {
			case name == "noclobber":
				flags += "C"
			case name == "errtrace":
				flags += "E"
			case !ignoredOptions[name]:
				out = append(out, arg[:1]+"o", name)
			}
		}
		flags, before = keptFlags(arg[0], flags, before)
		if flags != "" {
			out = append(out, arg[:1]+flags)
		}
	}
	return before, out
}

// keptFlags takes out of the flags those that variables stand for.
func keptFlags(sign byte, flags, before string) (rest, assignments string) {
	value := map[byte]string{'-': "=1", '+': "="}[sign]
	for flag, name := range map[string]string{"C": noclobber, "E": errtrace} {
		if strings.Contains(flags, flag) {
			flags = strings.ReplaceAll(flags, flag, "")
			before = strings.TrimSpace(before + " " + name + value)
		}
	}
	return flags, before
}

func rewriteSet(_ *session, _ interp.HandlerContext, args []string) ([]string, error) {
	if len(args) == 1 {
		return args, nil
	}
	before, words := setWords(args[1:])
	switch {
	case before != "" && len(words) > 0:
		for i, word := range words {
			words[i] = quote(word)
		}
		return []string{"eval", before + "; builtin set " + strings.Join(words, " ")}, nil
	case before != "":
		return []string{"eval", before}, nil
	case len(words) == 0:
		return []string{"true"}, nil
	}
	return append([]string{"set"}, words...), nil
}

// Options of shopt whose one state is how the interpreter behaves anyway, or
// which mean nothing in a script.
var ignoredShopts = map[string]bool{
	"inherit_errexit": true, "checkwinsize": true, "cmdhist": true, "histappend": true, "sourcepath": true, "progcomp": true,
	"interactive_comments": true, "promptvars": true, "extquote": true, "checkhash": true, "checkjobs": true, "huponexit": true,
	"execfail": true, "histverify": true, "lithist": true, "globasciiranges": true, "compat42": true, "compat44": true,
}

func rewriteShopt(_ *session, _ interp.HandlerContext, args []string) ([]string, error) {
	out, names, quiet := []string{"shopt"}, 0, false
	for _, arg := range args[1:] {
		switch {
		case arg == "-q":
			quiet = true
		case strings.HasPrefix(arg, "-"):
			out = append(out, arg)
		case ignoredShopts[arg] && len(out) > 1 && !quiet:
		default:
			names++
			out = append(out, arg)
		}
	}
	switch {
	case quiet:
		words := make([]string, 0, len(out))
		for _, word := range out[1:] {
			words = append(words, quote(word))
		}
		return []string{"eval", "case $(builtin shopt " + strings.Join(words, " ") + " 2>&1) in *[[:blank:]]off*|*invalid*) false ;; esac"}, nil
	case names == 0 && len(args) > 2:
		return []string{"true"}, nil
	}
	return out, nil
}

var echoFlags = regexp.MustCompile(`^-[neE]{2,}$`)

// rewriteEcho takes options apart that are written as one word.
func rewriteEcho(_ *session, _ interp.HandlerContext, args []string) ([]string, error) {
	if len(args) < 2 || !strings.HasPrefix(args[1], "-") {
		return args, nil
	}
	out := []string{"echo"}
	for i, arg := range args[1:] {
		switch {
		case echoFlags.MatchString(arg):
			for _, flag := range arg[1:] {
				out = append(out, "-"+string(flag))
			}
		case arg == "-n" || arg == "-e" || arg == "-E":
			out = append(out, arg)
		default:
			if text := strings.Join(args[i+1:], " "); slices.Contains(out, "-e") && strings.Contains(text, `\c`) {
				return []string{own + "printf", "%s", endedEcho(text, slices.Contains(out, "-n"))}, nil
			}
			return append(out, args[i+1:]...), nil
		}
	}
	return out, nil
}

// endedEcho is what echo -e prints of a text that may end all output.
func endedEcho(text string, open bool) string {
	text, ended := unescapeAll(text)
	if ended || open {
		return text
	}
	return text + "\n"
}

// rewriteCd drops options: a directory is always entered by the name it has.
func rewriteCd(s *session, hc interp.HandlerContext, args []string) ([]string, error) {
	rest := args[1:]
	for len(rest) > 0 && len(rest[0]) > 1 && rest[0][0] == '-' {
		done := rest[0] == "--"
		rest = rest[1:]
		if done {
			break
		}
	}
	switch {
	case len(rest) == 1 && rest[0] == "":
		return []string{"true"}, nil
	case len(rest) == 0 && !hc.Env.Get("HOME").IsSet():
		s.fault(hc, exitFailure, "cd: HOME not set")
		return []string{"false"}, nil
	}
	if len(rest) == 1 && rest[0] != "-" {
		if info, err := os.Stat(s.onDisk(hc, rest[0])); err != nil || !info.IsDir() {
			why := "Not a directory"
			if err != nil {
				why = tool.Reason(err)
			}
			s.fault(hc, exitFailure, "cd: %s: %s", rest[0], why)
			return []string{"false"}, nil
		}
	}
	return append([]string{"cd"}, rest...), nil
}

func rewriteExit(s *session, hc interp.HandlerContext, args []string) ([]string, error) {
	if len(args) == 2 {
		n, err := strconv.Atoi(strings.TrimSpace(args[1]))
		if err != nil {
			n = s.fault(hc, exitSyntax, "%s: %s: numeric argument required", args[0], args[1])
		}
		args = []string{args[0], strconv.Itoa(n & 0xff)}
	}
	if args[0] == "exit" {
		args = s.quitting(hc, args)
	}
	return args, nil
}

// rewriteTest compares texts with < and >, which the interpreter's test lacks.
func rewriteTest(s *session, hc interp.HandlerContext, args []string) ([]string, error) {
	words := args[1:]
	if args[0] == "[" && len(words) > 0 && words[len(words)-1] == "]" {
		words = words[:len(words)-1]
	}
	if wrong := notNumber(words); wrong != nil {
		s.fault(hc, exitSyntax, "%s: %s: integer expression expected", args[0], *wrong)
		return []string{own + codeCommand, strconv.Itoa(exitSyntax)}, nil
	}
	const operands = 3
	if len(words) != operands || words[1] != "<" && words[1] != ">" {
		return args, nil
	}
	if (words[0] < words[2]) == (words[1] == "<") && words[0] != words[2] {
		return []string{"true"}, nil
	}
	return []string{"false"}, nil
}

// numeric are the operators of test that compare numbers.
var numeric = map[string]bool{"-eq": true, "-ne": true, "-lt": true, "-le": true, "-gt": true, "-ge": true}

// notNumber is the first operand of a comparison of numbers that is none, nil if
// there is no such one. It knows comparisons after ! and between -a and -o.
func notNumber(words []string) *string {
	const operands, step = 3, 4
	if len(words) > operands && words[0] == "!" {
		words = words[1:]
	}
	if len(words)%step != operands {
		return nil
	}
	for at := operands; at < len(words); at += step {
		if words[at] != "-a" && words[at] != "-o" {
			return nil
		}
	}
	for at := 1; at < len(words); at += step {
		if !numeric[words[at]] {
			continue
		}
		for _, operand := range []*string{&words[at-1], &words[at+1]} {
			if _, err := strconv.ParseInt(strings.TrimSpace(*operand), 10, 64); err != nil {
				return operand
			}
		}
	}
	return nil
}

var digits = regexp.MustCompile(`^[0-9]{1,9}$`)

// rewriteShift makes a shift that is too far fail, as it does under bash.
func rewriteShift(_ *session, _ interp.HandlerContext, args []string) ([]string, error) {
	n := "1"
	if len(args) > 1 {
		n = args[1]
	}
	if !digits.MatchString(n) || len(args) > 2 {
		return args, nil
	}
	return []string{"eval", "if [ $# -ge " + n + " ]; then builtin shift " + n + "; else false; fi"}, nil
}

func rewriteEval(s *session, hc interp.HandlerContext, args []string) ([]string, error) {
	text, err := s.reader.evaluated(strings.Join(args[1:], " "), uint(s.at.Load()))
	var limit *limitError
	switch {
	case errors.As(err, &limit):
		return nil, s.limits.end(limit)
	case err != nil:
		fmt.Fprintln(hc.Stderr, err)
		return []string{"false"}, nil
	}
	return []string{"eval", text}, nil
}

// rewriteSource reads the file, so that it is fitted as the script itself was,
// and has the interpreter open the result.
func rewriteSource(s *session, hc interp.HandlerContext, args []string) ([]string, error) {
	words := args[1:]
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	if len(words) == 0 {
		s.fault(hc, exitSyntax, "%s: filename argument required", args[0])
		return []string{"eval", "false"}, nil
	}
	text, err := s.sourceText(hc, words[0])
	if err == nil {
		text, err = s.reader.reread(text, words[0])
	}
	var limit *limitError
	switch {
	case errors.As(err, &limit):
		return nil, s.limits.end(limit)
	case err != nil:
		s.fault(hc, exitFailure, "%v", err)
		return []string{"false"}, nil
	}
	return append([]string{"source", s.reader.keep(text)}, words[1:]...), nil
}

func (s *session) sourceText(hc interp.HandlerContext, name string) (string, error) {
	path := tool.Invocation{Dir: hc.Dir}.Path(name)
	if !strings.Contains(name, "/") {
		if at, err := interp.LookPathDir(hc.Dir, hc.Env, name); err == nil {
			path = at
		}
	}
	f, err := s.openFor(hc, path)
	if err != nil {
		return "", fmt.Errorf("%s: %s", name, tool.Reason(err))
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxScript+1))
	if err != nil {
		return "", fmt.Errorf("%s: %s", name, tool.Reason(err))
	}
	return string(text), nil
}

// rewriteKill makes the trap of a signal that the shell sends to itself run.
func rewriteKill(s *session, _ interp.HandlerContext, args []string) ([]string, error) {
	carryOut := []string{own + args[0]}
	name, rest := "TERM", args[1:]
	if len(rest) > 0 && strings.HasPrefix(rest[0], "-") {
		name, rest = rest[0][1:], rest[1:]
	}
	if name == "s" && len(rest) > 0 {
		name, rest = rest[0], rest[1:]
	}
	signal, ok := signalNamed(name)
	if !ok || len(rest) != 1 || rest[0] != strconv.Itoa(os.Getpid()) || signal == unix.SIGKILL || signal == unix.SIGSTOP {
		return append(carryOut, args[1:]...), nil
	}
	s.signals.mu.Lock()
	defer s.signals.mu.Unlock()
	text, trapped := s.signals.texts[unix.SignalName(signal)]
	if !trapped || text == "-" {
		return append(carryOut, args[1:]...), nil
	}
	return []string{"eval", text + "\ntrue"}, nil
}
