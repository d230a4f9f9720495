package lint

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/towline/towline/pkg/service"
)

// The exit statuses of the command, for pipelines to tell apart. 0 is none of
// these.
const (
	ExitFaults     = 1 // a file has faults
	ExitUnreadable = 2 // a file cannot be read, or the command line is wrong
)

const usage = `Usage: lint [--format text|json|code-quality] FILE|DIR...

Checks config.yaml, towline.yaml and files with rules, and ends with 0 when all
are in order, 1 when there are faults and 2 when something cannot be read.
Notices are no faults.

A directory is one with .gitlab/agents in it, with config.yaml or towline.yaml,
or with files of rules. Files of rules may have any other name.
`

// Run is the command.
func Run(_ context.Context, args []string, _ func(string) string, out io.Writer) error {
	flags := flag.NewFlagSet("lint", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	format := flags.String("format", "text", "")
	paths, err := interspersed(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(out, usage)
		return nil
	case err != nil:
		return unreadable(err)
	case formats[*format] == nil:
		return unreadable(fmt.Errorf("--format=%s: use %s", *format, strings.Join(slices.Sorted(maps.Keys(formats)), ", ")))
	case len(paths) == 0:
		return unreadable(errors.New("name a file or directory; lint --help says more"))
	}
	var all result
	for _, p := range paths {
		r, err := path(p)
		if err != nil {
			return unreadable(err)
		}
		all.add(r)
	}
	if err := formats[*format](out, reportOf(all)); err != nil {
		return unreadable(err)
	}
	if len(all.faults) > 0 {
		return service.Status{Code: ExitFaults}
	}
	return nil
}

func unreadable(err error) error { return service.Status{Code: ExitUnreadable, Err: err} }

// interspersed parses flags that may stand before and after the other arguments.
func interspersed(flags *flag.FlagSet, args []string) ([]string, error) {
	var rest []string
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return rest, nil
		}
		rest = append(rest, flags.Arg(0))
		args = flags.Args()[1:]
	}
}
