package worker

import (
	"context"
	"crypto/ed25519"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/towline/towline/pkg/eventually"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
)

// tickets counts those on offer.
func (b *bench) tickets(want int64) {
	b.tb.Helper()
	eventually.Is(b.tb, "the right number of tickets", func() bool {
		n, err := b.patient.Tickets(b.tb.Context())
		b.must(err)
		return n == want
	})
}

func TestATicketForEachFreeSlot(t *testing.T) {
	t.Parallel()
	gate := newBarrier(t)
	b := run(t, redistest.New(t), func(b *bench) { b.slots(3); b.api = gate.answer })
	b.tickets(3)
	b.put(id, []string{"get /api/1", "result success"})
	gate.reached(t, "/api/1")
	b.tickets(2)
	gate.open("/api/1")
	b.finished(id)
	b.tickets(3)
	b.stop()
	b.tickets(0)
}

func TestASpentTicketOfAnotherSlotIsTakenBack(t *testing.T) {
	t.Parallel()
	gate := newBarrier(t)
	b := run(t, redistest.New(t), func(b *bench) { b.slots(1); b.api = gate.answer })
	b.must(b.patient.Offer(t.Context(), "other/7", time.Minute))
	b.tickets(2)
	b.put(id, []string{"get /api/1", "result success"})
	gate.reached(t, "/api/1")
	b.tickets(1) // of the other runner, whose ticket was not the one
	gate.open("/api/1")
	b.finished(id)
}

func TestAWorkerThatIsNotReadyTakesNothing(t *testing.T) {
	t.Parallel()
	var ready atomic.Bool
	b := run(t, redistest.New(t), func(b *bench) { b.Ready = ready.Load })
	b.put(id, []string{"result success"})
	select {
	case <-time.After(700 * time.Millisecond):
	case <-t.Context().Done():
	}
	b.tickets(0)
	if s := b.record(id).State; s != ledger.Queued {
		t.Fatalf("the job is %s", s)
	}
	ready.Store(true)
	b.finished(id)
	b.tickets(2)
	ready.Store(false)
	b.gave <- struct{}{} // it looks again now
	b.tickets(0)
}

// TestATicketOfATakenSlotIsNotLeftOnOffer: the slot is taken between the look
// and the offer.
func TestATicketOfATakenSlotIsNotLeftOnOffer(t *testing.T) {
	t.Parallel()
	b := prepare(t, redistest.New(t))
	taken := b.takeSlot()
	b.must(b.patient.Offer(t.Context(), b.ticket(taken), time.Minute))
	b.mu.Lock()
	b.free[taken] = false // seen by the look, not by the check after the offer
	b.mu.Unlock()
	b.offerFree(t.Context())
	b.tickets(1)
}

func TestQueueEntriesOfNoJobAreDropped(t *testing.T) {
	t.Parallel()
	b := run(t, redistest.New(t))
	b.must(b.rdb.RPush(t.Context(), b.prefix+":queue", "x", "-1", "404", "").Err())
	b.put(id, []string{"result success"})
	b.finished(id)
	if strings.Contains(b.log.String(), "WARN") || strings.Contains(b.log.String(), "ERROR") {
		t.Errorf("log = %s", b.log)
	}
}

func TestRunningJobsEndBeforeTheWorker(t *testing.T) {
	t.Parallel()
	gate := newBarrier(t)
	b := run(t, redistest.New(t), func(b *bench) { b.api = gate.answer })
	b.put(id, []string{"start", "get /api/1", "result success"})
	gate.reached(t, "/api/1")
	stopped := make(chan struct{})
	go func() { b.stop(); close(stopped) }()
	b.tickets(0)
	select {
	case <-stopped:
		t.Fatal("the worker does not wait for its job")
	case <-time.After(100 * time.Millisecond):
	}
	gate.open("/api/1")
	<-stopped
	if res, _ := b.finished(id); res != success {
		t.Errorf("result = %+v", res)
	}
}

func TestJobsAreInterruptedWhenTheTimeToDrainIsOver(t *testing.T) {
	t.Parallel()
	b := run(t, redistest.New(t), func(b *bench) { b.Drain = 100 * time.Millisecond })
	b.put(id, []string{"start", "print started", "deaf", "hang"})
	b.put(id+1, []string{"print started", "deaf", "hang"})
	b.says(id, "started")
	b.says(id+1, "started")
	b.stop()
	for _, n := range []int64{id, id + 1} {
		if s := b.record(n).State; s != ledger.Finished {
			t.Fatalf("the worker left job %d in state %s", n, s)
		}
		res, trace := b.finished(n)
		if res != failed(ledger.ReasonInterrupted, 0) || !strings.HasSuffix(trace, "aborted: the runner is shutting down\x1b[0;m\n") {
			t.Errorf("%+v, %q", res, trace)
		}
	}
	b.clean()
}

// TestAJobClaimedWhileStoppingIsGivenBack: it was not verified yet, so nothing
// can be said of it, and another runner can have it.
func TestAJobClaimedWhileStoppingIsGivenBack(t *testing.T) {
	t.Parallel()
	b := prepare(t, redistest.New(t))
	b.put(id, []string{"start", "result success"})
	ctx, cancel := context.WithCancel(t.Context())
	b.Gate = newGate(t, "http://127.0.0.1:1", stopping{cancel}, b.Log)
	b.serve(ctx, id, 0)
	if r := b.record(id); r.State != ledger.Claimed || len(r.Result) != 0 || r.TraceSize != 0 {
		t.Errorf("record = %+v", r)
	}
	if !strings.Contains(b.log.String(), "given back") {
		t.Errorf("log = %s", b.log)
	}
}

// stopping is policy that does not answer while the runner is told to stop.
type stopping struct{ cancel context.CancelFunc }

// Key implements grant.Keys.
func (s stopping) Key(ctx context.Context, kid string) (ed25519.PublicKey, error) {
	s.cancel()
	return unavailable{}.Key(ctx, kid)
}
