package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/towline/towline/pkg/eventually"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
)

// barrier lets a job wait for its test: the job asks for /api/<n> and gets no
// answer before the test has opened n.
type barrier struct {
	over   <-chan struct{}
	mu     sync.Mutex
	opened map[string]chan struct{}
	seen   map[string]bool
}

func newBarrier(tb testing.TB) *barrier {
	tb.Helper()
	return &barrier{over: tb.Context().Done(), opened: map[string]chan struct{}{}, seen: map[string]bool{}}
}

func (a *barrier) at(path string) chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.opened[path] == nil {
		a.opened[path] = make(chan struct{})
	}
	return a.opened[path]
}

// answer is what the API server does.
func (a *barrier) answer(path string) {
	a.mu.Lock()
	a.seen[path] = true
	a.mu.Unlock()
	select {
	case <-a.at(path):
	case <-a.over:
	}
}

func (a *barrier) open(path string) { close(a.at(path)) }

// reached waits until a job has asked for the path.
func (a *barrier) reached(tb testing.TB, path string) {
	tb.Helper()
	eventually.Is(tb, "the job asks for "+path, func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.seen[path]
	})
}

func TestAJobSurvivesAPausedRedis(t *testing.T) {
	t.Parallel()
	s, gate := redistest.Private(t), newBarrier(t)
	b := run(t, s, func(b *bench) { b.api = gate.answer })
	b.put(id, []string{"start", "print before", "get /api/1", "print during", "result success"})
	gate.reached(t, "/api/1")
	b.must(s.Pause())
	gate.open("/api/1")
	select { // long enough for the process to end, and for calls to fail
	case <-time.After(5 * time.Second):
	case <-t.Context().Done():
	}
	b.must(s.Resume())
	if res, trace := b.finished(id); res != success || trace != "before\n200 OK\nduring\n" {
		t.Errorf("%+v, %q", res, trace)
	}
}

func TestAJobSurvivesAnEmptiedRedis(t *testing.T) {
	t.Parallel()
	s, gate := redistest.Private(t), newBarrier(t)
	b := run(t, s, func(b *bench) { b.api = gate.answer })
	b.put(id, []string{"start", "print before", "get /api/1", "print after", "result success"})
	gate.reached(t, "/api/1")
	b.says(id, "before")
	b.must(s.Flush(t.Context()))
	eventually.Is(t, "it is announced again", func() bool { return b.record(id).State == ledger.Running })
	b.says(id, "before")
	gate.open("/api/1")
	if res, trace := b.finished(id); res != success || trace != "before\n200 OK\nafter\n" {
		t.Errorf("%+v, %q", res, trace)
	}
	if !strings.Contains(b.log.String(), "redis had lost it") {
		t.Errorf("log = %s", b.log)
	}
	if p, err := b.patient.Payload(t.Context(), id); err != nil || len(p) == 0 {
		t.Errorf("payload of %d bytes, %v", len(p), err)
	}
}

// TestAResultSurvivesARedisThatComesBackEmpty: Redis is away when the job ends.
func TestAResultSurvivesARedisThatComesBackEmpty(t *testing.T) {
	t.Parallel()
	s, gate := redistest.Private(t), newBarrier(t)
	b := run(t, s, func(b *bench) { b.api = gate.answer })
	b.put(id, []string{"start", "print before", "get /api/1", "result failed script_failure 3"})
	gate.reached(t, "/api/1")
	b.must(s.Stop())
	gate.open("/api/1")
	select { // long enough for the process to end
	case <-time.After(time.Second):
	case <-t.Context().Done():
	}
	b.must(s.Restart(t.Context()))
	if res, trace := b.finished(id); res != failed(ledger.ReasonScript, 3) || trace != "before\n200 OK\n" {
		t.Errorf("%+v, %q", res, trace)
	}
}

