package date

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	_ "time/tzdata" // a job cannot read the machine's

	"github.com/towline/towline/services/runner/internal/toolbox/getopt"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// Formats with a name.
const (
	usualFormat = "%a %b %e %H:%M:%S %Z %Y"
	mailFormat  = "%a, %d %b %Y %H:%M:%S %z"
)

var isoFormats = map[string]string{
	"": "%Y-%m-%d", "date": "%Y-%m-%d", "hours": "%Y-%m-%dT%H%:z", "minutes": "%Y-%m-%dT%H:%M%:z",
	"seconds": "%Y-%m-%dT%H:%M:%S%:z", "ns": "%Y-%m-%dT%H:%M:%S,%N%:z",
}

var rfc3339Formats = map[string]string{
	"date": "%Y-%m-%d", "seconds": "%Y-%m-%d %H:%M:%S%:z", "ns": "%Y-%m-%d %H:%M:%S.%N%:z",
}

var spec = getopt.Spec{
	Short: "d:D:f:I::r:Rs:u",
	Long: map[string]string{
		"date": "d", "file": "f", "iso-8601": "I", "reference": "r", "rfc-email": "R", "rfc-2822": "R", "rfc-822": "R", "set": "s",
		"utc": "u", "universal": "u", "uct": "u", "rfc-3339": "rfc-3339:", "debug": "debug", "help": "help",
	},
}

const usage = `Usage: date [OPTION]... [+FORMAT]
This date is built into the Towline runner and does as GNU's:
  -d, --date=TEXT        the time that TEXT describes, such as 'yesterday', '2 days ago', '2024-01-01 + 3 days', '@1700000000'
  -f, --file=FILE        as -d, for each line of FILE
  -I, --iso-8601[=FMT]   FMT: date, hours, minutes, seconds or ns
  -R, --rfc-email        as in the head of a mail
      --rfc-3339=FMT     FMT: date, seconds or ns
  -r, --reference=FILE   when FILE was changed
  -u, --utc              Coordinated Universal Time
`

var errFormats = errors.New("multiple output formats specified")

// request is what a command line asks for.
type request struct {
	text, lines, file *string // -d, -f, -r
	format            string
	utc, help         bool
}

// Run is the command.
func Run(_ context.Context, inv tool.Invocation) int {
	options, operands, err := getopt.Parse(spec, inv.Args)
	if err != nil {
		getopt.Fault(inv.Stderr, "date", err)
		return 1
	}
	r, err := read(options, operands)
	switch {
	case errors.Is(err, errFormats):
		fmt.Fprintf(inv.Stderr, "date: %v\n", err)
		return 1
	case err != nil:
		getopt.Fault(inv.Stderr, "date", err)
		return 1
	case r.help:
		fmt.Fprint(inv.Stdout, usage)
		return 0
	}
	zone, _ := inv.Getenv("TZ")
	if r.utc {
		zone = "UTC0"
	}
	if err := r.print(inv, time.Now().In(location(zone))); err != nil {
		fmt.Fprintf(inv.Stderr, "date: %v\n", err)
		return 1
	}
	return 0
}

func read(options []getopt.Option, operands []string) (*request, error) {
	r := &request{}
	for _, o := range options {
		format := ""
		switch o.Name {
		case "d":
			r.text = &o.Value
		case "f":
			r.lines = &o.Value
		case "r":
			r.file = &o.Value
		case "u":
			r.utc = true
		case "help":
			r.help = true
		case "R":
			format = mailFormat
		case "I", "rfc-3339":
			formats := map[string]map[string]string{"I": isoFormats, "rfc-3339": rfc3339Formats}[o.Name]
			if format = formats[o.Value]; format == "" {
				return nil, fmt.Errorf("invalid argument '%s' for '--%s'", o.Value, map[string]string{"I": "iso-8601"}[o.Name]+strings.TrimPrefix(o.Name, "I"))
			}
		case "s":
			return nil, errors.New("the clock cannot be set in a job")
		case "D":
			return nil, errors.New("-D is an option of busybox; this date is GNU's, whose -d reads most formats by itself")
		}
		if format != "" && r.format != "" {
			return nil, errFormats
		}
		r.format += format
	}
	return r, r.operand(operands)
}

// operand takes the format.
func (r *request) operand(operands []string) error {
	sources := 0
	for _, s := range []*string{r.text, r.lines, r.file} {
		if s != nil {
			sources++
		}
	}
	switch {
	case sources > 1:
		return errors.New("the options to specify dates for printing are mutually exclusive")
	case len(operands) > 1:
		return fmt.Errorf("extra operand '%s'", operands[1])
	case len(operands) == 0 && r.format == "":
		r.format = usualFormat
	case len(operands) == 0:
	case !strings.HasPrefix(operands[0], "+") && sources == 0:
		return fmt.Errorf("'%s' would set the clock, which a job cannot; a format begins with +, and -d takes a date", operands[0])
	case !strings.HasPrefix(operands[0], "+"):
		return fmt.Errorf("the argument '%s' lacks a leading '+';\nwhen using an option to specify date(s), any non-option\nargument must be a format string beginning with '+'", operands[0])
	case r.format != "":
		return errFormats
	default:
		r.format = operands[0][1:]
	}
	return nil
}

func (r *request) print(inv tool.Invocation, now time.Time) error {
	at := now
	var err error
	switch {
	case r.lines != nil:
		return r.printLines(inv, now)
	case r.file != nil:
		info, err := os.Stat(inv.Path(*r.file))
		if err != nil {
			return fmt.Errorf("%s: %s", *r.file, tool.Reason(err))
		}
		at = info.ModTime().In(now.Location())
	case r.text != nil:
		if at, err = Parse(*r.text, now); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(inv.Stdout, Format(r.format, at))
	return err
}

func (r *request) printLines(inv tool.Invocation, now time.Time) error {
	in := inv.Stdin
	if *r.lines != "-" {
		f, err := os.Open(inv.Path(*r.lines))
		if err != nil {
			return fmt.Errorf("%s: %s", *r.lines, tool.Reason(err))
		}
		defer f.Close()
		in = f
	}
	var wrong error
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		at, err := Parse(lines.Text(), now)
		if err != nil {
			wrong = errors.Join(wrong, err)
			continue
		}
		fmt.Fprintln(inv.Stdout, Format(r.format, at))
	}
	return errors.Join(wrong, lines.Err())
}
