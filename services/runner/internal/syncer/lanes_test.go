package syncer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/syncspec"
)

// road is a runner's lanes with slots and with processes that only take time.
type road struct {
	lanes   lanes
	slots   chan struct{}
	running atomic.Int32 // processes
	most    atomic.Int32
	all     sync.WaitGroup

	mu    sync.Mutex
	asked map[string]int           // how often each server was
	takes map[string]time.Duration // of each server; longer than silence is none at all
	ends  map[string]string        // of each entry
	ended map[string]time.Duration
	begun time.Time
	work  time.Duration // after what was fetched
}

// silence is how long the engine waits for an answer to begin.
const silence = 30 * time.Second

func newRoad(slots int) *road {
	return &road{
		lanes: newLanes(slots), slots: make(chan struct{}, slots), asked: map[string]int{}, takes: map[string]time.Duration{},
		ends: map[string]string{}, ended: map[string]time.Duration{}, begun: time.Now(),
	}
}

// sync has an entry's turn come as the worker does.
func (r *road) sync(ctx context.Context, entry string, needs ...need) {
	r.slots <- struct{}{}
	over := make(chan struct{})
	free := sync.OnceFunc(func() { close(over) })
	r.all.Go(func() {
		defer free()
		out, err := r.lanes.through(ctx, trial{needs: needs, free: free, run: func(ctx context.Context, t terms) (*outcome, error) { return r.process(ctx, needs, t) }})
		said := "done"
		switch {
		case err != nil:
			said = err.Error()
		case len(out.Problems) > 0:
			said = out.Problems[0]
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ends[entry], r.ended[entry] = said, time.Since(r.begun)
	})
	<-over
	<-r.slots
}

// end is how an entry's sync has ended, "" if it has not.
func (r *road) end(entry string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ends[entry]
}

func (r *road) process(ctx context.Context, needs []need, t terms) (*outcome, error) {
	n := r.running.Add(1)
	defer r.running.Add(-1)
	r.most.Store(max(r.most.Load(), n))
	out := &outcome{}
	if t.refusal != "" {
		out.Add(t.refusal)
		return out, nil
	}
	for _, n := range needs {
		r.mu.Lock()
		r.asked[n.address]++
		takes := r.takes[n.address]
		r.mu.Unlock()
		f := fetched{Address: n.address, End: endDone, Took: takes, Answered: true}
		if takes > silence {
			f = fetched{Address: n.address, End: endSilent, Took: silence, Why: "no answer"}
		}
		if t.patience > 0 && f.Took > t.patience {
			f = fetched{Address: n.address, End: endLate, Took: t.patience}
		}
		if !pass(ctx, f.Took) {
			return nil, ctx.Err()
		}
		if out.Fetches = append(out.Fetches, f); f.End != endDone {
			out.Add(string(f.End))
		}
	}
	if t.fetched != nil {
		t.fetched(out.Fetches)
	}
	if !pass(ctx, r.work) {
		return nil, ctx.Err()
	}
	return out, nil
}

func pass(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

func chartOf(address string) need {
	return needsOf(&syncspec.Task{Entry: agentconfig.Manifests{Chart: &agentconfig.Chart{Repository: &agentconfig.ChartRepository{URL: address, Chart: "web"}}}})[0]
}

// Whatever number of entries need a silent server, it costs the others a few
// seconds once.
func TestASilentServerHoldsUpNobody(t *testing.T) {
	const entries, slots = 40, 2
	synctest.Test(t, func(t *testing.T) {
		r := newRoad(slots)
		dead, alive := chartOf("https://dead.example.com/charts"), chartOf("https://alive.example.com")
		r.takes[dead.address] = time.Hour
		var queue sync.WaitGroup
		for n := range entries {
			queue.Go(func() { r.sync(t.Context(), fmt.Sprint("dead", n), dead) })
		}
		synctest.Wait()
		queue.Go(func() { r.sync(t.Context(), "inside") })
		queue.Go(func() { r.sync(t.Context(), "other", alive) })
		queue.Wait()
		r.all.Wait()
		for _, entry := range []string{"inside", "other"} {
			if r.ends[entry] != "done" || r.ended[entry] > quickly {
				t.Errorf("%s: %q after %s", entry, r.ends[entry], r.ended[entry])
			}
		}
		if n := r.asked[dead.address]; n != slots+1 {
			t.Errorf("the silent server was asked %d times", n)
		}
		refused := 0
		for entry, said := range r.ends {
			if strings.HasPrefix(said, "dead.example.com did not answer 0s ago (no answer); it is asked again from 00:00:") {
				refused++
			} else if said != "done" && said != string(endSilent) {
				t.Errorf("%s: %q", entry, said)
			}
		}
		if n := r.most.Load(); refused != entries-1 || n > 2*slots {
			t.Errorf("%d refused, %d processes", refused, n)
		}

		// Soon it is asked again, once, whoever wants it.
		pass(t.Context(), asking.Min)
		for n := range entries {
			queue.Go(func() { r.sync(t.Context(), fmt.Sprint("dead", n), dead) })
		}
		queue.Wait()
		r.all.Wait()
		if n := r.asked[dead.address]; n != slots+2 {
			t.Errorf("the silent server was asked %d times", n)
		}

		// It is back: the first to ask finds out, and nothing is held against it.
		r.takes[dead.address] = time.Second
		pass(t.Context(), asking.Max)
		for n := range entries {
			queue.Go(func() { r.sync(t.Context(), fmt.Sprint("dead", n), dead) })
		}
		queue.Wait()
		r.all.Wait()
		for n := range entries {
			if said := r.ends[fmt.Sprint("dead", n)]; said != "done" {
				t.Error(said)
			}
		}
		if len(r.lanes.servers.known) != 0 || r.lanes.waiting.Load() != 0 {
			t.Errorf("%v, %d wait", r.lanes.servers.known, r.lanes.waiting.Load())
		}
	})
}

// What is merely slow arrives, one at a time, while others use the slots.
func TestSlowServersGetTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoad(1)
		slow := chartOf("https://slow.example.com")
		r.takes[slow.address] = 20 * time.Second
		for _, entry := range []string{"a", "b", "c"} {
			r.sync(t.Context(), entry, slow)
		}
		r.sync(t.Context(), "inside")
		r.all.Wait()
		if r.ended["inside"] > 2*quickly {
			t.Errorf("held up for %s", r.ended["inside"])
		}
		for _, entry := range []string{"a", "b", "c"} {
			if r.ends[entry] != "done" {
				t.Errorf("%s: %s", entry, r.ends[entry])
			}
		}
		if n := r.most.Load(); n > 2 {
			t.Errorf("%d processes", n)
		}
	})
}

