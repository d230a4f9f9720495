package selfcheck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"text/tabwriter"
	"time"
)

// ErrFailed means that at least one check has failed; which, and why, is in the
// table.
var ErrFailed = errors.New("not everything works: see the lines with FAILED above")

// Check is one thing to look at.
type Check struct {
	Name string
	// Look returns what it has seen, or why that is not good and what to do.
	Look func(ctx context.Context) (string, error)
}

// Pause is the time between two looks at what is not good yet.
const Pause = time.Second

// Run looks at everything at the same time, and again at what is not good until
// ctx ends: an installation may be starting still. It prints a table in the
// order of the checks.
func Run(ctx context.Context, checks []Check, out io.Writer) error {
	type answer struct {
		seen string
		err  error
	}
	answers := make([]answer, len(checks))
	var all sync.WaitGroup
	for i, c := range checks {
		all.Go(func() {
			for {
				seen, err := c.Look(ctx)
				if err == nil || ctx.Err() == nil || answers[i].err == nil {
					answers[i] = answer{seen, err} // not: time is over
				}
				if err == nil || !wait(ctx) {
					return
				}
			}
		})
	}
	all.Wait()
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	var failed error
	for i, c := range checks {
		if err := answers[i].err; err != nil {
			failed = ErrFailed
			fmt.Fprintf(table, "FAILED\t%s\t%v\n", c.Name, err)
			continue
		}
		fmt.Fprintf(table, "ok\t%s\t%s\n", c.Name, answers[i].seen)
	}
	return errors.Join(table.Flush(), failed)
}

func wait(ctx context.Context) bool {
	t := time.NewTimer(Pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
