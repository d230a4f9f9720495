package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/towline/towline/pkg/gate"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/runner/internal/cache"
	"github.com/towline/towline/services/runner/internal/patience"
	"github.com/towline/towline/services/runner/internal/usage"
)

// Pauses.
const (
	offerEvery = 5 * time.Second
	offerFor   = 20 * time.Second
	nextWait   = 2 * time.Second
	notReady   = 500 * time.Millisecond
)

// Config is what a Worker needs.
type Config struct {
	Ledger   *ledger.Ledger
	Seal     ledger.Sealer
	Gate     *gate.Gate
	Endpoint Endpoint
	Runner   string        // this replica's name
	Name     string        // shown in job logs
	Hostname string        // shown in job logs
	Slots    int           // jobs at a time
	Warm     int           // processes kept ready
	Command  []string      // of a job process
	Dir      string        // of the job directories, this replica's alone
	Sandbox  string        // enforce or off
	Toolbox  []string      // directories of the programs that jobs may start
	Limits   Limits        // of each job
	LogLimit int64         // bytes of output per job
	Drain    time.Duration // how long running jobs may take at shutdown
	// NoDebugTrace: jobs may not show their commands as they run.
	NoDebugTrace bool
	FeatureFlags map[string]bool // that jobs cannot choose
	GitCA        func() string   // PEM of certificates to trust for Git when a job starts, or empty; nil: none
	Cache        *cache.Server   // nil: this runner keeps no caches
	Desk         Desk            // nil: jobs learn nothing of gitops
	Ready        func() bool     // false: no tickets are offered and no jobs claimed now
	Metrics      *Metrics
	Log          *slog.Logger
}

// Endpoint is what a job process can reach on loopback.
type Endpoint struct {
	GatePort, EgressPort uint16
	CachePort            uint16 // 0 without a cache
	CA                   []byte // PEM, of the gate
}

// Worker runs jobs. Run it once per process.
type Worker struct {
	Config
	pool     *pool
	spent    spent
	census   usage.Census
	patience patience.Bounds // with what keeps a job from being verified

	mu   sync.Mutex
	free map[int]bool
	gave chan struct{} // a slot became free
	jobs sync.WaitGroup
}

// New returns a Worker; it starts nothing.
func New(cfg Config) *Worker {
	w := &Worker{Config: cfg, pool: newPool(cfg.Command, cfg.Warm), free: map[int]bool{}, gave: make(chan struct{}, 1), patience: patience.Usual()}
	for i := range cfg.Slots {
		w.free[i] = true
	}
	return w
}

// Run takes jobs until ctx ends, and then lets the running ones end.
func (w *Worker) Run(ctx context.Context) error {
	closeOnExec()
	var parts sync.WaitGroup
	poolCtx, stopPool := context.WithCancel(context.WithoutCancel(ctx))
	parts.Go(func() {
		w.pool.run(poolCtx, func(err error) { w.Log.Error("no job process", service.Err(err)) })
	})
	var offers sync.WaitGroup
	offers.Go(func() { w.offer(ctx) })
	// Jobs outlive ctx; their own context ends when the time to drain is over.
	jobCtx, interrupt := context.WithCancel(context.WithoutCancel(ctx))
	w.claim(ctx, jobCtx)
	offers.Wait() // or it could offer what has just been withdrawn
	w.withdraw(ctx)
	w.drain(interrupt)
	interrupt()
	stopPool()
	parts.Wait()
	return nil
}

func (w *Worker) ticket(slot int) string { return fmt.Sprintf("%s/%d", w.Runner, slot) }

// offer keeps a ticket on offer for every free slot, while jobs could run here.
func (w *Worker) offer(ctx context.Context) {
	offered := false
	for {
		pause := offerEvery
		switch {
		case w.Ready():
			w.offerFree(ctx)
			offered = true
		case offered:
			w.withdraw(ctx) // a job taken for it would have to wait
			offered = false
			fallthrough
		default:
			pause = notReady
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-w.gave:
		case <-t.C:
		}
		t.Stop()
	}
}

func (w *Worker) offerFree(ctx context.Context) {
	for _, slot := range w.freeSlots() {
		if err := w.Ledger.Offer(ctx, w.ticket(slot), offerFor); err != nil {
			return // the redis link's own check says so
		}
		if !w.isFree(slot) { // taken meanwhile: nobody may wait for it
			_ = w.Ledger.Withdraw(ctx, w.ticket(slot))
		}
	}
}

// claim takes queued jobs while there are free slots and jobs could run here;
// else they are left to others. What jobs have left in memory goes back once
// the runner rests: the garbage collector by itself would keep it for minutes.
func (w *Worker) claim(ctx, jobCtx context.Context) {
	loop := retry.Policy{Idle: 50 * time.Millisecond, Min: 200 * time.Millisecond, Max: 5 * time.Second}
	worked := false
	loop.Loop(ctx, func(ctx context.Context) retry.Result {
		if len(w.freeSlots()) == 0 || !w.Ready() {
			return retry.Result{Outcome: retry.Again}
		}
		id, err := w.Ledger.Next(ctx, nextWait)
		switch {
		case errors.Is(err, ledger.ErrNone):
			if worked && len(w.freeSlots()) == w.Slots {
				worked = false
				debug.FreeOSMemory()
			}
			return retry.Result{Outcome: retry.Now}
		case err != nil:
			return retry.Result{Outcome: retry.Failed}
		}
		worked = true
		slot := w.takeSlot()
		w.jobs.Go(func() {
			defer w.giveSlot(slot)
			w.serve(jobCtx, id, slot)
		})
		return retry.Result{Outcome: retry.Now}
	})
}

func (w *Worker) freeSlots() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]int, 0, len(w.free))
	for s := range w.free {
		out = append(out, s)
	}
	return out
}

func (w *Worker) isFree(slot int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.free[slot]
}

func (w *Worker) takeSlot() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	for s := range w.free {
		delete(w.free, s)
		w.Metrics.running.Inc()
		return s
	}
	panic("worker: no free slot") // only claim takes slots, and it looked
}

func (w *Worker) giveSlot(slot int) {
	w.mu.Lock()
	w.free[slot] = true
	w.mu.Unlock()
	w.Metrics.running.Dec()
	select {
	case w.gave <- struct{}{}:
	default:
	}
}

// withdraw takes all tickets back.
func (w *Worker) withdraw(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), nextWait)
	defer cancel()
	for slot := range w.Slots {
		_ = w.Ledger.Withdraw(ctx, w.ticket(slot))
	}
}

// drain waits for running jobs, and interrupts them when the time is over.
func (w *Worker) drain(interrupt context.CancelFunc) {
	done := make(chan struct{})
	go func() { w.jobs.Wait(); close(done) }()
	t := time.NewTimer(w.Drain)
	defer t.Stop()
	select {
	case <-done:
		return
	case <-t.C:
		w.Log.Warn("jobs are interrupted: the time to drain is over")
		interrupt()
	}
	<-done
}
