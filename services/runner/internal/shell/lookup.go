package shell

import (
	"context"
	"fmt"
	"strings"

	"mvdan.cc/sh/v3/interp"
)

// kindVariable takes the interpreter's answer to `type -t`, the only one who
// knows its functions and aliases.
const kindVariable = "__towline_kind"

// kindOf says what a name is to the interpreter: alias, keyword, function,
// builtin, or "" for everything else.
func kindOf(ctx context.Context, hc interp.HandlerContext, name string) string {
	err := hc.Builtin(ctx, []string{"eval", "{ " + kindVariable + "=$(builtin type -t -- " + quote(name) + ") || :; } 2>/dev/null"})
	if err != nil {
		return ""
	}
	kind := hc.Env.Get(kindVariable).Str
	if kind == "file" {
		return ""
	}
	return kind
}

// typeOf is the builtin type [-t|-p|-P|-a|-f] name...
func (s *session) typeOf(ctx context.Context, hc interp.HandlerContext, args []string) int {
	mode, code := "", 0
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		for _, flag := range args[0][1:] {
			switch flag {
			case 't', 'p', 'P':
				mode = string(flag)
			case 'a', 'f', '-':
			default:
				return s.fault(hc, exitSyntax, "type: -%c: invalid option", flag)
			}
		}
		args = args[1:]
	}
	for _, name := range args {
		if !s.describe(ctx, hc, name, mode) {
			code = exitFailure
			if mode == "" {
				s.fault(hc, code, "type: %s: not found", name)
			}
		}
	}
	return code
}

// describe prints what a name is, as type does. It says whether there is one.
func (s *session) describe(ctx context.Context, hc interp.HandlerContext, name, mode string) bool {
	kind := ""
	if mode != "P" {
		kind = kindOf(ctx, hc, name)
	}
	at, found := "", false
	if kind == "" {
		at, found = s.shell.tools.Look(s.invocation(hc, []string{"type"}), name)
	}
	switch {
	case kind == "" && !found:
		return false
	case kind == "" && mode == "t":
		fmt.Fprintln(hc.Stdout, "file")
	case kind == "" && mode == "":
		fmt.Fprintf(hc.Stdout, "%s is %s\n", name, at)
	case kind == "":
		fmt.Fprintln(hc.Stdout, at)
	case mode == "t":
		fmt.Fprintln(hc.Stdout, kind)
	case mode != "": // -p prints nothing for what is no file
	case kind == "function":
		fmt.Fprintf(hc.Stdout, "%s is a function\n", name)
		_ = hc.Builtin(ctx, []string{"eval", "declare -f " + name + " || :"}) // prints it
	case kind == "alias":
		_ = hc.Builtin(ctx, []string{"type", name})
	default:
		fmt.Fprintf(hc.Stdout, "%s is a shell %s\n", name, kind)
	}
	return true
}

// hash is the builtin: it says which names are none of a command. Nothing is kept.
func (s *session) hash(ctx context.Context, hc interp.HandlerContext, args []string) int {
	code := 0
	for _, name := range args {
		if strings.HasPrefix(name, "-") {
			return 0
		}
		if _, found := s.shell.tools.Look(s.invocation(hc, []string{"hash"}), name); !found && kindOf(ctx, hc, name) == "" {
			code = s.fault(hc, exitFailure, "hash: %s: not found", name)
		}
	}
	return code
}

// which is the builtin command -v name... and command -V name...
func (s *session) which(ctx context.Context, hc interp.HandlerContext, args []string) int {
	code := exitFailure
	for _, name := range args[1:] {
		if args[0] == "-V" {
			if s.describe(ctx, hc, name, "") {
				code = 0
			} else {
				s.fault(hc, exitFailure, "command: %s: not found", name)
			}
			continue
		}
		switch kind := kindOf(ctx, hc, name); kind {
		case "":
			at, found := s.shell.tools.Look(s.invocation(hc, []string{"command"}), name)
			if !found {
				continue
			}
			fmt.Fprintln(hc.Stdout, at)
		case "alias":
			_ = hc.Builtin(ctx, []string{"alias", name})
		default:
			fmt.Fprintln(hc.Stdout, name)
		}
		code = 0
	}
	return code
}
