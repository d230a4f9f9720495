package report

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

// begun is a running job whose first line GitLab has, took after it was written.
func begun(t *testing.T) (b *bench, took time.Duration) {
	t.Helper()
	b = newBench(t)
	k := b.keeper("t1")
	b.start(k)
	b.accept()
	k.Adopt(id)
	b.claim("r1")
	b.must(b.Start(t.Context(), id, "r1"))
	began := time.Now()
	b.write("first line\n")
	b.eventually("the first bytes are there", func() bool { return b.git.trace() == "first line\n" })
	return b, time.Since(began)
}

func TestTheWholeWay(t *testing.T) {
	t.Parallel()
	b, took := begun(t)
	for n := 0; n < 5 && took > firstInterval/2; n++ { // this machine may stand still
		_, took = begun(t)
	}
	if took > firstInterval/2 {
		t.Errorf("the first bytes took %s", took)
	}
	b.write("last line\n")
	b.finish(ledger.Result{State: ledger.Success})
	b.eventually("the job is reported", func() bool { return b.state() == ledger.Reported })
	if b.git.trace() != "first line\nlast line\n" || *b.git.ended() != (gitlab.Update{State: "success", Checksum: b.git.ended().Checksum, Size: 21}) {
		t.Errorf("log %q, final %+v", b.git.trace(), b.git.ended())
	}
	b.eventually("it is off the list", func() bool { ids, err := b.Active(t.Context(), 10); return err == nil && len(ids) == 0 })
	if strings.Contains(b.lines.String(), jobToken) {
		t.Error("the token was logged")
	}
}

