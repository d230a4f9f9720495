package report

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/towline/towline/pkg/joblines"
	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/pkg/seal"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

const (
	// firstInterval is the pause between pieces of a trace until GitLab names
	// one (runner-api sheet, section 7).
	firstInterval = 3 * time.Second
	// pulse is how often GitLab is asked whether the job was cancelled. It tells
	// a runner only in answers, and allows 200 of them a minute per job, of which
	// the job's artifacts need some. With this pulse and a lease that is renewed
	// every second, a script stops within two seconds of the cancel.
	pulse = 800 * time.Millisecond
	// look is how often the record is read again without a wake-up.
	look = time.Second
	// lostAfter is how long a started job may be without a lease before it is
	// given up: a runner that lost Redis for a moment comes back.
	lostAfter = 15 * time.Second
	// admitWithin is how long a taken job may wait for a decision: then GitLab is
	// told, rather than the job being left to its timeout.
	admitWithin = 5 * time.Minute
	// admitPause is the longest pause between two attempts at a decision.
	admitPause = 5 * time.Second
	// logTries is how often in a row GitLab may refuse the rest of a trace before
	// the final state is sent without it.
	logTries = 10
	// finalTries is how often GitLab may refuse the final state (section 8.2). One
	// that is away is waited for.
	finalTries = 10
	// resendTries is how often GitLab may want the whole trace again. Then the
	// final state goes out without a checksum, so that there is nothing to compare.
	resendTries = 3
	// lostLooks is how often a finished job is looked for that Redis does not know
	// any more: its runner may announce it again.
	lostLooks = 4
	// smallestPiece of a trace is never halved, in bytes: what refuses it for its
	// size would refuse anything.
	smallestPiece = 1 << 10
)

var (
	errTampered   = seal.ErrTampered
	errUnreadable = errors.New("the payload is not a job that this version can read")
	errNeverRight = errors.New("GitLab wants the whole log again, also when it is told no checksum")

	// backoff is short at its longest: somebody waits for the end of a job, and a
	// GitLab that wants to be left alone for longer says so.
	backoff = retry.Policy{Min: time.Second, Max: 15 * time.Second}
)

// tender brings one job to its end.
type tender struct {
	k       *Keeper
	id      int64
	job     *jobspec.Job
	payload []byte
	token   gitlab.JobToken
	log     *slog.Logger
	wake    <-chan struct{}

	started   bool          // state and acked are taken over from the record
	acked     int64         // bytes of the trace that GitLab holds
	interval  time.Duration // between pieces
	piece     int64         // bytes of the largest piece that gets through
	nextPatch time.Time
	nextPulse time.Time
	noPulse   int // pulses in a row that GitLab did not answer
	unleased  time.Time
	failures  int            // calls in a row that came to nothing
	asked     time.Duration  // the pause that GitLab asked for with the last of them
	refused   int            // pieces in a row that GitLab did not take from a finished job
	refusals  int            // final states that GitLab has refused
	resends   int            // times GitLab wanted the whole trace again
	unsure    bool           // what GitLab holds of the trace is not compared
	result    *ledger.Result // how a finished job ended
	missed    int            // looks in a row at a finished job that Redis does not know
	blind     bool           // the trace cannot be read, and that was said
	canceled  string         // what the record says of cancellation
	gone      bool           // GitLab wants to hear no more of this job
	told      bool           // GitLab has the final state
}

func (t *tender) run(ctx context.Context) {
	for ctx.Err() == nil {
		rec, err := t.k.Ledger.Load(ctx, t.id)
		switch {
		case errors.Is(err, ledger.ErrUnknown):
			if t.lost(ctx) {
				return
			}
			continue
		case err != nil:
			retry.Sleep(ctx, look)
			continue
		}
		if !t.started {
			t.started, t.acked, t.interval = true, min(rec.Acked, rec.TraceSize), firstInterval
		}
		t.canceled = rec.Cancel
		if rec.State != ledger.Finished {
			t.result = nil // its runner is at it again, after Redis had lost it
		}
		if t.step(ctx, rec) {
			return
		}
	}
}

// stumble waits after a call that came to nothing.
func (t *tender) stumble(ctx context.Context) {
	t.failures++
	retry.Sleep(ctx, max(t.asked, backoff.Backoff(t.failures)))
}

