package report

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"time"

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
	// a runner only in answers, and allows 200 of them a minute per job.
	pulse = 1500 * time.Millisecond
	// look is how often the record is read again without a wake-up.
	look = time.Second
	// lostAfter is how long a started job may be without a lease before it is
	// given up: a runner that lost Redis for a moment comes back.
	lostAfter = 15 * time.Second
)

var (
	errTampered = seal.ErrTampered
	backoff     = retry.Policy{Min: time.Second, Max: time.Minute}
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
	nextPatch time.Time
	nextPulse time.Time
	sawQueued time.Time
	unleased  time.Time
	failures  int
	gone      bool // GitLab wants to hear no more of this job
}

func (t *tender) run(ctx context.Context) {
	for ctx.Err() == nil {
		rec, err := t.k.Ledger.Load(ctx, t.id)
		switch {
		case errors.Is(err, ledger.ErrUnknown):
			_ = t.k.Ledger.Forget(ctx, t.id)
			return
		case err != nil:
			retry.Sleep(ctx, look)
			continue
		}
		if !t.started {
			t.started, t.acked, t.interval = true, min(rec.Acked, rec.TraceSize), firstInterval
		}
		if t.step(ctx, rec) {
			return
		}
	}
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
		if err := t.k.Admit.Admit(ctx, t.job, t.payload); err != nil {
			t.failures++
			t.log.Warn("job waits for a decision", service.Err(err))
			t.pulseIfDue(ctx)
			retry.Sleep(ctx, min(backoff.Backoff(t.failures), 5*time.Second))
		}
		return false
	case ledger.Queued:
		t.watchQueue(ctx, rec)
	case ledger.Claimed, ledger.Running:
		t.watchLease(ctx, rec)
	}
	t.patchIfDue(ctx, rec)
	t.pulseIfDue(ctx)
	t.rest(ctx)
	return false
}

// rest waits for a wake-up or the next look.
func (t *tender) rest(ctx context.Context) {
	pause := look
	if !t.gone {
		pause = min(look, max(time.Until(t.nextPulse), time.Millisecond))
	}
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
	now := time.Now()
	if t.sawQueued.IsZero() {
		t.sawQueued = now
	}
	switch waited := now.Sub(t.sawQueued); {
	case rec.Cancel != "":
		t.close(ctx, ledger.ReasonCanceled, "canceled before a runner took the job")
	case waited > t.k.Wait:
		t.close(ctx, ledger.ReasonSystem, fmt.Sprintf("no runner took the job within %s", t.k.Wait))
	case waited > repairAfter:
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
			t.sawQueued = time.Time{}
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
		err = t.k.Ledger.Close(ctx, t.id, []byte(FailureLine(why)), sealed)
	}
	if err != nil {
		t.log.Warn("job not closed", service.Err(err))
		return
	}
	t.log.Warn("job closed", "reason", reason, "why", why)
}

// FailureLine is the last line of a job's log that names why it failed, as
// GitLab's own runner writes it (section 16).
func FailureLine(why string) string {
	return "\x1b[31;1mERROR: Job failed (system failure): " + why + "\x1b[0;m\n"
}

// patchIfDue sends new bytes of the trace: the first at once, then one piece per
// interval.
func (t *tender) patchIfDue(ctx context.Context, rec ledger.Record) {
	if t.gone || rec.TraceSize <= t.acked || time.Now().Before(t.nextPatch) {
		return
	}
	t.patch(ctx)
	t.nextPatch = time.Now().Add(t.interval)
}

// patch sends one piece and says whether GitLab took it.
func (t *tender) patch(ctx context.Context) bool {
	data, err := t.k.Ledger.Trace(ctx, t.id, t.acked, gitlab.MaxPatch)
	if err != nil || len(data) == 0 {
		return false
	}
	debug := t.job.Variables.Get("CI_DEBUG_TRACE") == "true"
	r := t.k.GitLab.PatchTrace(ctx, t.id, t.token, t.acked, data, debug)
	if r.Interval > 0 {
		t.interval = r.Interval
	}
	t.nextPulse = time.Now().Add(pulse)
	t.obey(ctx, r.Status, r.Outcome == gitlab.PatchJobGone)
	switch r.Outcome {
	case gitlab.PatchAccepted, gitlab.PatchRewind:
		t.k.Metrics.patched(len(data))
		t.acked = r.Size
		if err := t.k.Ledger.Acked(ctx, t.id, t.acked); err != nil {
			t.log.Debug("acknowledged size not stored", service.Err(err))
		}
		return r.Outcome == gitlab.PatchAccepted
	case gitlab.PatchRetry:
		t.log.Warn("log not sent; Towline sends it again", service.Err(r.Why))
	}
	return false
}