// A sync that takes long after it has fetched all holds up nobody who waits for
// a server: the next one finds it well.
func TestWorkAsideHoldsUpNoServer(t *testing.T) {
	const slots = 2
	synctest.Test(t, func(t *testing.T) {
		r := newRoad(slots)
		r.work = 3 * time.Minute
		n := chartOf("https://back.example.com")
		r.lanes.servers.learn([]need{n}, []fetched{{Address: n.address, Took: quickly, End: endSilent}}, time.Now().Add(-asking.Max))
		var queue sync.WaitGroup
		for _, entry := range []string{"a", "b"} {
			queue.Go(func() { r.sync(t.Context(), entry, n) })
		}
		synctest.Wait()
		if r.lanes.servers.hard([]need{n}) || r.running.Load() != slots || len(r.lanes.turn) > 0 {
			t.Errorf("%d processes, %v", r.running.Load(), r.lanes.servers.known)
		}
		queue.Wait()
		r.all.Wait()
		if r.end("a") != "done" || r.end("b") != "done" || r.ended["b"] != r.work || len(r.lanes.places) > 0 {
			t.Errorf("%v after %v", r.ends, r.ended)
		}
	})
}

// Waiting is bounded in number and time, and ends with the sync.
func TestWaitingAsideIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoad(1)
		slow := chartOf("https://slow.example.com")
		r.lanes.servers.learn([]need{slow}, []fetched{{Address: slow.address, End: endLate}}, time.Now())
		r.lanes.turn <- struct{}{} // somebody has it
		ctx, cancel := context.WithCancelCause(t.Context())
		r.sync(ctx, "superseded", slow)
		for n := range maxAside {
			r.sync(t.Context(), fmt.Sprint(n), slow)
		}
		synctest.Wait()
		last := fmt.Sprint(maxAside - 1)
		if want := "slow.example.com has been slow to answer, and 64 entries wait for slow servers already; it is tried again"; r.end(last) != want {
			t.Errorf("%q", r.end(last))
		}
		cancel(errors.New("a newer state is wanted"))
		synctest.Wait()
		if got := r.end("superseded"); got != context.Canceled.Error() {
			t.Errorf("%q", got)
		}
		r.all.Wait()
		if want := "slow.example.com has been slow to answer, and other entries have waited for slow servers for 5m0s; it is tried again"; r.ends["0"] != want || r.ended["0"] != asideFor {
			t.Errorf("%q after %s", r.ends["0"], r.ended["0"])
		}
		if n := r.lanes.waiting.Load(); n != 0 || r.asked[slow.address] != 0 {
			t.Errorf("%d wait, asked %d times", n, r.asked[slow.address])
		}
	})
}
