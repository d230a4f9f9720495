package spelling

import (
	"slices"
	"strings"

	"github.com/towline/towline/services/runner/internal/toolbox/getopt"
)

// Args returns the arguments of a program as busybox has them.
func Args(program string, args []string) []string {
	if program == "find" {
		return deleting(args)
	}
	spec, ok := specs[program]
	if !ok || !slices.ContainsFunc(args, long) {
		return args
	}
	options, operands, err := getopt.Parse(spec, args)
	if err != nil {
		return args // the program says what is wrong, or knows more
	}
	if program == "xargs" && len(operands) > 0 {
		operands = append(operands[:1:1], Args(operands[0], operands[1:])...)
	}
	var out []string
	for _, o := range options {
		at := strings.Index(spec.Short, o.Name)
		switch {
		case len(o.Name) != 1 || at < 0: // changes nothing here
		case strings.HasPrefix(spec.Short[at+1:], "::"):
			out = append(out, "-"+o.Name+o.Value)
		case strings.HasPrefix(spec.Short[at+1:], ":"):
			out = append(out, "-"+o.Name, o.Value)
		default:
			out = append(out, "-"+o.Name)
		}
	}
	switch {
	case len(options) == 0 && !slices.Contains(args, "--"):
		return operands
	case len(operands) > 0:
		out = append(append(out, "--"), operands...)
	}
	return out
}

func long(arg string) bool { return strings.HasPrefix(arg, "--") && arg != "--" }

// removal is what -delete does with what is found: directories must be empty.
var removal = strings.Fields("( -type d -exec rmdir -- {} ; -o ! -type d -exec rm -f -- {} ; )")

// deleting replaces -delete, which goes through a directory before the directory
// itself.
func deleting(args []string) []string {
	if !slices.Contains(args, "-delete") {
		return args
	}
	var out []string
	deep := false
	for _, arg := range args {
		if !deep && (strings.HasPrefix(arg, "-") && !slices.Contains(beforePlaces, arg) || arg == "(" || arg == "!") {
			out, deep = append(out, "-depth"), true
		}
		if arg == "-delete" {
			out = append(out, removal...)
			continue
		}
		out = append(out, arg)
	}
	return out
}

// beforePlaces are the options of find that stand before where it searches.
var beforePlaces = []string{"-H", "-L", "-P"}
