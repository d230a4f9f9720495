package retry

import (
	"context"
	"math/rand/v2"
	"time"
)

// Outcome is what an attempt came to. The zero value is invalid on purpose.
type Outcome int

// Outcomes of an attempt.
const (
	// Done ends the loop.
	Done Outcome = iota + 1
	// Again repeats after the idle pause; earlier failures are forgotten.
	Again
	// Now repeats at once; earlier failures are forgotten.
	Now
	// Failed repeats after a back-off that grows with each failure in a row.
	Failed
)

// MaxAfter is the longest pause that the other side can ask for.
const MaxAfter = 15 * time.Minute

// Result is the outcome of one attempt. After, when positive, is what the other
// side asked for (Retry-After) and replaces a shorter pause of ours; it counts
// for MaxAfter at most.
type Result struct {
	Outcome Outcome
	After   time.Duration
}

// Policy holds the pauses of a loop.
type Policy struct {
	// Idle is the pause after Again.
	Idle time.Duration
	// Min and Max bound the back-off after Failed; it doubles in between and
	// each pause is spread by up to a half, so that replicas do not march in
	// step.
	Min, Max time.Duration
	// Attempts ends the loop after so many attempts; 0 means never.
	Attempts int
}

// Loop calls attempt until it is Done (true), the attempts are used up, or ctx
// ends (false).
func (p Policy) Loop(ctx context.Context, attempt func(context.Context) Result) bool {
	failures := 0
	for n := 1; ; n++ {
		if ctx.Err() != nil {
			return false
		}
		r := attempt(ctx)
		var pause time.Duration
		switch r.Outcome {
		case Done:
			return true
		case Now:
			failures = 0
		case Again:
			failures, pause = 0, p.Idle
		case Failed:
			failures++
			pause = p.Backoff(failures)
		default:
			panic("retry: attempt returned no outcome")
		}
		if p.Attempts > 0 && n >= p.Attempts {
			return false
		}
		if !Sleep(ctx, max(pause, min(r.After, MaxAfter))) {
			return false
		}
	}
}

// Backoff is the pause after the given number of failures in a row, which
// starts at 1.
func (p Policy) Backoff(failures int) time.Duration {
	d := p.Min
	if d <= 0 {
		d = p.Max
	}
	for n := 1; n < failures && d < p.Max; n++ {
		if d > p.Max/2 {
			d = p.Max // and no overflow, however many failures
		} else {
			d *= 2
		}
	}
	d = min(d, p.Max)
	if d <= 1 {
		return d
	}
	return d/2 + rand.N(d/2) //nolint:gosec // G404: nobody gains by guessing it
}

// Sleep waits for d and says whether the time passed before ctx ended.
func Sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
