package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	project string
	runs    int
	jobs    int
	only    []string
}

// measurement is one table of the output.
type measurement struct {
	name    string
	measure func(context.Context, *site, options, *report) error
}

// measurements in the order in which they run.
var measurements = []measurement{
	{"job", measureJob},
	{"jobs", measureJobs},
	{"memory", measureMemory},
	{"apply", measureApply},
	{"helm", measureHelm},
	{"directory", measureDirectory},
	{"gate", measureGate},
	{"decision", measureDecision},
	{"engine", measureEngine},
	{"gitops", measureGitOps},
}

func run(ctx context.Context, args []string, out io.Writer) error {
	opts, err := parse(args)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "towline-bench-")
	if err != nil {
		return err
	}
	s := &site{dir: dir, project: opts.project, progress: out}
	err = s.measure(ctx, opts, &report{out: out})
	return errors.Join(err, s.clear(), os.RemoveAll(dir))
}

func parse(args []string) (options, error) {
	var o options
	var names []string
	for _, m := range measurements {
		names = append(names, m.name)
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&o.project, "project", "e2e/demo/project", "directory of the project of the main job")
	flags.IntVar(&o.runs, "runs", 15, "runs of each way, after one that does not count")
	flags.IntVar(&o.jobs, "jobs", 100, "number of small jobs")
	only := flags.String("only", strings.Join(names, ","), "measurements to make")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.only = strings.Split(*only, ",")
	for _, name := range o.only {
		if !slices.Contains(names, name) {
			return o, fmt.Errorf("--only: %q is none of %s", name, strings.Join(names, ", "))
		}
	}
	if o.runs < 1 || o.jobs < 1 {
		return o, errors.New("--runs, --jobs: at least one is needed")
	}
	return o, nil
}

func (s *site) measure(ctx context.Context, opts options, r *report) error {
	if err := s.set(ctx); err != nil {
		return err
	}
	for _, m := range measurements {
		if !slices.Contains(opts.only, m.name) {
			continue
		}
		if err := m.measure(ctx, s, opts, r); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return r.verdict()
}

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}
