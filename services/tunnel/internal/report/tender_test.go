package report

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/pkg/joblines/linestest"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

func TestLostRunnerBeforeTheScriptGivesTheJobBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.accept()
	b.must(b.Enqueue(t.Context(), id, []byte("warrant")))
	_, err := b.Next(t.Context(), 0)
	b.must(err)
	b.claim("r1")
	b.loseLease()
	td := b.tender()
	b.step(td)
	if b.state() != ledger.Claimed {
		t.Fatalf("job is %s: a runner that lost Redis for a moment comes back", b.state())
	}
	td.unleased = time.Now().Add(-lostAfter)
	b.waited(time.Hour) // how long it waited before does not count
	b.step(td)
	b.step(td)
	if b.state() != ledger.Queued {
		t.Fatalf("job is %s", b.state())
	}
	if next, err := b.Next(t.Context(), 0); err != nil || next != id {
		t.Errorf("queue: %d, %v", next, err)
	}
	b.claim("r2")
	b.step(td)
	if !td.unleased.IsZero() {
		t.Error("the new runner counts as lost")
	}
}

func TestLostRunnerDuringTheScriptEndsTheJob(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.running()
	b.write("working\n")
	td := b.tender()
	b.step(td)
	b.loseLease()
	b.step(td)
	td.unleased = td.unleased.Add(-lostAfter)
	b.step(td)
	if !b.step(td) || b.state() != ledger.Reported {
		t.Fatalf("job is %s", b.state())
	}
	const want = "working\n\x1b[31;1mERROR: Job failed (system failure): the runner stopped while the script was running; the job is not started again, since its commands may have taken effect\x1b[0;m\n"
	if linestest.Bare(b.git.trace()) != want || b.git.ended().FailureReason != ledger.ReasonSystem || b.git.ended().ExitCode != 0 {
		t.Errorf("log %q, final %+v", b.git.trace(), b.git.ended())
	}
}

func TestARunnerThatComesBackKeepsItsJob(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.running()
	td := b.tender()
	b.loseLease()
	b.step(td)
	_, err := b.Renew(t.Context(), id, "r1", lease)
	b.must(err)
	b.step(td)
	if !td.unleased.IsZero() || b.state() != ledger.Running {
		t.Errorf("job is %s, lost since %s", b.state(), td.unleased)
	}
}

func TestQueuedTooLong(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.accept()
	b.must(b.Enqueue(t.Context(), id, []byte("warrant")))
	td := b.tender()
	b.step(td)
	b.waited(td.k.Wait + 2*time.Second)
	b.step(td)
	if !b.step(td) {
		t.Fatalf("job is %s", b.state())
	}
	if !strings.Contains(b.git.trace(), "(system failure): no runner took the job within 1m0s") || b.git.ended().FailureReason != ledger.ReasonSystem {
		t.Errorf("log %q, final %+v", b.git.trace(), b.git.ended())
	}
}

func TestQueueIsRepaired(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.accept()
	b.must(b.Enqueue(t.Context(), id, []byte("warrant")))
	_, err := b.Next(t.Context(), 0) // by a runner that died before it claimed
	b.must(err)
	td := b.tender()
	b.waited(repairAfter + 2*time.Second)
	b.step(td)
	b.step(td)
	if n := b.redis.LLen(t.Context(), b.prefix+":queue").Val(); n != 1 {
		t.Errorf("%d entries in the queue", n)
	}
}

// A decision that never comes must not leave the job running at GitLab.
func TestNoDecisionAtAll(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.decide = func(context.Context, *bench) error { return errors.New("policy is not available at 10.0.0.7") }
	b.accept()
	td := b.tender()
	b.step(td)
	if b.state() != ledger.Accepted {
		t.Fatalf("job is %s", b.state())
	}
	b.waited(admitWithin + 2*time.Second)
	b.step(td)
	if !b.step(td) {
		t.Fatalf("job is %s", b.state())
	}
	if log := b.git.trace(); !strings.Contains(log, "no decision about this job was possible within 5m0s") || strings.Contains(log, "10.0.0.7") {
		t.Errorf("log %q", log)
	}
	if b.git.ended().FailureReason != ledger.ReasonDependency {
		t.Errorf("final %+v", b.git.ended())
	}
}

func TestShutdownDuringADecisionEndsNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.decide = func(ctx context.Context, _ *bench) error { cancel(); return ctx.Err() }
	b.accept()
	b.waited(time.Hour)
	b.tender().admit(ctx, b.record())
	if b.state() != ledger.Accepted {
		t.Errorf("job is %s", b.state())
	}
}

func TestCancellation(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status gitlab.Status
		cancel string
		gone   bool
	}{
		"canceling": {gitlab.StatusCanceling, ledger.CancelGraceful, false},
		"canceled":  {gitlab.StatusCanceled, ledger.CancelAbort, true},
		"failed":    {gitlab.StatusFailed, ledger.CancelAbort, true},
	} {
		for _, by := range []string{"pulse", "patch"} {
			t.Run(name+" by "+by, func(t *testing.T) {
				t.Parallel()
				b := newBench(t)
				b.running()
				b.git.status = tt.status
				td := b.tender()
				if by == "patch" {
					b.write("x")
				}
				b.step(td)
				if got := b.record().Cancel; got != tt.cancel || td.gone != tt.gone {
					t.Fatalf("cancel %q, gone %t", got, td.gone)
				}
				if cancel, err := b.Renew(t.Context(), id, "r1", lease); err != nil || cancel != tt.cancel {
					t.Errorf("the runner learns %q, %v", cancel, err)
				}
				calls := len(b.git.calls)
				for range 3 {
					td.nextPulse, td.nextPatch = time.Time{}, time.Time{}
					b.step(td)
				}
				if made := len(b.git.calls) - calls; (made == 0) != tt.gone {
					t.Errorf("%d more calls", made)
				}
				if n := b.lines.count("job cancelled in GitLab"); n != 1 {
					t.Errorf("logged %d times", n)
				}
				b.finish(ledger.Result{State: ledger.Failed, FailureReason: ledger.ReasonCanceled})
				calls = len(b.git.calls)
				if !b.step(td) || b.state() != ledger.Reported {
					t.Errorf("job is %s", b.state())
				}
				if made := len(b.git.calls) - calls; (made == 0) != tt.gone {
					t.Errorf("%d calls at the end", made)
				}
			})
		}
	}
}

