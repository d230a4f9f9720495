package report

import (
	"context"
	"fmt"
	"hash/crc32"
	"sync"
	"time"

	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

// patchIfDue sends new bytes of the trace: the first at once, then one piece per
// interval. One that came to nothing does not wait for a long interval: while
// nobody watches the job, that is a minute.
func (t *tender) patchIfDue(ctx context.Context, rec ledger.Record) {
	if t.gone || rec.TraceSize <= t.acked || time.Now().Before(t.nextPatch) {
		return
	}
	var pause time.Duration
	switch t.patch(ctx) {
	case gitlab.PatchAccepted:
		pause = t.interval
	case gitlab.PatchTooLarge: // the next is smaller
	default:
		t.failures++
		pause = max(t.asked, min(t.interval, firstInterval+backoff.Backoff(t.failures)))
	}
	t.nextPatch = time.Now().Add(pause)
}

// read reads the next piece of the trace. That Redis does not give it is said
// once.
func (t *tender) read(ctx context.Context) []byte {
	data, err := t.k.Ledger.Trace(ctx, t.id, t.acked, t.piece)
	if err == nil && len(data) == 0 {
		err = fmt.Errorf("it ends before byte %d", t.acked)
	}
	if err != nil && !t.blind && ctx.Err() == nil {
		t.log.Warn("log not read from redis; Towline tries again", service.Err(err))
	}
	t.blind = err != nil
	return data
}

// patch sends one piece and says what came of it. PatchTooLarge means that the
// next is going to be smaller.
func (t *tender) patch(ctx context.Context) gitlab.PatchOutcome {
	t.asked = 0
	data := t.read(ctx)
	if len(data) == 0 {
		return gitlab.PatchRetry
	}
	var r gitlab.PatchResult
	t.pulseBeside(ctx, func() {
		r = t.k.GitLab.PatchTrace(ctx, t.id, t.token, t.acked, data, t.job.Debug())
	})
	if r.Outcome == gitlab.PatchTooLarge {
		r.Outcome = t.halve(int64(len(data)), r.Why)
	}
	t.nextPulse = time.Now().Add(pulse)
	t.obey(ctx, r.Status, r.Outcome == gitlab.PatchJobGone)
	switch r.Outcome {
	case gitlab.PatchAccepted, gitlab.PatchRewind:
		t.took(ctx, r)
		if r.Outcome == gitlab.PatchAccepted {
			t.failures, t.refused = 0, 0
			t.k.Metrics.patched(len(data))
		}
	case gitlab.PatchRefused:
		t.asked = r.Interval
		t.log.Warn("GitLab refuses a piece of the log", service.Err(r.Why), "bytes", len(data))
	case gitlab.PatchRetry:
		t.asked = r.Interval
		t.log.Warn("log not sent; Towline sends it again", service.Err(r.Why))
	case gitlab.PatchTooLarge, gitlab.PatchJobGone: // halve and obey have seen to it
	}
	return r.Outcome
}

// took notes how much of the trace GitLab holds, and how often it wants more.
func (t *tender) took(ctx context.Context, r gitlab.PatchResult) {
	t.acked = r.Size
	if r.Interval > 0 {
		t.interval = r.Interval
	}
	if err := t.k.Ledger.Acked(ctx, t.id, t.acked); err != nil {
		t.log.Debug("acknowledged size not stored", service.Err(err))
	}
}

// halve makes do with smaller pieces for the rest of the job, down to some size:
// then a piece is refused for another reason, whatever the answer says.
func (t *tender) halve(size int64, why error) gitlab.PatchOutcome {
	if size <= smallestPiece {
		return gitlab.PatchRefused
	}
	if t.piece == gitlab.MaxPatch {
		t.log.Warn("a piece of the log is too large for GitLab, or for a proxy in between that should take bodies of 1 MiB; Towline sends smaller ones", service.Err(why), "bytes", size)
	}
	t.piece = max(size/2, smallestPiece)
	return gitlab.PatchTooLarge
}

// pulseIfDue keeps the job alive at GitLab and learns of cancellation.
func (t *tender) pulseIfDue(ctx context.Context) {
	if t.gone || time.Now().Before(t.nextPulse) {
		return
	}
	r := t.k.GitLab.UpdateJob(ctx, t.id, t.token, gitlab.Update{State: "running"})
	if r.Outcome == gitlab.UpdateRetry && ctx.Err() != nil {
		return // that says nothing of GitLab
	}
	pause := pulse
	if t.noPulse++; r.Outcome != gitlab.UpdateRetry && r.Outcome != gitlab.UpdateRefused {
		t.noPulse = 0
	} else {
		pause = max(pause, r.Interval, backoff.Backoff(t.noPulse))
	}
	t.nextPulse = time.Now().Add(pause)
	t.obey(ctx, r.Status, r.Outcome == gitlab.UpdateJobGone)
}

// pulseBeside goes on with the pulses while a call takes longer than one: a slow
// line, or a call that nobody answers, must not hold up the word that the job is
// cancelled. Nothing else of the tender is touched meanwhile.
func (t *tender) pulseBeside(ctx context.Context, call func()) {
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() {
		for wait := max(pulse, time.Until(t.nextPulse)); !t.gone && retry.Sleep(ctx, wait); wait = time.Until(t.nextPulse) {
			t.pulseIfDue(ctx)
		}
	})
	call()
	cancel()
	beside.Wait()
}

// obey carries GitLab's word to the runner.
func (t *tender) obey(ctx context.Context, s gitlab.Status, gone bool) {
	switch {
	case gone || s.Over():
		t.gone = true
		t.pass(ctx, ledger.CancelAbort)
	case s == gitlab.StatusCanceling:
		t.pass(ctx, ledger.CancelGraceful)
	}
}