// step does what a record calls for and then waits; true means that the job
// needs no more care.
func (t *tender) step(ctx context.Context, rec ledger.Record) (done bool) {
	switch rec.State {
	case ledger.Reported:
		_ = t.k.Ledger.Forget(ctx, t.id)
		return true
	case ledger.Finished:
		return t.finish(ctx, rec)
	case ledger.Accepted:
		t.admit(ctx, rec)
		return false
	case ledger.Queued:
		t.watchQueue(ctx, rec)
	case ledger.Claimed, ledger.Running:
		t.watchLease(ctx, rec)
	}
	if t.gone {
		t.pass(ctx, ledger.CancelAbort) // in case Redis did not take it before
	}
	t.patchIfDue(ctx, rec)
	t.pulseIfDue(ctx)
	t.rest(ctx, rec.TraceSize > t.acked)
	return false
}

// admit has the job decided, and closes it when that proves impossible.
func (t *tender) admit(ctx context.Context, rec ledger.Record) {
	err := t.k.Admit.Admit(ctx, t.job, t.payload)
	t.nextPulse = time.Now().Add(pulse) // admission says "running" itself
	if err == nil || ctx.Err() != nil {
		t.failures = 0
		return
	}
	t.failures++
	t.log.Warn("job waits for a decision", service.Err(err))
	if rec.Waited > admitWithin {
		t.close(ctx, ledger.ReasonDependency, fmt.Sprintf("no decision about this job was possible within %s: policy or GitLab's API does not answer; nothing was started and the job can be retried", admitWithin))
	}
	retry.Sleep(ctx, min(backoff.Backoff(t.failures), admitPause))
}

// rest waits for a wake-up, the next look, or what is due before it: a pulse, or
// a piece of the trace if some of it is waiting.
func (t *tender) rest(ctx context.Context, waiting bool) {
	pause := look
	if !t.gone {
		pause = min(pause, time.Until(t.nextPulse))
	}
	if !t.gone && waiting {
		pause = min(pause, time.Until(t.nextPatch))
	}
	pause = max(pause, time.Millisecond)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-t.wake:
	case <-timer.C:
	}
}

// watchQueue keeps a queued job in the queue, and gives up when no runner comes.
func (t *tender) watchQueue(ctx context.Context, rec ledger.Record) {
	t.unleased = time.Time{}
	switch {
	case rec.Cancel != "":
		t.close(ctx, ledger.ReasonCanceled, "canceled before a runner took the job")
	case rec.Waited > t.k.Wait:
		t.close(ctx, ledger.ReasonSystem, fmt.Sprintf("no runner took the job within %s", t.k.Wait))
	case rec.Waited > repairAfter:
		if err := t.k.Ledger.Repair(ctx, t.id); err != nil {
			t.log.Warn("queue not repaired", service.Err(err))
		}
	}
}

// watchLease acts when a runner's lease has run out.
func (t *tender) watchLease(ctx context.Context, rec ledger.Record) {
	if rec.Leased {
		t.unleased = time.Time{}
		return
	}
	if t.unleased.IsZero() {
		t.unleased = time.Now()
		t.log.Warn("the runner of this job does not renew its lease", "runner", rec.Runner)
	}
	if time.Since(t.unleased) < lostAfter {
		return
	}
	if rec.State == ledger.Claimed {
		if t.k.Ledger.Release(ctx, t.id) == nil {
			t.log.Warn("job given back to the queue: its runner is gone and its script was not started")
		}
		return
	}
	t.close(ctx, ledger.ReasonSystem, "the runner stopped while the script was running; the job is not started again, since its commands may have taken effect")
}

// close ends a job that no runner holds.
func (t *tender) close(ctx context.Context, reason, why string) {
	sealed, err := ledger.SealJSON(t.k.Seal, t.id, ledger.Result{State: ledger.Failed, FailureReason: reason})
	if err == nil {
		err = t.k.Ledger.Close(ctx, t.id, t.lastLine(ctx, reason, why), sealed)
	}
	if err != nil {
		t.log.Warn("job not closed", service.Err(err))
		return
	}
	t.log.Warn("job closed", "reason", reason, "why", why)
}

// lastLine says in the job's log why it failed. A runner that went away may have
// left its last line unfinished.
func (t *tender) lastLine(ctx context.Context, reason, why string) []byte {
	kind := joblines.System
	if reason == ledger.ReasonCanceled {
		kind = joblines.Job
	}
	line := joblines.Stamp(t.job, time.Now(), joblines.Failed(kind, why))
	rec, err := t.k.Ledger.Load(ctx, t.id)
	if err != nil || rec.TraceSize == 0 {
		return line
	}
	if last, err := t.k.Ledger.Trace(ctx, t.id, rec.TraceSize-1, 1); err == nil && string(last) != "\n" {
		line = append([]byte("\n"), line...)
	}
	return line
}
