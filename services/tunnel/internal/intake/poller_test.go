package intake

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/joblines/linestest"
	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

func TestNoTicketNoRequest(t *testing.T) {
	t.Parallel()
	b := newBench(t, redistest.New(t), &source{})
	stop := b.start()
	b.eventually("it leads", func() bool {
		return b.redis.Get(t.Context(), b.prefix+":{poll}").Val() == "t1"
	})
	if n := b.src.requests(); n != 0 {
		t.Fatalf("%d requests without a ticket", n)
	}
	b.offer("r1/0")
	b.eventually("a request", func() bool { return b.src.requests() > 0 })
	stop()
	if b.tickets() != 1 {
		t.Error("the ticket was not returned")
	}
	if leads, err := b.Ledger.LeadPolling(t.Context(), "other", time.Second); err != nil || !leads {
		t.Errorf("the lead was not handed over: %v", err)
	}
}

func TestNotReadyAsksNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, redistest.New(t), &source{})
	b.offer("r1/0")
	asked := make(chan struct{}, 64)
	b.Ready = func() bool { asked <- struct{}{}; return false }
	b.start()
	<-asked
	<-asked
	if b.src.requests() != 0 || b.tickets() != 1 {
		t.Errorf("%d requests, %d tickets", b.src.requests(), b.tickets())
	}
}

