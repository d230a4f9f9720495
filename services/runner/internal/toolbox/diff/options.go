package diff

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/towline/towline/services/runner/internal/toolbox/unified"
)

// normal says that the output is in the normal format, not in the unified one.
const normal = -1

// options is one command line.
type options struct {
	brief, identical, recursive, absent  bool
	allSpace, someSpace, endSpace, blank bool
	ignoreCase, text, stripCR            bool
	unified                              bool
	context                              int // lines around a change, or normal
	labels, exclude                      []string
	operands                             []string
	given                                string // the options as they were written
}

func parse(args []string) (*options, error) {
	o := &options{context: normal}
	f := pflag.NewFlagSet("diff", pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.BoolVarP(&o.brief, "brief", "q", false, "")
	f.BoolVarP(&o.identical, "report-identical-files", "s", false, "")
	f.BoolVarP(&o.recursive, "recursive", "r", false, "")
	f.BoolVarP(&o.absent, "new-file", "N", false, "")
	f.BoolVarP(&o.allSpace, "ignore-all-space", "w", false, "")
	f.BoolVarP(&o.someSpace, "ignore-space-change", "b", false, "")
	f.BoolVarP(&o.endSpace, "ignore-trailing-space", "Z", false, "")
	f.BoolVarP(&o.blank, "ignore-blank-lines", "B", false, "")
	f.BoolVarP(&o.ignoreCase, "ignore-case", "i", false, "")
	f.BoolVarP(&o.text, "text", "a", false, "")
	f.BoolVar(&o.stripCR, "strip-trailing-cr", false, "")
	f.BoolVarP(&o.unified, "u", "u", false, "")
	f.IntVarP(&o.context, "unified", "U", normal, "")
	f.Lookup("unified").NoOptDefVal = fmt.Sprint(unified.Context)
	f.StringArrayVarP(&o.labels, "label", "L", nil, "")
	f.StringArrayVarP(&o.exclude, "exclude", "x", nil, "")
	f.String("color", "never", "") // a job's output is no terminal
	f.Lookup("color").NoOptDefVal = "auto"
	for _, name := range []string{"normal", "minimal", "speed-large-files", "no-dereference"} {
		f.Bool(name, false, "")
	}
	f.BoolP("d", "d", false, "") // --minimal
	if err := f.Parse(detached(args)); err != nil {
		return nil, fmt.Errorf("%w: -u -U -q -r -N -s -w -b -B -Z -i -a -x and --label are available in a job", err)
	}
	if o.unified {
		o.context = max(o.context, unified.Context)
	}
	if o.context < normal {
		return nil, fmt.Errorf("invalid context length '%d'", o.context)
	}
	const operands = 2
	switch o.operands = f.Args(); {
	case len(o.operands) == 0:
		return nil, errors.New("missing operand after 'diff'")
	case len(o.operands) < operands:
		return nil, fmt.Errorf("missing operand after '%s'", o.operands[0])
	case len(o.operands) > operands:
		return nil, fmt.Errorf("extra operand '%s'", o.operands[operands])
	}
	o.given = written(args, o.operands)
	return o, nil
}

// shortContext is -U among short options, with or without its number.
var shortContext = regexp.MustCompile(`^-([A-Za-z]*U)(\d*)$`)

// detached attaches the number after -U, which may stand by itself; only the
// long form may come without one.
func detached(args []string) []string {
	out := slices.Clone(args)
	for i, arg := range out {
		if arg == "--" {
			break
		}
		match := shortContext.FindStringSubmatch(arg)
		switch {
		case match == nil:
		case match[2] != "":
			out[i] = "-" + match[1] + "=" + match[2]
		case i+1 < len(out):
			out[i] = arg + "=" + out[i+1]
			return slices.Delete(out, i+1, i+2)
		}
	}
	return out
}

// written is the options as they stand in the heading of each pair of files.
func written(args, operands []string) string {
	var out strings.Builder
	left := slices.Clone(operands)
	for _, arg := range slices.Backward(args) {
		if n := len(left); n > 0 && arg == left[n-1] {
			left = left[:n-1]
			continue
		}
		if arg != "--" {
			rest := out.String()
			out.Reset()
			out.WriteString(" " + quoted(arg) + rest)
		}
	}
	return out.String()
}

// quoted is a word as a shell would read it.
func quoted(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t\n'\"\\$`*?[](){}<>|&;!#~=^") {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// named is a file's name in a heading: as in C when it would not stay one word.
func named(name string) string {
	if strings.ContainsAny(name, " \t\n\"\\") {
		return strconv.Quote(name)
	}
	return name
}

// key makes equal what the options say is equal.
func (o *options) key(line string) string {
	if o.stripCR {
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r") + line[len(strings.TrimSuffix(line, "\n")):]
	}
	switch {
	case o.allSpace:
		line = strings.Join(strings.Fields(line), "")
	case o.someSpace:
		words := strings.Fields(line)
		if strings.TrimLeft(line, " \t\v\f\r\n") != line && len(words) > 0 {
			words = append([]string{""}, words...)
		}
		line = strings.Join(words, " ")
	case o.endSpace:
		line = strings.TrimRight(line, " \t\v\f\r\n")
	}
	if o.ignoreCase {
		line = strings.ToLower(line)
	}
	return line
}
