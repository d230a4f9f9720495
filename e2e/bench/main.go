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
	"syscall"
	"text/tabwriter"
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

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	project := flags.String("project", "e2e/demo/project", "directory of the project to run")
	runs := flags.Int("runs", 15, "runs of each way, after one that does not count")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *runs < 1 {
		return errors.New("--runs: at least one run is needed")
	}
	dir, err := os.MkdirTemp("", "towline-bench-")
	if err != nil {
		return err
	}
	s := &site{dir: dir, project: *project, progress: out}
	err = s.measure(ctx, *runs, out)
	return errors.Join(err, s.clear(), os.RemoveAll(dir))
}

// sample is one run of the pipeline under Towline.
type sample struct{ firstByte, final time.Duration }

func (s *site) measure(ctx context.Context, runs int, out io.Writer) error {
	if err := s.set(ctx); err != nil {
		return err
	}
	var first, final, script, checkout []time.Duration
	for n := range runs + 1 {
		// The ways take turns, so that a change of the machine's load meets both.
		a, err := s.towline(ctx)
		if err != nil {
			return err
		}
		b, err := s.bash(ctx, false)
		if err != nil {
			return err
		}
		c, err := s.bash(ctx, true)
		if err != nil {
			return err
		}
		if n > 0 {
			first, final, script, checkout = append(first, a.firstByte), append(final, a.final), append(script, b), append(checkout, c)
		}
	}
	return table(out, runs, median(first), median(final), median(script), median(checkout))
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func table(out io.Writer, runs int, first, final, script, checkout time.Duration) error {
	fmt.Fprintf(out, "\nThe main job, median of %d runs (two `kubectl apply` of unchanged objects):\n\n", runs)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "way\ttime\tratio to bash\t")
	row := func(way string, d time.Duration) {
		fmt.Fprintf(w, "%s\t%.1f ms\t%.2f\t\n", way, float64(d.Microseconds())/1000, float64(d)/float64(script))
	}
	row("bash with real kubectl processes, script alone", script)
	row("the same after a git fetch by hand", checkout)
	row("Towline, handed out -> first log byte in GitLab", first)
	row("Towline, handed out -> final state in GitLab (with Git fetch, policy, log)", final)
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nratio of Towline's final state to the script alone under bash: %.2f\n", float64(final)/float64(script))
	if final >= script {
		return errors.New("Towline was slower than bash with kubectl processes")
	}
	return nil
}
