package report

import (
	"context"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

// patchIfDue sends new bytes of the trace: the first at once, then one piece per
// interval.
func (t *tender) patchIfDue(ctx context.Context, rec ledger.Record) {
	if t.gone || rec.TraceSize <= t.acked || time.Now().Before(t.nextPatch) {
		return
	}
	t.patch(ctx)
	t.nextPatch = time.Now().Add(max(t.interval, t.asked))
}

// patch sends one piece and says whether GitLab took it.
func (t *tender) patch(ctx context.Context) bool {
	data, err := t.k.Ledger.Trace(ctx, t.id, t.acked, gitlab.MaxPatch)
	if err != nil || len(data) == 0 {
		return false
	}
	r := t.k.GitLab.PatchTrace(ctx, t.id, t.token, t.acked, data, t.job.Debug())
	t.asked = 0
	switch {
	case r.Outcome == gitlab.PatchRetry:
		t.asked = r.Interval
	case r.Interval > 0:
		t.interval = r.Interval
	}
	t.nextPulse = time.Now().Add(pulse)
	t.obey(ctx, r.Status, r.Outcome == gitlab.PatchJobGone)
	switch r.Outcome {
	case gitlab.PatchAccepted, gitlab.PatchRewind:
		t.acked = r.Size
		if err := t.k.Ledger.Acked(ctx, t.id, t.acked); err != nil {
			t.log.Debug("acknowledged size not stored", service.Err(err))
		}
		if r.Outcome == gitlab.PatchRewind {
			t.refused++
			return false
		}
		t.failures, t.refused = 0, 0
		t.k.Metrics.patched(len(data))
		return true
	case gitlab.PatchRefused:
		t.refused++
		t.log.Warn("GitLab refuses a piece of the log", service.Err(r.Why))
	case gitlab.PatchRetry:
		t.log.Warn("log not sent; Towline sends it again", service.Err(r.Why))
	case gitlab.PatchJobGone: // obey has seen to it
	}
	return false
}

// pulseIfDue keeps the job alive at GitLab and learns of cancellation.
func (t *tender) pulseIfDue(ctx context.Context) {
	if t.gone || time.Now().Before(t.nextPulse) {
		return
	}
	r := t.k.GitLab.UpdateJob(ctx, t.id, t.token, gitlab.Update{State: "running"})
	pause := max(pulse, r.Interval)
	if t.noPulse++; r.Outcome != gitlab.UpdateRetry && r.Outcome != gitlab.UpdateRefused {
		t.noPulse = 0
	} else {
		pause = max(pause, min(backoff.Backoff(t.noPulse), pulsePause))
	}
	t.nextPulse = time.Now().Add(pause)
	t.obey(ctx, r.Status, r.Outcome == gitlab.UpdateJobGone)
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
	if !t.told && !t.gone && !t.sendRest(ctx, rec) {
		return false
	}
	if !t.told && !t.gone && !t.reportFinal(ctx, rec, result) {
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
	t.log.Info("job reported", "state", result.State, "reason", result.FailureReason, "exit_code", result.ExitCode, "log_bytes", rec.TraceSize)
	return true
}

// sendRest sends what GitLab does not hold yet of the trace, and waits as long
// as GitLab is away. If GitLab answers and keeps refusing it, the final state goes
// out without: a job without the end of its log is better than one without an
// end.
func (t *tender) sendRest(ctx context.Context, rec ledger.Record) bool {
	for t.acked < rec.TraceSize {
		if t.patch(ctx) {
			continue
		}
		if t.gone {
			return true
		}
		if t.refused >= logTries {
			t.log.Error("GitLab does not take the rest of the log; the final state is sent without it", "log_bytes", rec.TraceSize, "sent_bytes", t.acked)
			return true
		}
		if !t.stumble(ctx) {
			return false
		}
	}
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
		t.acked = 0
		t.resends++
		t.log.Warn("GitLab wants the whole log again")
		retry.Sleep(ctx, backoff.Backoff(t.resends))
	case gitlab.UpdateRefused:
		if t.refusals++; t.refusals >= finalTries {
			t.log.Error("GitLab does not take the final state; its own timeout will close the job", service.Err(r.Why))
			t.gone = true
			return true
		}
		t.log.Warn("GitLab refuses the final state; Towline sends it again", service.Err(r.Why))
		t.stumble(ctx)
	default:
		t.log.Warn("final state not accepted; Towline sends it again", service.Err(r.Why))
		t.stumble(ctx)
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