func TestJobIsRecordedAndHandedOn(t *testing.T) {
	t.Parallel()
	src := &source{answers: []gitlab.RequestResult{{Outcome: gitlab.NoJob, LastUpdate: "c1"}, received(1001), nothing}}
	b := newBench(t, redistest.New(t), src)
	b.Taken = func(id int64) {
		if b.state(id) != ledger.Accepted || len(src.made()) > 0 {
			t.Errorf("state %s after %v, want it recorded before anything else", b.state(id), src.made())
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.taken = append(b.taken, id)
	}
	b.offer("r1/0")
	stop := b.start()
	b.eventually("the job is taken", func() bool { return len(b.told()) == 1 })
	stop()
	sealed, err := b.Ledger.Payload(t.Context(), 1001)
	b.must(err)
	if strings.Contains(string(sealed), jobToken) {
		t.Error("the token stands in Redis")
	}
	if p, err := ledger.OpenPayload(b.box, 1001, sealed); err != nil || string(p) != string(payloadOf(1001)) {
		t.Errorf("payload %q, %v", p, err)
	}
	if rec, err := b.Ledger.Load(t.Context(), 1001); err != nil || rec.Ticket != "r1/0" {
		t.Errorf("record %+v, %v", rec, err)
	}
	if b.tickets() != 0 || b.src.requests() != 2 {
		t.Errorf("%d tickets on offer, %d requests: the ticket is spent", b.tickets(), b.src.requests())
	}
	if diff := cmp.Diff([]string{"", "c1"}, src.cursors); diff != "" {
		t.Errorf("cursors: %s", diff)
	}
	if strings.Contains(b.lines.String(), jobToken) {
		t.Error("the token was logged")
	}
	if b.health.Report().Links["gitlab"] != "up" {
		t.Error("the link is not up")
	}
}

// TestALostAnswerCostsNoSlot: Redis has given the ticket, and the tunnel has not
// heard of it.
func TestALostAnswerCostsNoSlot(t *testing.T) {
	t.Parallel()
	redis := redistest.New(t)
	b := newBench(t, redis, &source{})
	b.offer("r1/0")
	ticket, err := b.Ledger.Take(t.Context(), "before", 0)
	b.must(err)
	b.must(b.Ledger.Return(t.Context(), ticket)) // the server knows the scripts now
	b.Ledger = ledger.New(redis.Losing(t, b.prefix+":{tickets}", 2), b.prefix)
	b.start()
	b.eventually("a request", func() bool { return b.src.requests() > 0 })
}

func TestCursorIsSharedAndKept(t *testing.T) {
	t.Parallel()
	redis, prefix := redistest.New(t), redistest.Prefix(t)
	first := benchOn(t, redis, prefix, "t1", &source{answers: []gitlab.RequestResult{{Outcome: gitlab.NoJob, LastUpdate: "c1"}, {Outcome: gitlab.NoJob, Held: true}, {Outcome: gitlab.Conflict}}})
	first.offer("r1/0")
	stop := first.start()
	first.eventually("four requests", func() bool { return first.src.requests() >= 4 })
	stop()
	second := benchOn(t, redis, prefix, "t2", &source{})
	second.start()
	second.eventually("a request", func() bool { return second.src.requests() >= 1 })
	second.src.mu.Lock()
	defer second.src.mu.Unlock()
	if diff := cmp.Diff([]string{"", "c1", "c1", "c1"}, first.src.cursors[:4]); diff != "" || second.src.cursors[0] != "c1" {
		t.Errorf("%s second: %v", diff, second.src.cursors)
	}
}

func TestOnlyOneTunnelPollsAndTheOtherTakesOver(t *testing.T) {
	t.Parallel()
	redis, prefix := redistest.New(t), redistest.Prefix(t)
	a := benchOn(t, redis, prefix, "t1", &source{})
	b := benchOn(t, redis, prefix, "t2", &source{})
	a.offer("r1/0", "r1/1")
	stop := a.start()
	a.eventually("a polls", func() bool { return a.src.requests() > 0 })
	b.start()
	a.eventually("a polls on", func() bool { return a.src.requests() > 10 })
	if n := b.src.requests(); n != 0 {
		t.Errorf("the second tunnel made %d requests", n)
	}
	stop()
	before := a.src.requests()
	b.eventually("b takes over", func() bool { return b.src.requests() > 0 })
	if a.src.requests() != before || a.src.most != 1 {
		t.Errorf("%d requests after the stop, %d at once", a.src.requests()-before, a.src.most)
	}
}

func TestKnownJobIsNotRunTwice(t *testing.T) {
	t.Parallel()
	src := &source{ask: func(_ context.Context, n int, _ string) gitlab.RequestResult { return received(1001) }}
	b := newBench(t, redistest.New(t), src)
	b.offer("r1/0", "r1/1")
	stop := b.start()
	b.eventually("handed out again", func() bool { return src.requests() >= 4 })
	stop()
	if diff := cmp.Diff([]int64{1001}, b.told()); diff != "" {
		t.Error(diff)
	}
	if len(src.made()) > 0 || b.tickets() != 1 {
		t.Errorf("calls %v; %d tickets on offer, want the second back", src.made(), b.tickets())
	}
	if !strings.Contains(b.lines.String(), "not run twice") {
		t.Error("nothing was logged")
	}
}

// The answer to the first attempt to record a job may be lost: the second finds
// the job there, and it is ours.
func TestRecordWithALostAnswerIsOurs(t *testing.T) {
	t.Parallel()
	b := newBench(t, redistest.New(t), &source{})
	r := received(1001)
	sealed, err := ledger.SealPayload(b.box, 1001, r.Payload)
	b.must(err)
	b.must(b.Ledger.Accept(t.Context(), 1001, sealed, "r1/0"))
	b.take(t.Context(), r, "r1/0")
	b.take(t.Context(), r, "r1/1")
	if diff := cmp.Diff([]int64{1001}, b.told()); diff != "" {
		t.Error(diff)
	}
}

func TestBadJobsAreRefused(t *testing.T) {
	t.Parallel()
	retryPatch := gitlab.PatchResult{Outcome: gitlab.PatchRetry, Why: errors.New("busy")}
	bad := gitlab.RequestResult{Outcome: gitlab.BadJob, Job: &jobspec.Job{ID: 7, Token: jobToken}, Why: errors.New("field x:\x1b[2J want string")}
	tests := map[string]struct {
		src  *source
		want []string
	}{
		"with a line":                   {&source{}, []string{"PUT 7 running", "PATCH 7@0", "PUT 7 failed runner_system_failure"}},
		"the line at the second try":    {&source{patches: []gitlab.PatchResult{retryPatch}}, []string{"PUT 7 running", "PATCH 7@0", "PATCH 7@0", "PUT 7 failed runner_system_failure"}},
		"without the line, if need be":  {&source{patches: []gitlab.PatchResult{{Outcome: gitlab.PatchRewind, Size: 4}}}, []string{"PUT 7 running", "PATCH 7@0", "PUT 7 failed runner_system_failure"}},
		"not when it is over":           {&source{patches: []gitlab.PatchResult{{Outcome: gitlab.PatchJobGone}}}, []string{"PUT 7 running", "PATCH 7@0"}},
		"once more when GitLab is busy": {&source{updates: []gitlab.UpdateResult{{Outcome: gitlab.UpdateAccepted}, {Outcome: gitlab.UpdateWait}}}, []string{"PUT 7 running", "PATCH 7@0", "PUT 7 failed runner_system_failure", "PUT 7 failed runner_system_failure"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.src.answers = []gitlab.RequestResult{bad}
			b := newBench(t, redistest.New(t), tt.src)
			b.offer("r1/0")
			stop := b.start()
			b.eventually("it goes on", func() bool { return tt.src.requests() > 1 })
			stop()
			if diff := cmp.Diff(tt.want, tt.src.made()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if log := linestest.Bare(tt.src.trace()); log != "" && log != "\x1b[31;1mERROR: Job failed (system failure): GitLab sent a job that Towline cannot use: field x: [2J want string\x1b[0;m\n" {
				t.Errorf("log = %q", log)
			}
			if b.tickets() != 1 || b.state(7) != "unknown" {
				t.Errorf("%d tickets, job is %s", b.tickets(), b.state(7))
			}
		})
	}
}

func TestShutdownWaitsForAYoungRequestAndTakesItsJob(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan struct{}), make(chan struct{})
	src := &source{ask: func(ctx context.Context, _ int, _ string) gitlab.RequestResult {
		began := time.Now()
		close(asked)
		select {
		case <-answer:
		case <-ctx.Done():
			if age := time.Since(began); age < assignWithin-time.Second { // this machine may stand still for longer
				t.Errorf("the request was cut off when it was %s old", age)
			}
		}
		return received(1001)
	}}
	b := newBench(t, redistest.New(t), src)
	b.offer("r1/0")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- b.Run(ctx) }()
	<-asked
	cancel()
	select {
	case <-done:
		t.Fatal("the poller stopped while GitLab may be assigning a job")
	case <-time.After(200 * time.Millisecond):
	}
	close(answer)
	b.must(<-done)
	if b.state(1001) != ledger.Accepted || src.requests() != 1 {
		t.Errorf("job is %s after %d requests", b.state(1001), src.requests())
	}
}

