package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"mvdan.cc/sh/v3/interp"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

const exitCannotRun = 126

// invoked is a command line of sh.
type invoked struct {
	options []string
	before  string // what of the options is a command
	shopts  []string
	text    string // of -c
	file    string
	args    []string
	name    string // $0
	fromIn  bool   // the script is standard input
	check   bool   // -n: only read it
	version bool
	posix   bool
}

// command is sh and bash: a shell of its own inside this process, with the
// exported variables of its caller and nothing else of it.
func (s *Shell) command(ctx context.Context, inv tool.Invocation) int {
	call, err := parseInvoked(inv)
	if err != nil {
		fmt.Fprintf(inv.Stderr, "%s: %v\n", inv.Name, err)
		return exitSyntax
	}
	if call.version {
		fmt.Fprintf(inv.Stdout, "GNU bash, version %s compatible shell of Towline\n", bashVersion)
		return 0
	}
	script := Script{
		Name: call.name, Args: call.args, Options: call.options, Environ: inv.Environ, Dir: inv.Dir,
		Stdin: inv.Stdin, Stdout: inv.Stdout, Stderr: inv.Stderr, source: call.file, place: call.name, Text: call.text,
		inherit: call.posix || !strings.HasSuffix(inv.Name, "bash"),
	}
	switch {
	case call.file != "":
		if script.Text, err = readScript(inv.Path(call.file)); err != nil {
			fmt.Fprintf(inv.Stderr, "%s: %s: %s\n", inv.Name, call.file, tool.Reason(err))
			if errors.Is(err, os.ErrNotExist) {
				return exitNotFound
			}
			return exitCannotRun
		}
	case call.fromIn && inv.Stdin != nil:
		text, err := io.ReadAll(io.LimitReader(inv.Stdin, maxScript+1))
		if err != nil {
			fmt.Fprintf(inv.Stderr, "%s: standard input: %s\n", inv.Name, tool.Reason(err))
			return exitCannotRun
		}
		script.Text, script.Stdin = string(text), nil
	}
	if call.before != "" {
		script.Text = call.before + "; " + script.Text
	}
	return s.nested(ctx, script, call)
}

// nested runs a shell inside another command's time.
func (s *Shell) nested(ctx context.Context, script Script, call invoked) int {
	ses, err := s.open(ctx, script)
	if err == nil {
		err = interp.BashOpts(call.shopts...)(ses.runner)
	}
	if err != nil {
		fmt.Fprintln(script.Stderr, err)
		return exitSyntax
	}
	if call.check {
		return 0
	}
	err = ses.guarded(ctx)
	if ctx.Err() != nil {
		return exitFailure
	}
	var exit *ExitError
	if errors.As(ses.verdict(err), &exit) {
		return exit.Code
	}
	return 0
}

func readScript(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxScript+1))
	return string(text), err
}

// parseInvoked reads the command line.
func parseInvoked(inv tool.Invocation) (invoked, error) {
	c := invoked{name: inv.Name, fromIn: true}
	c.name = c.name[strings.LastIndexByte(c.name, '/')+1:]
	args, inline := inv.Args, false
	for len(args) > 0 && len(args[0]) > 1 && (args[0][0] == '-' || args[0][0] == '+') {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			break
		}
		if strings.HasPrefix(arg, "--") {
			switch arg {
			case "--version":
				c.version = true
			case "--posix":
				c.posix = true
			case "--norc", "--noprofile", "--login", "--noediting", "--verbose":
			case "--rcfile", "--init-file":
				args = args[min(1, len(args)):]
			default:
				return c, fmt.Errorf("%s: invalid option", arg)
			}
			continue
		}
		var err error
		if args, err = c.flags(arg, args, &inline); err != nil {
			return c, err
		}
	}
	switch {
	case inline && len(args) == 0:
		return c, errors.New("-c: option requires an argument")
	case inline:
		c.text, args, c.fromIn = args[0], args[1:], false
		if len(args) > 0 {
			c.name, args = args[0], args[1:]
		}
	case len(args) > 0 && !c.onlyIn():
		c.file, c.name, args, c.fromIn = args[0], args[0], args[1:], false
	}
	c.args = args
	c.before, c.options = setWords(c.options)
	return c, nil
}

// onlyIn says whether -s was given: all operands are parameters then.
func (c *invoked) onlyIn() bool {
	for i, option := range c.options {
		if option == "-s" {
			c.options = append(c.options[:i], c.options[i+1:]...)
			return true
		}
	}
	return false
}

// flags reads one word of single letters; some take the next word.
func (c *invoked) flags(arg string, rest []string, inline *bool) ([]string, error) {
	for _, flag := range arg[1:] {
		switch flag {
		case 'c':
			*inline = true
		case 's':
			c.options = append(c.options, "-s")
		case 'n':
			c.check = arg[0] == '-'
		case 'l', 'i', 'r', 'D':
		case 'o', 'O':
			if len(rest) == 0 {
				return nil, fmt.Errorf("%s: option requires an argument", arg)
			}
			if flag == 'o' {
				c.options = append(c.options, arg[:1]+"o", rest[0])
				c.posix = c.posix || rest[0] == "posix"
			} else {
				c.posix = c.posix || arg[0] == '-' && rest[0] == "inherit_errexit"
				c.shopts = append(c.shopts, map[byte]string{'-': "-s", '+': "-u"}[arg[0]], rest[0])
			}
			rest = rest[1:]
		default:
			if !strings.ContainsRune("aefuxE"+ignoredFlags, flag) {
				return nil, fmt.Errorf("%s: invalid option", arg)
			}
			c.options = append(c.options, arg[:1]+string(flag))
		}
	}
	return rest, nil
}