func TestFailedJobIsReportedWithCodeAndReason(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		in   ledger.Result
		want gitlab.Update
	}{
		"script":     {ledger.Result{State: ledger.Failed, FailureReason: ledger.ReasonScript, ExitCode: 42}, gitlab.Update{State: "failed", FailureReason: "script_failure", ExitCode: 42}},
		"no reason":  {ledger.Result{State: ledger.Failed, ExitCode: 1}, gitlab.Update{State: "failed", FailureReason: "script_failure", ExitCode: 1}},
		"known":      {ledger.Result{State: ledger.Failed, FailureReason: ledger.ReasonDependency}, gitlab.Update{State: "failed", FailureReason: "runner_external_dependency_failure"}},
		"not known":  {ledger.Result{State: ledger.Failed, FailureReason: ledger.ReasonConfiguration}, gitlab.Update{State: "failed", FailureReason: "script_failure"}},
		"good is 0 ": {ledger.Result{State: ledger.Success, FailureReason: "x", ExitCode: 3}, gitlab.Update{State: "success"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.running()
			b.write("x")
			b.finish(tt.in)
			if !b.step(b.tender()) {
				t.Fatal("not done")
			}
			got := *b.git.ended()
			got.Checksum, got.Size = "", 0
			if got != tt.want {
				t.Errorf("final %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestAScanFindsWhatNobodyAdopted(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.running()
	b.write("log\n")
	b.finish(ledger.Result{State: ledger.Success})
	b.start(b.keeper("t1"))
	b.eventually("the job is reported", func() bool { return b.state() == ledger.Reported })
}

func TestAnotherKeeperGoesOnAtTheAckedOffset(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.running()
	b.write("0123456789")
	stop := b.start(b.keeper("t1"))
	b.eventually("the first piece is there", func() bool { return b.record().Acked == 10 })
	stop()
	b.write("abc")
	b.finish(ledger.Result{State: ledger.Success})
	b.start(b.keeper("t2"))
	b.eventually("the job is reported", func() bool { return b.state() == ledger.Reported })
	if len(b.git.offsets) != 2 || b.git.offsets[1] != 10 || b.git.trace() != "0123456789abc" {
		t.Errorf("offsets %v, log %q", b.git.offsets, b.git.trace())
	}
}

// GitLab may hold more than was written down before the tunnel died.
func TestAnotherKeeperFollowsTheRewind(t *testing.T) {
	t.Parallel()
	for name, held := range map[string]string{"more": "0123456", "less": "01"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.running()
			b.write("0123456789")
			b.must(b.Acked(t.Context(), id, 5))
			b.git.log = []byte(held)
			b.finish(ledger.Result{State: ledger.Success})
			b.start(b.keeper("t2"))
			b.eventually("the job is reported", func() bool { return b.state() == ledger.Reported })
			if b.git.trace() != "0123456789" {
				t.Errorf("log %q", b.git.trace())
			}
		})
	}
}

func TestTwoKeepersNeverBothSend(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var owner string
	var sent time.Time
	b.git.every = 10 * time.Millisecond
	b.git.patch = func(int64, []byte) gitlab.PatchResult { // one at a time, as strict itself sees to
		who := b.redis.Get(context.Background(), b.prefix+":{1001}:owner").Val()
		if owner != "" && owner != who && time.Since(sent) < ownFor/2 { // whoever stands still for longer has lost it
			t.Errorf("%q sends after %s", who, owner)
		}
		owner, sent = who, time.Now()
		return gitlab.PatchResult{} // strict itself sees two at once
	}
	b.running()
	for _, name := range []string{"t1", "t2", "t3"} {
		k := b.keeper(name)
		b.start(k)
		k.Adopt(id)
	}
	late, soon := 0, 0
	for soon < 10 && late < 50 { // this machine may stand still now and then
		began := time.Now()
		b.write("line\n")
		b.eventually("it is there", func() bool { return b.git.trace() == b.full() })
		if time.Since(began) > look/2 {
			late++
		} else {
			soon++
		}
	}
	if soon < 10 {
		t.Errorf("%d of %d pieces wait for the next look instead of the interval", late, late+soon)
	}
	b.finish(ledger.Result{State: ledger.Success})
	b.eventually("the job is reported", func() bool { return b.state() == ledger.Reported })
	if n := b.git.count("PUT success"); n != 1 {
		t.Errorf("%d final states", n)
	}
}

func TestALostOwnerIsReplaced(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.running()
	owned, err := b.Own(t.Context(), id, "dead", 500*time.Millisecond)
	if err != nil || !owned {
		t.Fatal(err)
	}
	b.start(b.keeper("t2"))
	b.finish(ledger.Result{State: ledger.Success})
	b.eventually("the job is reported", func() bool { return b.state() == ledger.Reported })
}

// A tunnel that cannot renew its ownership stops before another one may begin.
func TestOwnershipEndsWithRedis(t *testing.T) {
	t.Parallel()
	redis := redistest.Private(t)
	b := benchOn(t, redis)
	k := b.keeper("t1")
	b.must(redis.Stop())
	var took time.Duration
	for range 3 { // a busy machine may hold up one
		began := time.Now()
		k.renew(t.Context(), id)
		if took = time.Since(began); took <= ownFor {
			return
		}
	}
	t.Errorf("gave up after %s, want less than %s", took, ownFor)
}

func TestOwnershipThatAnotherTookEnds(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if owned, err := b.Own(t.Context(), id, "other", time.Minute); err != nil || !owned {
		t.Fatal(err)
	}
	b.keeper("t1").renew(t.Context(), id)
}

func TestRedisAwayForAMoment(t *testing.T) {
	t.Parallel()
	redis := redistest.Private(t)
	b := benchOn(t, redis)
	b.running()
	b.write("before\n")
	b.start(b.keeper("t1"))
	b.eventually("the first piece is there", func() bool { return b.git.trace() == "before\n" })
	b.must(redis.Pause())
	b.eventually("redis hangs", func() bool { return b.Ping(t.Context()) != nil })
	b.must(redis.Resume())
	b.eventually("redis is back", func() bool { return b.Ping(t.Context()) == nil })
	b.write("after\n")
	b.finish(ledger.Result{State: ledger.Success})
	b.eventually("the job is reported", func() bool { return b.state() == ledger.Reported })
	if b.git.trace() != "before\nafter\n" {
		t.Errorf("log %q", b.git.trace())
	}
}

func TestRedisThatLostTheJobEndsTheCare(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.running()
	k := b.keeper("t1")
	b.start(k)
	b.eventually("it is tended", func() bool { return b.git.count("PUT running") > 0 })
	b.must(b.redis.Del(t.Context(), b.prefix+":{1001}", b.prefix+":{1001}:payload").Err())
	b.eventually("nobody tends it", func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		_, seen := k.failed[id]
		if seen { // it has been so for a while
			k.failed[id] = time.Now().Add(-orphanAfter)
		}
		return seen
	})
	b.eventually("it is dropped", func() bool {
		ids, err := b.Active(t.Context(), 10)
		return err == nil && len(ids) == 0
	})
}

func TestTamperedPayloadIsDroppedAfterAWhile(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(b *bench){
		"changed": func(b *bench) {
			b.must(b.redis.Set(t.Context(), b.prefix+":{1001}:payload", "nonsense", 0).Err())
		},
		"of another job": func(b *bench) {
			sealed, err := ledger.SealPayload(b.box, 7, payload())
			b.must(err)
			b.must(b.redis.Set(t.Context(), b.prefix+":{1001}:payload", sealed, 0).Err())
		},
		"gone": func(b *bench) { b.must(b.redis.Del(t.Context(), b.prefix+":{1001}:payload").Err()) },
		"not a job": func(b *bench) {
			sealed, err := ledger.SealPayload(b.box, id, []byte(`{"id":"x"}`))
			b.must(err)
			b.must(b.redis.Set(t.Context(), b.prefix+":{1001}:payload", sealed, 0).Err())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.running()
			damage(b)
			k := b.keeper("t1")
			k.keep(t.Context(), id, nil)
			if ids, err := b.Active(t.Context(), 10); err != nil || len(ids) != 1 {
				t.Fatalf("dropped at once: %v, %v", ids, err)
			}
			k.failed[id] = time.Now().Add(-orphanAfter)
			k.keep(t.Context(), id, nil)
			if ids, err := b.Active(t.Context(), 10); err != nil || len(ids) != 0 || len(k.failed) != 0 {
				t.Errorf("not dropped: %v, %v", ids, err)
			}
			if len(b.git.calls) > 0 || b.lines.count("GitLab's own timeout will close it") != 1 {
				t.Errorf("calls %v, log %s", b.git.calls, b.lines)
			}
		})
	}
}

