package getopt

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Spec is what a command understands.
type Spec struct {
	// Short lists the letters; one colon behind a letter: it needs a value, two:
	// a value may be attached.
	Short string
	// Long are the long names and what each stands for: a letter of Short, or a
	// name of its own with colons as in Short.
	Long map[string]string
	// InOrder ends the options with the first operand, as for commands that run
	// another one.
	InOrder bool
	// Mixed returns the operands among the options, without a name, as for
	// commands whose options change what the operands after them mean.
	Mixed bool
}

// Option is one option as it was given. Name is the letter, or the long name
// where there is no letter.
type Option struct{ Name, Value string }

// Parse returns the options and the operands. With an error it returns what it
// has read so far.
func Parse(spec Spec, args []string) (options []Option, operands []string, err error) {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--" && spec.Mixed:
			for _, operand := range args {
				options = append(options, Option{Value: operand})
			}
			return options, nil, nil
		case arg == "--":
			return options, append(operands, args...), nil
		case strings.HasPrefix(arg, "--"):
			options, args, err = spec.long(options, arg[2:], args)
		case strings.HasPrefix(arg, "-") && arg != "-":
			options, args, err = spec.short(options, arg[1:], args)
		case spec.InOrder:
			return options, append([]string{arg}, args...), nil
		case spec.Mixed:
			options = append(options, Option{Value: arg})
		default:
			operands = append(operands, arg)
		}
		if err != nil {
			return options, operands, err
		}
	}
	return options, operands, nil
}

func (s Spec) short(options []Option, letters string, args []string) (got []Option, left []string, err error) {
	for i := range len(letters) {
		letter := letters[i : i+1]
		at := strings.Index(s.Short, letter)
		if at < 0 || letter == ":" {
			return options, args, fmt.Errorf("invalid option -- '%s'", letter)
		}
		colons, value := colons(s.Short[at+1:]), letters[i+1:]
		switch {
		case colons == 0:
			options = append(options, Option{Name: letter})
			continue
		case colons == 1 && value == "" && len(args) == 0:
			return options, args, fmt.Errorf("option requires an argument -- '%s'", letter)
		case colons == 1 && value == "":
			value, args = args[0], args[1:]
		}
		return append(options, Option{letter, value}), args, nil
	}
	return options, args, nil
}

func colons(s string) int { return len(s) - len(strings.TrimLeft(s, ":")) }

func (s Spec) long(options []Option, text string, args []string) (got []Option, left []string, err error) {
	given, value, attached := strings.Cut(text, "=")
	name, err := s.full(given)
	if err != nil {
		return options, args, err
	}
	means := strings.TrimRight(s.Long[name], ":")
	needs := len(s.Long[name]) - len(means)
	if at := strings.Index(s.Short, means); len(means) == 1 && at >= 0 {
		needs = colons(s.Short[at+1:])
	}
	switch {
	case needs == 0 && attached:
		return options, args, fmt.Errorf("option '--%s' doesn't allow an argument", name)
	case needs == 1 && !attached && len(args) == 0:
		return options, args, fmt.Errorf("option '--%s' requires an argument", name)
	case needs == 1 && !attached:
		value, args = args[0], args[1:]
	}
	return append(options, Option{means, value}), args, nil
}

// full completes a long name.
func (s Spec) full(given string) (string, error) {
	if _, ok := s.Long[given]; ok {
		return given, nil
	}
	var near []string
	for name := range s.Long {
		if strings.HasPrefix(name, given) {
			near = append(near, name)
		}
	}
	slices.Sort(near)
	meanings := map[string]bool{}
	for _, name := range near {
		meanings[s.Long[name]] = true
	}
	switch {
	case len(near) == 0:
		return "", fmt.Errorf("unrecognized option '--%s'", given)
	case len(meanings) > 1:
		return "", fmt.Errorf("option '--%s' is ambiguous; possibilities: '--%s'", given, strings.Join(near, "' '--"))
	}
	return near[0], nil
}

// Fault tells of a wrong command line as the GNU programs do.
func Fault(w io.Writer, command string, err error) {
	fmt.Fprintf(w, "%s: %v\nTry '%s --help' for more information.\n", command, err, command)
}