func TestShutdownCutsALongPollOff(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{})
	src := &source{ask: func(ctx context.Context, _ int, _ string) gitlab.RequestResult {
		close(asked)
		<-ctx.Done()
		return gitlab.RequestResult{Outcome: gitlab.Failed, Why: ctx.Err()}
	}}
	b := newBench(t, redistest.New(t), src)
	b.Link.Up()
	b.offer("r1/0")
	stop := b.start()
	<-asked
	began := time.Now()
	stop()
	if took := time.Since(began); took > assignWithin+30*time.Second {
		t.Errorf("shutdown took %s", took)
	}
	if b.tickets() != 1 || b.health.Report().Links["gitlab"] != "up" {
		t.Errorf("%d tickets, link %s: want the ticket back, and no outage told", b.tickets(), b.health.Report().Links["gitlab"])
	}
}

func TestNoRequestBeginsAfterTheStop(t *testing.T) {
	t.Parallel()
	b := newBench(t, redistest.New(t), &source{})
	b.offer("r1/0")
	ticket, err := b.Ledger.Take(t.Context(), "test", 0)
	b.must(err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.ask(ctx, ticket)
	if b.src.requests() != 0 || b.tickets() != 1 {
		t.Errorf("%d requests, %d tickets on offer", b.src.requests(), b.tickets())
	}
}

// Whatever answers at once, GitLab or something in its place, is not asked in a
// hot loop.
func TestNoHotLoop(t *testing.T) {
	t.Parallel()
	const every, window = 100 * time.Millisecond, time.Second
	endless := map[string]gitlab.RequestResult{
		"nothing":         nothing,
		"held":            {Outcome: gitlab.NoJob, Held: true},
		"conflict":        {Outcome: gitlab.Conflict},
		"rejected":        {Outcome: gitlab.Rejected, Why: errors.New("403")},
		"failed":          {Outcome: gitlab.Failed, Why: errors.New("500")},
		"the same job":    received(1001),
		"a job as no job": {Outcome: gitlab.BadJob, Why: errors.New("not JSON")},
		"a bad job":       {Outcome: gitlab.BadJob, Job: &jobspec.Job{ID: 7, Token: jobToken}, Why: errors.New("bad")},
	}
	for name, r := range endless {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := &source{ask: func(context.Context, int, string) gitlab.RequestResult { return r }}
			b := newBench(t, redistest.New(t), src)
			b.Every = every
			b.offer("r1/0", "r1/1")
			began, stop := time.Now(), b.start()
			b.eventually("the first request", func() bool { return src.requests() > 0 })
			<-time.After(window)
			stop()
			took := time.Since(began)
			// Held requests may be repeated a few times in a row.
			if n, most := src.requests(), 4*int(took/every+2); n > most {
				t.Errorf("%d requests in %s, want at most %d", n, took, most)
			}
		})
	}
	t.Run("a new cursor each time", func(t *testing.T) {
		t.Parallel()
		src := &source{ask: func(_ context.Context, n int, _ string) gitlab.RequestResult {
			return gitlab.RequestResult{Outcome: gitlab.NoJob, LastUpdate: strings.Repeat("x", n)}
		}}
		b := newBench(t, redistest.New(t), src)
		b.Every = every
		b.offer("r1/0")
		began, stop := time.Now(), b.start()
		b.eventually("the first request", func() bool { return src.requests() > 0 })
		<-time.After(window)
		stop()
		took := time.Since(began)
		if n := src.requests(); n > 4*int(took/every+2) {
			t.Errorf("%d requests in %s", n, took)
		}
	})
}

func TestFailuresShowOnTheLinkAndGoAway(t *testing.T) {
	t.Parallel()
	var seen atomic.Bool
	src := &source{ask: func(context.Context, int, string) gitlab.RequestResult {
		if seen.Load() {
			return nothing
		}
		return gitlab.RequestResult{Outcome: gitlab.Rejected, Why: errors.New("GitLab refuses the runner token")}
	}}
	b := newBench(t, redistest.New(t), src)
	b.offer("r1/0")
	b.start()
	b.eventually("the link is down", func() bool { return b.health.Report().Links["gitlab"] == "GitLab refuses the runner token" })
	seen.Store(true)
	b.eventually("the link is up", func() bool { return b.health.Report().Ready })
}