// pass writes a cancellation down for the runner, unless it stands there.
func (t *tender) pass(ctx context.Context, reason string) {
	if t.canceled == reason {
		return
	}
	if err := t.k.Ledger.Cancel(ctx, t.id, reason); err != nil {
		t.log.Warn("cancellation not passed on", service.Err(err))
		return
	}
	t.canceled = reason
	t.log.Info("job cancelled in GitLab", "how", reason)
}

// finish sends the rest of the trace and the final state until GitLab has both.
func (t *tender) finish(ctx context.Context, rec ledger.Record) (done bool) {
	result, err := ledger.OpenJSON[ledger.Result](t.k.Seal, t.id, rec.Result)
	if err != nil {
		t.log.Error("result does not open; the job is reported as failed", service.Err(err))
		result = ledger.Result{State: ledger.Failed, FailureReason: ledger.ReasonSystem}
	}
	t.result, t.missed = &result, 0
	if !t.told && !t.gone && !t.sendRest(ctx, rec) {
		return false
	}
	return t.end(ctx, rec.TraceSize, result)
}

// lost deals with a job that Redis does not know any more; true means that the
// job needs no more care. A runner that is still at it announces it again. How a
// finished one ended nobody knows but this tender, and GitLab is to hear it.
func (t *tender) lost(ctx context.Context) (done bool) {
	if t.result == nil {
		return true // the next scans see to what is left of it
	}
	if t.missed++; t.missed < lostLooks {
		retry.Sleep(ctx, look)
		return false
	}
	if !t.unsure {
		t.unsure = true
		t.log.Error("redis has lost the rest of the log; the final state is sent without it", "sent_bytes", t.acked)
	}
	return t.end(ctx, t.acked, *t.result)
}

// end sends the final state until GitLab has it, and lets go of the job.
func (t *tender) end(ctx context.Context, size int64, result ledger.Result) (done bool) {
	if !t.told && !t.gone && !t.reportFinal(ctx, size, result) {
		return false
	}
	if err := t.k.Ledger.MarkReported(ctx, t.id); err != nil {
		t.log.Warn("job not marked as reported", service.Err(err))
		t.stumble(ctx)
		return false
	}
	if t.gone {
		t.k.Metrics.reported("gone")
		t.log.Info("job is over at GitLab; dropped")
		return true
	}
	t.k.Metrics.reported(result.State)
	t.log.Info("job reported", "state", result.State, "reason", result.FailureReason, "exit_code", result.ExitCode, "log_bytes", size)
	return true
}

// sendRest sends what GitLab does not hold yet of the trace. When a piece does
// not get there it waits and gives up, for the record may have changed: the next
// step goes on. If GitLab answers and keeps refusing, the final state goes out
// without the rest: a job without the end of its log is better than one without
// an end.
func (t *tender) sendRest(ctx context.Context, rec ledger.Record) bool {
	for t.acked < rec.TraceSize {
		switch t.patch(ctx) {
		case gitlab.PatchAccepted, gitlab.PatchTooLarge:
			continue
		case gitlab.PatchJobGone:
			return true
		case gitlab.PatchRefused, gitlab.PatchRewind:
			if t.refused++; t.refused >= logTries {
				t.log.Error("GitLab does not take the rest of the log; the final state is sent without it", "log_bytes", rec.TraceSize, "sent_bytes", t.acked)
				return true
			}
		case gitlab.PatchRetry:
		}
		t.stumble(ctx)
		return false
	}
	return true
}

// reportFinal sends the final state once and says whether GitLab took it.
func (t *tender) reportFinal(ctx context.Context, size int64, result ledger.Result) bool {
	u := gitlab.Update{State: result.State}
	if !t.unsure {
		sum, err := t.checksum(ctx, size)
		if err != nil {
			retry.Sleep(ctx, look)
			return false
		}
		u.Checksum, u.Size = sum, size
	}
	if u.State == ledger.Failed {
		u.FailureReason, u.ExitCode = gitlab.Reason(result.FailureReason, t.job.Features.FailureReasons), result.ExitCode
	}
	r := t.k.GitLab.UpdateJob(ctx, t.id, t.token, u)
	t.asked = r.Interval
	switch r.Outcome {
	case gitlab.UpdateAccepted:
		t.told = true
		return true
	case gitlab.UpdateJobGone:
		t.gone = true
		return true
	case gitlab.UpdateWait:
		retry.Sleep(ctx, max(r.Interval, time.Second))
	case gitlab.UpdateResend:
		return t.resend(ctx)
	case gitlab.UpdateRefused:
		return t.refuse(ctx, r.Why)
	default:
		t.log.Warn("final state not accepted; Towline sends it again", service.Err(r.Why))
		t.stumble(ctx)
	}
	return false
}

// resend begins the trace anew, some times.
func (t *tender) resend(ctx context.Context) (done bool) {
	switch t.resends++; {
	case t.resends <= resendTries:
		t.acked = 0
		t.log.Warn("GitLab wants the whole log again")
		retry.Sleep(ctx, backoff.Backoff(t.resends))
	case !t.unsure:
		t.unsure = true
		t.log.Error("GitLab keeps asking for the whole log; the final state is sent without a checksum")
	default:
		return t.refuse(ctx, errNeverRight)
	}
	return false
}

// refuse counts a final state that GitLab did not take; true means that it is
// not offered again.
func (t *tender) refuse(ctx context.Context, why error) (done bool) {
	if t.refusals++; t.refusals >= finalTries {
		t.log.Error("GitLab does not take the final state; its own timeout will close the job", service.Err(why))
		t.gone = true
		return true
	}
	t.log.Warn("GitLab refuses the final state; Towline sends it again", service.Err(why))
	t.stumble(ctx)
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
