package report

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

// limited is a proxy that takes no bodies over limit.
func limited(limit int) func(int64, []byte) gitlab.PatchResult {
	return func(_ int64, data []byte) gitlab.PatchResult {
		if len(data) > limit {
			return gitlab.PatchResult{Outcome: gitlab.PatchTooLarge, Why: errors.New("413")}
		}
		return gitlab.PatchResult{}
	}
}

func TestPiecesThatAreTooLargeAreHalved(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.running()
	b.git.patch = limited(300 << 10)
	td := b.tender()
	b.write(strings.Repeat("0123456789abcde\n", 1<<14)) // 256 KiB
	b.write(strings.Repeat("0123456789abcde\n", 1<<14))
	b.step(td)
	if td.nextPatch.After(time.Now()) {
		t.Error("the smaller piece waits for the interval")
	}
	b.step(td)
	b.write(strings.Repeat("0123456789abcde\n", 1<<14))
	b.finish(ledger.Result{State: ledger.Success})
	if !b.step(td) || b.git.ended() == nil {
		t.Fatal("not done")
	}
	if diff := cmp.Diff([]int{512 << 10, 256 << 10, 256 << 10, 256 << 10}, b.git.pieces); diff != "" {
		t.Error(diff)
	}
	if n := b.lines.count("too large for GitLab"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

// What refuses the smallest piece for its size refuses everything.
func TestNoPieceIsSmallEnough(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.running()
	b.git.patch = limited(0)
	b.git.put = func(gitlab.Update) gitlab.UpdateResult { return gitlab.UpdateResult{Outcome: gitlab.UpdateAccepted} }
	b.write(strings.Repeat("x", 3000))
	b.finish(ledger.Result{State: ledger.Success})
	td := b.tender()
	td.refused = logTries - 1
	if !b.step(td) || b.state() != ledger.Reported {
		t.Fatalf("job is %s", b.state())
	}
	if diff := cmp.Diff([]string{"PATCH 0+3000", "PATCH 0+1500", "PATCH 0+1024", "PUT success"}, b.git.told()); diff != "" {
		t.Error(diff)
	}
}

// What did not get through is sent again soon, however long the interval is.
func TestATransientFailureCostsNoInterval(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]gitlab.PatchResult{
		"no answer": {Outcome: gitlab.PatchRetry, Why: errors.New("reset")},
		"refused":   {Outcome: gitlab.PatchRefused, Why: errors.New("404")},
		"rewind":    {Outcome: gitlab.PatchRewind},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.running()
			b.write("a")
			td := b.tender()
			td.interval, td.asked = time.Minute, time.Hour
			b.git.patch = func(int64, []byte) gitlab.PatchResult { return r }
			b.step(td)
			if d := time.Until(td.nextPatch); d > firstInterval+2*time.Second {
				t.Errorf("sent again in %s", d)
			}
		})
	}
}

func TestRedisFailsWhileATraceIsRead(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.running()
	b.write("a")
	td := b.tender()
	td.interval, td.asked, td.nextPulse = time.Minute, time.Hour, time.Now().Add(time.Minute)
	rec := b.record()
	b.must(b.redis.Del(t.Context(), b.prefix+":{1001}:trace").Err())
	for range 2 {
		td.nextPatch = time.Time{}
		td.step(t.Context(), rec)
	}
	if d := time.Until(td.nextPatch); d > firstInterval+3*time.Second || len(b.git.calls) != 0 {
		t.Errorf("tried again in %s, calls %v", d, b.git.calls)
	}
	if n := b.lines.count("log not read from redis"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

// Redis may lose its data while the rest of a log is sent: nobody waits then for
// bytes that never come, and GitLab hears how the job ended.
func TestRedisLosesAFinishedJob(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.running()
	b.write("log\n")
	b.finish(ledger.Result{State: ledger.Failed, FailureReason: ledger.ReasonScript, ExitCode: 3})
	td := b.tender()
	b.git.patch = func(int64, []byte) gitlab.PatchResult {
		b.must(b.redis.Del(context.Background(), b.prefix+":{1001}", b.prefix+":{1001}:trace", b.prefix+":{1001}:payload").Err())
		return gitlab.PatchResult{Outcome: gitlab.PatchRetry, Why: errors.New("reset")}
	}
	var last gitlab.Update
	b.git.put = func(u gitlab.Update) gitlab.UpdateResult {
		if u.State != "running" {
			last = u
		}
		return gitlab.UpdateResult{Outcome: gitlab.UpdateAccepted}
	}
	td.run(t.Context())
	if diff := cmp.Diff([]string{"PATCH 0+4", "PUT failed"}, b.git.told()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(gitlab.Update{State: "failed", FailureReason: "script_failure", ExitCode: 3}, last); diff != "" {
		t.Error(diff)
	}
	if n := b.redis.ZCard(t.Context(), b.prefix+":jobs").Val(); n != 0 {
		t.Errorf("%d jobs are left", n)
	}
}

// A job that Redis does not know for a moment may be announced again by its
// runner just now: it must stay on the list.
func TestALostJobStaysOnTheListForItsRunner(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.running()
	td := b.tender()
	b.must(b.redis.Del(t.Context(), b.prefix+":{1001}").Err())
	td.run(t.Context())
	if ids, err := b.Active(t.Context(), 10); err != nil || len(ids) != 1 || len(b.git.calls) != 0 {
		t.Errorf("on the list: %v, %v; calls %v", ids, err, b.git.calls)
	}
}

// A GitLab, or what stands before it, that is never content with a log gets the
// state without a checksum, and is then left alone.
func TestTheWholeLogAgainAndAgain(t *testing.T) {
	t.Parallel()
	for name, stubborn := range map[string]bool{"content without a checksum": false, "never content": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.running()
			b.write("log\n")
			b.finish(ledger.Result{State: ledger.Success})
			var last gitlab.Update
			b.git.put = func(u gitlab.Update) gitlab.UpdateResult {
				if u.State == "running" {
					return gitlab.UpdateResult{}
				}
				last = u
				if u.Checksum == "" && !stubborn {
					return gitlab.UpdateResult{Outcome: gitlab.UpdateAccepted}
				}
				b.git.set(func() { b.git.log = nil })
				return gitlab.UpdateResult{Outcome: gitlab.UpdateResend}
			}
			td := b.tender()
			td.resends = resendTries
			td.refusals = finalTries - 1
			td.run(t.Context())
			if b.state() != ledger.Reported || last.Checksum != "" || last.Size != 0 || td.gone != stubborn {
				t.Errorf("job is %s, gone %t, last %+v", b.state(), td.gone, last)
			}
			if n, want := b.git.count("PATCH 0+4"), 1; n != want {
				t.Errorf("the log was sent %d times, want %d", n, want)
			}
		})
	}
}

// While a piece is under way for long the job may be cancelled, and the script is
// to stop then.
func TestACancelOvertakesASlowPiece(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]gitlab.Status{ledger.CancelGraceful: gitlab.StatusCanceling, ledger.CancelAbort: gitlab.StatusCanceled} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.running()
			b.write("log\n")
			b.git.patch = func(int64, []byte) gitlab.PatchResult {
				b.git.set(func() { b.git.status = status })
				b.eventually("the runner is told", func() bool { return b.record().Cancel == name })
				return gitlab.PatchResult{Outcome: gitlab.PatchRetry, Why: errors.New("nobody answers")}
			}
			td := b.tender()
			b.step(td)
			if td.gone != (name == ledger.CancelAbort) || td.noPulse != 0 {
				t.Errorf("gone %t, %d pulses unanswered", td.gone, td.noPulse)
			}
		})
	}
}