// TestAFinishedJobIsLeasedUntilItsResultArrives: else somebody would close it as
// abandoned in between.
func TestAFinishedJobIsLeasedUntilItsResultArrives(t *testing.T) {
	t.Parallel()
	b := prepare(t, redistest.New(t))
	b.put(id, nil)
	claim, err := b.patient.Claim(t.Context(), id, "h", 2*time.Second)
	b.must(err)
	a := &assignment{id: id, holder: "h", claim: claim}
	hold := b.keep(t.Context(), a)
	eventually.Is(t, "it is renewed for the whole time", func() bool {
		left, err := b.rdb.PTTL(t.Context(), b.prefix+":{1001}:lease").Result()
		b.must(err)
		return left > leaseFor-renewEvery
	})
	hold.end()
	hold.end()
	if hold.isLost() {
		t.Error("it looks lost")
	}
}

func TestALostJobIsStoppedAndNothingIsDelivered(t *testing.T) {
	t.Parallel()
	gate := newBarrier(t)
	b := run(t, redistest.New(t), func(b *bench) { b.api = gate.answer })
	b.put(id, []string{"start", "print mine", "get /api/1", "result success"}, func(o *order) { o.claims.ID = "jti-of-a-lost-job" })
	gate.reached(t, "/api/1")
	b.says(id, "mine")
	key := fmt.Sprintf("%s:{%d}", b.prefix, id)
	b.must(b.rdb.HSet(t.Context(), key, "runner", "another").Err())
	b.must(b.rdb.Set(t.Context(), key+":lease", "another", time.Minute).Err())
	eventually.Is(t, "it is stopped", func() bool { return strings.Contains(b.log.String(), "job stopped: it is over, or another's") })
	b.clean()
	gate.open("/api/1")
	eventually.Is(t, "the slot is free", func() bool { return len(b.freeSlots()) == 2 })
	if r := b.record(id); r.State != ledger.Running || len(r.Result) != 0 || b.trace(id) != "mine\n" {
		t.Errorf("record = %+v, trace = %q", r, b.trace(id))
	}
	if revoked, err := b.patient.Revoked(t.Context(), "jti-of-a-lost-job"); err != nil || revoked {
		t.Errorf("the grant was taken from the one who has the job now: %v, %v", revoked, err)
	}
	if strings.Contains(b.log.String(), `"msg":"job finished"`) {
		t.Errorf("log = %s", b.log)
	}
}

// TestAJobLostBeforeItsStartIsNotStarted: another runner has it.
func TestAJobLostBeforeItsStartIsNotStarted(t *testing.T) {
	t.Parallel()
	gate := newBarrier(t)
	b := run(t, redistest.New(t), func(b *bench) { b.api = gate.answer })
	b.put(id, []string{"get /api/1", "start", "get /api/2", "result success"})
	gate.reached(t, "/api/1")
	key := fmt.Sprintf("%s:{%d}", b.prefix, id)
	b.must(b.rdb.HSet(t.Context(), key, "runner", "another").Err())
	b.must(b.rdb.Set(t.Context(), key+":lease", "another", time.Minute).Err())
	gate.open("/api/1")
	eventually.Is(t, "the slot is free", func() bool { return len(b.freeSlots()) == 2 })
	if gate.seen["/api/2"] {
		t.Error("it was started")
	}
	if r := b.record(id); r.State != ledger.Claimed || len(r.Result) != 0 {
		t.Errorf("record = %+v", r)
	}
}

// TestAJobGivenBackAndClaimedByTheSameRunner: the second slot waits until the
// first has noticed its loss and left the gate.
func TestAJobGivenBackAndClaimedByTheSameRunner(t *testing.T) {
	t.Parallel()
	gate := newBarrier(t)
	b := run(t, redistest.New(t), func(b *bench) { b.api = gate.answer })
	b.put(id, []string{"get /api/1", "start", "result success"})
	gate.reached(t, "/api/1")
	// The tunnel finds the lease gone and releases the job. The first slot may
	// renew in between; then it has the job still, and the release is refused.
	eventually.Is(t, "the job is given back", func() bool {
		b.must(b.rdb.Del(t.Context(), fmt.Sprintf("%s:{%d}:lease", b.prefix, id)).Err())
		err := b.patient.Release(t.Context(), id)
		if err != nil && !errors.Is(err, ledger.ErrLost) {
			t.Fatal(err)
		}
		return err == nil
	})
	gate.open("/api/1")
	if res, trace := b.finished(id); res != success {
		t.Errorf("%+v, %q", res, trace)
	}
}

