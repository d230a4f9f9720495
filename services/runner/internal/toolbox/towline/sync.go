package towline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/runner/internal/inquiry"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

const (
	syncTimeout = 10 * time.Minute
	// askEvery is how often a sync that is waited for is asked about, and
	// wishEvery how often a look is wished until one has come.
	askEvery  = time.Second
	wishEvery = 5 * time.Second
	// wishAgain is the pause once a look has come, while the commit is not there.
	wishAgain = 30 * time.Second
	// shortCommit is as much of a commit as people read.
	shortCommit = 8
)

// following is one `towline sync`.
type following struct {
	inv   tool.Invocation
	ask   Ask
	query inquiry.Question
	wish  time.Time // when a look is wished next
	said  string    // last line of progress
}

func (t *Towline) sync(ctx context.Context, inv tool.Invocation) int {
	f := newFlags("sync")
	wait := f.Bool("wait", false, "wait until the commit is applied")
	commit := f.String("commit", "", "the commit")
	timeout := f.Duration("timeout", syncTimeout, "how long to wait")
	err := f.Parse(inv.Args)
	q := inquiry.Question{Commit: *commit, Entry: f.Arg(0)}
	switch {
	case err != nil:
	case f.NArg() > 1:
		err = errors.New("name one entry")
	case *timeout <= 0:
		err = errors.New("--timeout has to be more than 0")
	default:
		err = q.Check()
	}
	if err != nil {
		fmt.Fprintf(inv.Stderr, "towline sync: %v\n%s", err, usage)
		return exitUsage
	}
	if t.ask == nil {
		return fail(inv, "sync", errors.New("there is no runner to ask: this command works in a job only"))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, *timeout, errNotInTime)
	defer cancel()
	s := &following{inv: inv, ask: t.ask, query: q}
	return s.run(ctx, *wait, *timeout)
}

var errNotInTime = errors.New("not in time")

// run asks once, or until it is over.
func (s *following) run(ctx context.Context, wait bool, timeout time.Duration) int {
	a, err := s.next(ctx)
	for err == nil && wait && !over(a, s.query.Since == nil) {
		s.progress(a)
		s.remember(a)
		if !retry.Sleep(ctx, askEvery) {
			err = context.Cause(ctx)
			break
		}
		var now inquiry.Answer
		if now, err = s.next(ctx); err == nil {
			a = now
		}
	}
	switch {
	case errors.Is(err, errNotInTime):
		fmt.Fprintf(s.inv.Stderr, "towline sync: not applied within %s: %s\n", timeout, words(a))
		return exitTimeout
	case err != nil:
		return fail(s.inv, "sync", err)
	case a.Refusal != "":
		return fail(s.inv, "sync", errors.New(a.Refusal))
	case !wait:
		fmt.Fprintf(s.inv.Stdout, "%s: %s; it is looked at now\n", a.Entry, words(a))
		return 0
	}
	return s.outcome(a)
}

// over says whether there is nothing more to wait for. What has failed before
// this command began is tried again first, and where a ref has stood before says
// nothing of where it stands now.
func over(a inquiry.Answer, first bool) bool {
	switch {
	case a.Refusal != "":
		return !a.Again
	case first && (a.Phase == inquiry.Failed || a.Floating):
		return a.Suspended
	case a.Phase == inquiry.Failed:
		return true
	}
	return a.Phase == inquiry.Applied || a.Suspended
}

// next asks, again for a while when nobody answers.
func (s *following) next(ctx context.Context) (a inquiry.Answer, err error) {
	q := s.query
	if now := time.Now(); !now.Before(s.wish) {
		q.Wake, s.wish = true, now.Add(wishEvery)
	}
	const patience = 3
	for range patience {
		if a, err = s.ask(ctx, q); err == nil {
			return a, nil
		}
		if ctx.Err() != nil {
			return a, context.Cause(ctx)
		}
	}
	return a, err
}

// remember keeps what the next question refers to.
func (s *following) remember(a inquiry.Answer) {
	if a.Refusal != "" {
		return
	}
	if s.query.Since == nil {
		s.query.Since = &a.Now
		return // where the ref stands is what the next look finds
	}
	if s.query.Commit == "" {
		s.query.Commit = a.Commit
	}
	if a.Now.Answered > s.query.Since.Answered {
		s.query.Since.Answered = a.Now.Answered
		s.wish = time.Now().Add(wishAgain)
	}
}

// progress prints a line for each change.
func (s *following) progress(a inquiry.Answer) {
	if line := words(a); line != s.said {
		s.said = line
		fmt.Fprintf(s.inv.Stdout, "%s  %s\n", time.Now().UTC().Format(time.TimeOnly), line)
	}
}

func short(commit string) string {
	if len(commit) > shortCommit {
		return commit[:shortCommit]
	}
	return commit
}

// words say where an entry stands.
func words(a inquiry.Answer) string {
	var text string
	switch a.Phase {
	case inquiry.Looking:
		text = "the source is looked at"
	case inquiry.Unseen:
		text = fmt.Sprintf("waits for %s: %s stands at %s", short(a.Commit), a.Ref, orUnknown(short(a.Head)))
	case inquiry.Queued:
		text = short(a.Commit) + " waits for its turn"
	case inquiry.Running:
		text = short(a.Commit) + " is being applied"
	case inquiry.Applied:
		text = short(a.Commit) + " is applied: " + a.Result.Summary()
	case inquiry.Failed:
		text = short(a.Commit) + " has failed: " + a.Result.Summary()
	default:
		text = a.Refusal
	}
	if a.Note != "" {
		text += " (" + a.Note + ")"
	}
	return text
}

func orUnknown(s string) string {
	if s == "" {
		return "a commit that is not known yet"
	}
	return s
}

// outcome prints the result and returns the exit code.
func (s *following) outcome(a inquiry.Answer) int {
	r := a.Result
	if r == nil { // suspended
		return fail(s.inv, "sync", fmt.Errorf("%s: %s", a.Entry, words(a)))
	}
	if r.Commit != a.Commit {
		fmt.Fprintf(s.inv.Stdout, "%s came after %s and holds it\n", short(r.Commit), short(a.Commit))
	}
	for _, w := range r.Warnings {
		fmt.Fprintln(s.inv.Stdout, "warning:", w)
	}
	if r.State == syncspec.Succeeded {
		fmt.Fprintf(s.inv.Stdout, "%s: %s is applied, in %s: %s\n", a.Entry, short(r.Commit), time.Duration(r.Millis)*time.Millisecond, r.Summary())
		return 0
	}
	fmt.Fprintf(s.inv.Stderr, "towline sync: %s: %s has failed:\n", a.Entry, short(r.Commit))
	for _, p := range r.Problems {
		fmt.Fprintln(s.inv.Stderr, "  "+p)
	}
	if r.More > 0 {
		fmt.Fprintf(s.inv.Stderr, "  and %d more\n", r.More)
	}
	return exitFailure
}