func TestFirstSightsOfOrphansAreForgotten(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	k := b.keeper("t1")
	long := time.Now().Add(-time.Hour)
	k.failed[5] = long // reported meanwhile
	k.scan(t.Context())
	if len(k.failed) != 0 {
		t.Error("an old sight is kept for ever")
	}
	b.running()
	b.finish(ledger.Result{State: ledger.Success})
	k.failed[id] = long // its payload had not been written yet
	k.keep(t.Context(), id, nil)
	if len(k.failed) != 0 {
		t.Error("the sight of a job that is well is kept")
	}
}

func TestNoGoroutineIsLeft(t *testing.T) {
	before := runtime.NumGoroutine()
	b := newBench(t)
	for range 3 {
		k := b.keeper("t1")
		stop := b.start(k)
		if b.state() == "unknown" {
			b.running()
		}
		b.eventually("it is tended", func() bool { k.mu.Lock(); defer k.mu.Unlock(); return len(k.tended) == 1 })
		stop()
		if len(k.tended) != 0 {
			t.Error("still tended")
		}
	}
	if owned, err := b.Own(t.Context(), id, "t9", time.Second); err != nil || !owned {
		t.Errorf("the job was not handed over: %v", err)
	}
	b.eventually("all goroutines end", func() bool { return runtime.NumGoroutine() <= before+4 }) // the Redis clients have some
}

func TestPolicyAwayForAWhile(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var n atomic.Int32
	b.decide = func(ctx context.Context, b *bench) error {
		if n.Add(1) < 3 {
			return errors.New("policy is not available")
		}
		return b.Enqueue(ctx, id, []byte("warrant"))
	}
	b.accept()
	b.start(b.keeper("t1"))
	b.eventually("the job is queued", func() bool { return b.state() == ledger.Queued })
}