// pulseIfDue keeps the job alive at GitLab and learns of cancellation.
func (t *tender) pulseIfDue(ctx context.Context) {
	if t.gone || time.Now().Before(t.nextPulse) {
		return
	}
	r := t.k.GitLab.UpdateJob(ctx, t.id, t.token, gitlab.Update{State: "running"})
	t.nextPulse = time.Now().Add(max(pulse, r.Interval))
	t.obey(ctx, r.Status, r.Outcome == gitlab.UpdateJobGone)
}

// obey carries GitLab's word to the runner.
func (t *tender) obey(ctx context.Context, s gitlab.Status, gone bool) {
	reason := ""
	switch {
	case gone || s.Over():
		reason, t.gone = ledger.CancelAbort, true
	case s == gitlab.StatusCanceling:
		reason = ledger.CancelGraceful
	default:
		return
	}
	if err := t.k.Ledger.Cancel(ctx, t.id, reason); err != nil {
		t.log.Warn("cancellation not passed on", service.Err(err))
		return
	}
	t.log.Info("job cancelled in GitLab", "how", reason)
}

// finish sends the rest of the trace and the final state until GitLab has both.
func (t *tender) finish(ctx context.Context, rec ledger.Record) (done bool) {
	result, err := ledger.OpenJSON[ledger.Result](t.k.Seal, t.id, rec.Result)
	if err != nil {
		t.log.Error("result does not open; the job is reported as failed", service.Err(err))
		result = ledger.Result{State: ledger.Failed, FailureReason: ledger.ReasonSystem}
	}
	for !t.gone && t.acked < rec.TraceSize {
		if !t.patch(ctx) && !t.gone {
			t.failures++
			if !retry.Sleep(ctx, backoff.Backoff(t.failures)) {
				return false
			}
		}
	}
	if !t.gone && !t.reportFinal(ctx, rec, result) {
		return false
	}
	if err := t.k.Ledger.MarkReported(ctx, t.id); err != nil {
		t.log.Warn("job not marked as reported", service.Err(err))
		return false
	}
	t.k.Metrics.reported(result.State)
	t.log.Info("job reported", "state", result.State, "reason", result.FailureReason, "exit_code", result.ExitCode, "log_bytes", rec.TraceSize)
	return true
}

// reportFinal sends the final state once and says whether GitLab took it.
func (t *tender) reportFinal(ctx context.Context, rec ledger.Record, result ledger.Result) bool {
	sum, err := t.checksum(ctx, rec.TraceSize)
	if err != nil {
		retry.Sleep(ctx, look)
		return false
	}
	u := gitlab.Update{State: result.State, Checksum: sum, Size: rec.TraceSize}
	if u.State == ledger.Failed {
		u.FailureReason, u.ExitCode = gitlab.Reason(result.FailureReason, t.job.Features.FailureReasons), result.ExitCode
	}
	r := t.k.GitLab.UpdateJob(ctx, t.id, t.token, u)
	switch r.Outcome {
	case gitlab.UpdateAccepted, gitlab.UpdateJobGone:
		return true
	case gitlab.UpdateWait:
		retry.Sleep(ctx, max(r.Interval, time.Second))
	case gitlab.UpdateResend:
		t.acked = 0
	default:
		t.failures++
		t.log.Warn("final state not accepted; Towline sends it again", service.Err(r.Why))
		retry.Sleep(ctx, max(r.Interval, backoff.Backoff(t.failures)))
	}
	return false
}

// checksum is the CRC-32 of the whole trace as GitLab wants it (section 8.1).
func (t *tender) checksum(ctx context.Context, size int64) (string, error) {
	var sum uint32
	for at := int64(0); at < size; {
		data, err := t.k.Ledger.Trace(ctx, t.id, at, gitlab.MaxPatch)
		if err != nil {
			return "", err
		}
		if len(data) == 0 {
			return "", fmt.Errorf("trace ends at %d of %d bytes", at, size)
		}
		sum = crc32.Update(sum, crc32.IEEETable, data)
		at += int64(len(data))
	}
	return fmt.Sprintf("crc32:%08x", sum), nil
}