func TestCancellationThatStandsInTheRecordIsNoNews(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.running()
	b.must(b.Cancel(t.Context(), id, ledger.CancelGraceful)) // passed on by another tunnel
	b.git.status = gitlab.StatusCanceling
	b.start(b.keeper("t2"))
	b.eventually("two pulses", func() bool { return b.git.count("PUT running") >= 2 })
	if n := b.lines.count("job cancelled in GitLab"); n != 0 || b.record().Cancel != ledger.CancelGraceful {
		t.Errorf("logged %d times, cancel %q", n, b.record().Cancel)
	}
}

func TestAbortFollowsACancel(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.running()
	td := b.tender()
	b.git.status = gitlab.StatusCanceling
	b.step(td)
	b.git.status, td.nextPulse = gitlab.StatusCanceled, time.Time{}
	b.step(td)
	if got := b.record().Cancel; got != ledger.CancelAbort {
		t.Errorf("cancel %q", got)
	}
}

// Redis may not take the word of a job that is gone; the runner must learn it
// all the same.
func TestAbortIsPassedOnUntilRedisTakesIt(t *testing.T) {
	t.Parallel()
	redis := redistest.Private(t)
	b := benchOn(t, redis)
	b.running()
	b.git.status = gitlab.StatusCanceled
	td := b.tender()
	rec := b.record()
	b.must(redis.Pause())
	td.pulseIfDue(t.Context())
	b.must(redis.Resume())
	b.eventually("redis is back", func() bool { return b.Ping(t.Context()) == nil })
	if !td.gone {
		t.Fatal("not gone")
	}
	_ = b.redis.HDel(t.Context(), b.prefix+":{1001}", "cancel")
	td.canceled = ""
	td.step(t.Context(), rec)
	if got := b.record().Cancel; got != ledger.CancelAbort {
		t.Errorf("cancel %q", got)
	}
}

func TestCancelInTheQueue(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]gitlab.Status{"canceling": gitlab.StatusCanceling, "canceled": gitlab.StatusCanceled} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.accept()
			b.must(b.Enqueue(t.Context(), id, []byte("warrant")))
			b.git.status = status
			td := b.tender()
			for range 5 {
				if b.step(td) {
					break
				}
			}
			if b.state() != ledger.Reported {
				t.Fatalf("job is %s", b.state())
			}
			if final := b.git.ended(); (final != nil) != (status == gitlab.StatusCanceling) {
				t.Errorf("final %+v", final)
			}
			if status == gitlab.StatusCanceling && linestest.Bare(b.git.trace()) != "\x1b[31;1mERROR: Job failed: canceled before a runner took the job\x1b[0;m\n" {
				t.Errorf("log %q", b.git.trace())
			}
		})
	}
}

func TestClaimWinsOverClose(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.accept()
	b.must(b.Enqueue(t.Context(), id, []byte("warrant")))
	b.waited(time.Hour)
	rec := b.record()
	b.claim("r1")
	td := b.tender()
	td.step(t.Context(), rec)
	if b.state() != ledger.Claimed {
		t.Errorf("job is %s", b.state())
	}
}

func TestSilentJobStillPulses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.running()
	b.start(b.keeper("t1"))
	var least time.Duration
	b.eventually("three pulses, two of them within two pulses", func() bool { // this machine may stand still now and then
		b.git.mu.Lock()
		defer b.git.mu.Unlock()
		least = time.Hour
		for i := 1; i < len(b.git.at); i++ {
			least = min(least, b.git.at[i].Sub(b.git.at[i-1]))
		}
		return len(b.git.at) >= 3 && least <= 2*pulse
	})
	if least < pulse-50*time.Millisecond {
		t.Errorf("pulses come after %s at the least", least)
	}
	b.git.mu.Lock()
	defer b.git.mu.Unlock()
	if b.git.log != nil {
		t.Error("an empty piece was sent")
	}
}

func TestPulsesBackOff(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.running()
	td := b.tender()
	pause := func(r gitlab.UpdateResult) (most, least time.Duration) { // from the beginning of the pulse, and from its end
		b.git.put = func(gitlab.Update) gitlab.UpdateResult { return r }
		td.nextPulse = time.Time{}
		began := time.Now()
		td.pulseIfDue(t.Context())
		return td.nextPulse.Sub(began), time.Until(td.nextPulse)
	}
	down := gitlab.UpdateResult{Outcome: gitlab.UpdateRetry, Why: errors.New("502")}
	var most, least time.Duration
	for range 12 {
		most, least = pause(down)
	}
	if most < backoff.Max/2 || least > backoff.Max+time.Second {
		t.Errorf("pause during an outage %s to %s", least, most)
	}
	if p, _ := pause(gitlab.UpdateResult{Outcome: gitlab.UpdateRetry, Interval: time.Minute, Why: errors.New("429")}); p < time.Minute {
		t.Errorf("GitLab asked for a minute, got %s", p)
	}
	pause(gitlab.UpdateResult{Outcome: gitlab.UpdateAccepted})
	if _, p := pause(down); p > 2*pulse {
		t.Errorf("the first failure after an answer pauses %s", p)
	}
}
