package report

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

// Pauses and limits.
const (
	scanEvery    = 2 * time.Second
	ownFor       = 6 * time.Second
	renewOwn     = 2 * time.Second
	maxActive    = 10_000 // jobs tended by one tunnel
	orphanAfter  = time.Minute
	repairAfter  = 5 * time.Second
	disownWithin = 2 * time.Second
	adoptBacklog = 64
)

// GitLab is the part of the client that reporting needs.
type GitLab interface {
	PatchTrace(ctx context.Context, id int64, token gitlab.JobToken, offset int64, data []byte, debug bool) gitlab.PatchResult
	UpdateJob(ctx context.Context, id int64, token gitlab.JobToken, u gitlab.Update) gitlab.UpdateResult
}

// Admitter decides an accepted job: it enqueues it, or closes it with the
// reason in its log. An error means that it could not decide yet.
type Admitter interface {
	Admit(ctx context.Context, job *jobspec.Job, payload []byte) error
}

// Config is what a Keeper needs.
type Config struct {
	GitLab  GitLab
	Ledger  *ledger.Ledger
	Seal    ledger.Sealer
	Admit   Admitter
	Tunnel  string        // this replica's name
	Wait    time.Duration // how long a queued job may wait for a runner
	Log     *slog.Logger
	Metrics *Metrics
}

// Keeper tends all active jobs. Run it once per process.
type Keeper struct {
	Config
	adopt chan int64

	mu     sync.Mutex
	wg     sync.WaitGroup
	tended map[int64]chan struct{} // wake-up of each job's goroutine
	failed map[int64]time.Time     // first sight of jobs without a record
}

// NewKeeper returns a Keeper; it starts nothing.
func NewKeeper(cfg Config) *Keeper {
	return &Keeper{
		Config: cfg, adopt: make(chan int64, adoptBacklog),
		tended: map[int64]chan struct{}{}, failed: map[int64]time.Time{},
	}
}

// Run tends jobs until ctx ends, then hands them over.
func (k *Keeper) Run(ctx context.Context) error {
	k.wg.Go(func() { _ = k.Ledger.Wakes(ctx, k.wake) })
	tick := time.NewTicker(scanEvery)
	defer tick.Stop()
	for k.scan(ctx); ; {
		select {
		case <-ctx.Done():
			k.wg.Wait()
			return nil
		case id := <-k.adopt:
			k.tend(ctx, id)
		case <-tick.C:
			k.scan(ctx)
		}
	}
}

// Adopt begins to tend a job at once, without waiting for the next scan.
func (k *Keeper) Adopt(id int64) {
	select {
	case k.adopt <- id:
	default: // the next scan finds it
	}
}

func (k *Keeper) tend(ctx context.Context, id int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, known := k.tended[id]; known || len(k.tended) >= maxActive {
		return
	}
	wake := make(chan struct{}, 1)
	k.tended[id] = wake
	k.wg.Go(func() {
		k.keep(ctx, id, wake)
		k.mu.Lock()
		delete(k.tended, id)
		k.mu.Unlock()
	})
}

func (k *Keeper) wake(id int64) {
	k.mu.Lock()
	ch := k.tended[id]
	k.mu.Unlock()
	if ch == nil {
		return
	}
	select {
	case ch <- struct{}{}:
	default:
	}
}

func (k *Keeper) scan(ctx context.Context) {
	ids, err := k.Ledger.Active(ctx, maxActive)
	if err != nil {
		return // the redis link's own check says so
	}
	k.mu.Lock()
	maps.DeleteFunc(k.failed, func(id int64, _ time.Time) bool { return !slices.Contains(ids, id) })
	k.mu.Unlock()
	for _, id := range ids {
		k.tend(ctx, id)
	}
}

// keep owns a job and tends it until it is reported, ctx ends, or another
// tunnel owns it.
func (k *Keeper) keep(ctx context.Context, id int64, wake <-chan struct{}) {
	if owned, err := k.Ledger.Own(ctx, id, k.Tunnel, ownFor); err != nil || !owned {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() {
		k.renew(ctx, id)
		cancel()
	})
	t, err := k.tenderOf(ctx, id)
	if err == nil {
		k.mu.Lock()
		delete(k.failed, id)
		k.mu.Unlock()
		t.wake = wake
		t.run(ctx)
	} else {
		k.orphan(ctx, id, err)
	}
	cancel()
	renewing.Wait()
	end, stop := context.WithTimeout(context.WithoutCancel(ctx), disownWithin)
	defer stop()
	_ = k.Ledger.Disown(end, id, k.Tunnel)
}

// renew keeps the ownership of a job until ctx ends, and returns when it is lost
// or, since Redis does not answer, may be.
func (k *Keeper) renew(ctx context.Context, id int64) {
	renewed := time.Now()
	for retry.Sleep(ctx, renewOwn) {
		now := time.Now()
		owned, err := k.Ledger.Own(ctx, id, k.Tunnel, ownFor)
		switch {
		case err == nil && !owned:
			return
		case err == nil:
			renewed = now
		case time.Since(renewed)+renewOwn > ownFor:
			return
		}
	}
}

// tenderOf reads what stays the same during a job's life.
func (k *Keeper) tenderOf(ctx context.Context, id int64) (*tender, error) {
	sealed, err := k.Ledger.Payload(ctx, id)
	if err != nil {
		return nil, err
	}
	payload, err := ledger.OpenPayload(k.Seal, id, sealed)
	if err != nil {
		return nil, err
	}
	job, err := jobspec.Decode(payload)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return &tender{
		k: k, id: id, job: job, payload: payload, token: gitlab.JobToken(job.Token), piece: gitlab.MaxPatch,
		log: k.Log.With(service.KeyJob, id, service.KeyProject, job.JobInfo.ProjectFullPath),
	}, nil
}

// orphan deals with an active job without a usable payload: nothing can be said
// to GitLab about it. It is dropped once it has been so for a while.
func (k *Keeper) orphan(ctx context.Context, id int64, err error) {
	if ctx.Err() != nil || !errors.Is(err, ledger.ErrUnknown) && !errors.Is(err, errTampered) && !errors.Is(err, errUnreadable) {
		return
	}
	k.mu.Lock()
	first, seen := k.failed[id]
	if !seen {
		first = time.Now()
		k.failed[id] = first
	}
	k.mu.Unlock()
	if time.Since(first) < orphanAfter {
		return
	}
	k.Log.Error("job dropped: the ledger has no usable payload for it; GitLab's own timeout will close it", service.JobID(id), service.Err(err))
	if k.Ledger.Forget(ctx, id) == nil {
		k.mu.Lock()
		delete(k.failed, id)
		k.mu.Unlock()
	}
}
