package service

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Settings binds a service's options. Each option has one name, which is its
// flag (--redis-url), its environment variable (TOWLINE_REDIS_URL) and its key
// in the chart's values. Precedence: default, environment, flag.
type Settings struct {
	flags  *flag.FlagSet
	getenv func(string) string
	out    io.Writer
	faults []error
	// origins is where values come from that are not defaults.
	origins map[string]string
}

// NewSettings starts an empty set for the named service. Help goes to out.
func NewSettings(name string, getenv func(string) string, out io.Writer) *Settings {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // a wrong option is one line of error, not a page of usage
	fs.Usage = func() {}
	return &Settings{flags: fs, getenv: getenv, out: out, origins: map[string]string{}}
}

// EnvName is the environment variable of an option: redis-url becomes
// TOWLINE_REDIS_URL.
func EnvName(option string) string {
	return "TOWLINE_" + strings.ToUpper(strings.ReplaceAll(option, "-", "_"))
}

// String binds a text option.
func (s *Settings) String(p *string, name, def, usage string) {
	s.flags.StringVar(p, name, def, usage)
	s.fromEnv(name)
}

// Int binds a whole number.
func (s *Settings) Int(p *int, name string, def int, usage string) {
	s.flags.IntVar(p, name, def, usage)
	s.fromEnv(name)
}

// Int64 binds a whole number, for example an id of GitLab's.
func (s *Settings) Int64(p *int64, name string, def int64, usage string) {
	s.flags.Int64Var(p, name, def, usage)
	s.fromEnv(name)
}

// Bool binds a switch.
func (s *Settings) Bool(p *bool, name string, def bool, usage string) {
	s.flags.BoolVar(p, name, def, usage)
	s.fromEnv(name)
}

// Duration binds a span of time, written like 30s or 5m.
func (s *Settings) Duration(p *time.Duration, name string, def time.Duration, usage string) {
	s.flags.DurationVar(p, name, def, usage)
	s.fromEnv(name)
}

// List binds a comma-separated list; empty entries are dropped.
func (s *Settings) List(p *[]string, name, usage string) {
	s.flags.Var((*list)(p), name, usage)
	s.fromEnv(name)
}

type list []string

// Set implements flag.Value.
func (l *list) Set(v string) error {
	*l = nil
	for e := range strings.SplitSeq(v, ",") {
		if e = strings.TrimSpace(e); e != "" {
			*l = append(*l, e)
		}
	}
	return nil
}

// String implements flag.Value.
func (l *list) String() string { return strings.Join(*l, ",") }

// fromEnv sets the value and not the flag, so that Each can tell the two apart.
func (s *Settings) fromEnv(name string) {
	v := s.getenv(EnvName(name))
	if v == "" {
		return
	}
	s.origins[name] = EnvName(name)
	if err := s.flags.Lookup(name).Value.Set(v); err != nil {
		s.faults = append(s.faults, fmt.Errorf("%s=%s: %w", EnvName(name), strconv.Quote(v), err))
	}
}

// Parse applies the command line. All faults found so far come back together.
func (s *Settings) Parse(args []string) error {
	if err := s.flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			s.help()
			return err
		}
		s.faults = append(s.faults, fmt.Errorf("%w; -h lists the options", err))
	} else if s.flags.NArg() > 0 {
		s.faults = append(s.faults, fmt.Errorf("unexpected argument %q; options look like --name=value", s.flags.Arg(0)))
	}
	s.flags.Visit(func(f *flag.Flag) { s.origins[f.Name] = "--" + f.Name })
	return errors.Join(s.faults...)
}

// help prints every option with its environment variable and default, never a
// value that is set.
func (s *Settings) help() {
	fmt.Fprintf(s.out, "Usage: %s [options]\n       %[1]s --version\n\nOptions, each with its environment variable:\n", s.flags.Name())
	s.flags.VisitAll(func(f *flag.Flag) {
		kind, usage := flag.UnquoteUsage(f)
		if kind != "" {
			kind = " " + kind
		}
		if f.DefValue != "" {
			usage += fmt.Sprintf(" (default %s)", f.DefValue)
		}
		fmt.Fprintf(s.out, "  --%s%s  %s\n      %s\n", f.Name, kind, EnvName(f.Name), usage)
	})
}

// Setting is an option with its value. Origin is the flag or the environment
// variable that gave it, "" for a default.
type Setting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Origin string `json:"origin,omitempty"`
}

// Each lists the options with their values, sorted by name. Whoever shows them
// knows that none of them is a secret.
func (s *Settings) Each() []Setting {
	var out []Setting
	s.flags.VisitAll(func(f *flag.Flag) {
		out = append(out, Setting{Name: f.Name, Value: f.Value.String(), Origin: s.origins[f.Name]})
	})
	return out
}

// Names lists every bound option, sorted.
func (s *Settings) Names() []string {
	var names []string
	s.flags.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
	return names
}
