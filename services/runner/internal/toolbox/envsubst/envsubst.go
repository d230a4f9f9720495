package envsubst

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

const usage = `Usage: envsubst [OPTION] [SHELL-FORMAT]

Substitutes the values of environment variables.

  -v, --variables   output the variables occurring in SHELL-FORMAT
  -h, --help        display this help and exit
  -V, --version     output version information and exit

In normal operation mode, standard input is copied to standard output, with
references to environment variables of the form $VARIABLE or ${VARIABLE} being
replaced with the corresponding values. If a SHELL-FORMAT is given, only those
environment variables that are referenced in SHELL-FORMAT are substituted.
`

// Run is the command.
func Run(ctx context.Context, inv tool.Invocation) int {
	var variables, version bool
	flags := pflag.NewFlagSet("envsubst", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVarP(&variables, "variables", "v", false, "")
	flags.BoolVarP(&version, "version", "V", false, "")
	err := flags.Parse(inv.Args)
	operands := flags.Args()
	switch {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprint(inv.Stdout, usage)
		return 0
	case err != nil:
		fmt.Fprintf(inv.Stderr, "envsubst: %v\nTry 'envsubst --help' for more information.\n", err)
		return 1
	case version:
		fmt.Fprintln(inv.Stdout, "envsubst (as in GNU gettext)")
		return 0
	case len(operands) > 1:
		return fail(inv, errors.New("too many arguments"))
	case variables && len(operands) == 0:
		return fail(inv, errors.New("missing arguments"))
	case variables:
		if err := scan(strings.NewReader(operands[0]), io.Discard, func(name string) (string, bool) {
			fmt.Fprintln(inv.Stdout, name)
			return "", true
		}); err != nil {
			return fail(inv, err)
		}
		return 0
	}
	value, err := values(inv, operands)
	if err == nil {
		err = scan(reader{ctx, inv.Stdin}, inv.Stdout, value)
	}
	if err != nil {
		return fail(inv, err)
	}
	return 0
}

// reader stops a long copy when the job ends.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

func fail(inv tool.Invocation, err error) int {
	fmt.Fprintf(inv.Stderr, "envsubst: %v\n", err)
	return 1
}

// values looks variables up. Only those of the shell format count, if there is
// one.
func values(inv tool.Invocation, format []string) (func(string) (string, bool), error) {
	environ := make(map[string]string, len(inv.Environ))
	for _, entry := range inv.Environ {
		name, value, _ := strings.Cut(entry, "=")
		environ[name] = value
	}
	if len(format) == 0 {
		return func(name string) (string, bool) { return environ[name], true }, nil
	}
	wanted := map[string]bool{}
	err := scan(strings.NewReader(format[0]), io.Discard, func(name string) (string, bool) {
		wanted[name] = true
		return "", true
	})
	return func(name string) (string, bool) { return environ[name], wanted[name] }, err
}

// scan copies r to w with its references replaced. What value does not want to
// replace stays as it is.
func scan(r io.Reader, w io.Writer, value func(name string) (string, bool)) error {
	in, out := bufio.NewReader(r), bufio.NewWriter(w)
	for {
		c, err := in.ReadByte()
		if errors.Is(err, io.EOF) {
			return out.Flush()
		}
		if err != nil {
			return errors.Join(err, out.Flush())
		}
		text := string([]byte{c})
		if c == '$' {
			text = reference(in, value)
		}
		if _, err := out.WriteString(text); err != nil {
			return err
		}
	}
}

// reference reads what follows a dollar sign and returns what stands there
// afterwards.
func reference(in *bufio.Reader, value func(name string) (string, bool)) string {
	text := "$"
	brace := next(in, func(c byte) bool { return c == '{' })
	text += brace
	name := next(in, letter)
	if name == "" {
		return text
	}
	for {
		more := next(in, func(c byte) bool { return letter(c) || c >= '0' && c <= '9' })
		if more == "" {
			break
		}
		name += more
	}
	text += name
	if brace != "" {
		end := next(in, func(c byte) bool { return c == '}' })
		if end == "" {
			return text
		}
		text += end
	}
	if v, ok := value(name); ok {
		return v
	}
	return text
}

// next takes one byte if it is of the kind that is asked for.
func next(in *bufio.Reader, want func(byte) bool) string {
	c, err := in.ReadByte()
	if err != nil {
		return ""
	}
	if !want(c) {
		_ = in.UnreadByte()
		return ""
	}
	return string([]byte{c})
}

func letter(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