// TestTwoWorkersRunEachJobOnce counts how often each job has asked for its path.
func TestTwoWorkersRunEachJobOnce(t *testing.T) {
	t.Parallel()
	const jobs = 12
	var mu sync.Mutex
	asked := map[string]int{}
	count := func(path string) {
		mu.Lock()
		defer mu.Unlock()
		asked[path]++
	}
	s := redistest.New(t)
	one := prepare(t, s)
	one.api = count
	two := run(t, s, func(b *bench) {
		b.api, b.prefix, b.signer = count, one.prefix, one.signer
		b.Ledger, b.patient, b.Gate, b.Endpoint, b.Runner = one.client(s), one.patient, one.Gate, one.Endpoint, "r2"
	})
	go func() { _ = one.Run(t.Context()) }()
	for i := range int64(jobs) {
		path := fmt.Sprintf("get /api/%d", i)
		two.put(i+1, []string{path, "start", path, "result success"})
		// Each number is in the queue twice, as after a repair.
		two.must(two.rdb.RPush(t.Context(), two.prefix+":queue", i+1).Err())
	}
	for i := range int64(jobs) {
		if res, _ := two.finished(i + 1); res != success {
			t.Errorf("job %d: %+v", i+1, res)
		}
		mu.Lock()
		if n := asked[fmt.Sprintf("/api/%d", i)]; n != 2 {
			t.Errorf("job %d asked %d times, want 2", i+1, n)
		}
		mu.Unlock()
	}
}

// forgetful loses the answer to the call that finishes a job, and by the time
// the next one arrives the tunnel has reported it.
type forgetful struct {
	b    *bench
	once sync.Once
}

func (f *forgetful) state(ctx context.Context) ledger.State {
	r, _ := f.b.patient.Load(ctx, id) // of an unknown job: none
	return r.State
}

// DialHook implements redis.Hook.
func (f *forgetful) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook implements redis.Hook.
func (f *forgetful) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// ProcessHook implements redis.Hook.
func (f *forgetful) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if err != nil || !strings.HasPrefix(cmd.Name(), "eval") {
			return err
		}
		if f.state(ctx) == ledger.Finished {
			f.once.Do(func() {
				f.b.must(f.b.patient.MarkReported(ctx, id))
				err = errors.New("the answer is lost")
				cmd.SetErr(err)
			})
		}
		return err
	}
}

func TestAResultWhoseAnswerIsLostIsTakenAllTheSame(t *testing.T) {
	t.Parallel()
	s := redistest.New(t)
	b := run(t, s, func(b *bench) {
		rdb, err := ledger.Open(s.URL)
		b.must(err)
		t.Cleanup(func() { _ = rdb.Close() })
		rdb.(*redis.Client).AddHook(&forgetful{b: b})
		b.Ledger = ledger.New(rdb, b.prefix)
	})
	b.put(id, []string{"start", "print done", "result success"}, func(o *order) { o.claims.ID = "jti-of-a-reported-job" })
	eventually.Is(t, "the grant is revoked", func() bool {
		revoked, err := b.patient.Revoked(t.Context(), "jti-of-a-reported-job")
		b.must(err)
		return revoked
	}, b.log)
	b.stop()
	if log := b.log.String(); !strings.Contains(log, `"msg":"job finished"`) || strings.Contains(log, "result not taken") || b.record(id).State != ledger.Reported {
		t.Errorf("job is %s, log %s", b.record(id).State, log)
	}
}
