package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/service"
)

// lease keeps a claimed job this worker's, from the claim until its result is
// delivered, also while Redis is away or after it has forgotten the job. A call
// that Redis does not answer holds up nothing else.
type lease struct {
	w    *Worker
	a    *assignment
	lost chan struct{} // closed: the job is over, or another's
	word chan string   // why the job shall stop, again and again

	cancel context.CancelFunc
	done   chan struct{}
}

func (w *Worker) keep(ctx context.Context, a *assignment) *lease {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l := &lease{w: w, a: a, lost: make(chan struct{}), word: make(chan string, 1), cancel: cancel, done: make(chan struct{})}
	go l.run(ctx)
	return l
}

// end stops renewing.
func (l *lease) end() {
	l.cancel()
	<-l.done
}

func (l *lease) isLost() bool {
	select {
	case <-l.lost:
		return true
	default:
		return false
	}
}

var (
	errLost     = errors.New("the job is over, or another's")
	errCanceled = errors.New("the job was canceled")
)

// wanted ends with ctx and, for errLost or errCanceled, when the job is not to go
// on here, until end. Nobody else may listen for words meanwhile; they come again.
func (l *lease) wanted(ctx context.Context) (wanted context.Context, end func()) {
	wanted, cancel := context.WithCancelCause(ctx)
	var listening sync.WaitGroup
	listening.Go(func() {
		select {
		case <-wanted.Done():
		case <-l.lost:
			cancel(errLost)
		case <-l.word:
			cancel(errCanceled)
		}
	})
	return wanted, func() {
		cancel(nil)
		listening.Wait()
	}
}

func (l *lease) run(ctx context.Context) {
	defer close(l.done)
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !l.renew(ctx) {
			close(l.lost)
			return
		}
	}
}

// renew says whether the job may still be this worker's.
func (l *lease) renew(ctx context.Context) bool {
	cancel, err := l.w.Ledger.Renew(ctx, l.a.id, l.a.holder, leaseFor)
	switch {
	case errors.Is(err, ledger.ErrLost):
		return false
	case errors.Is(err, ledger.ErrUnknown):
		// Redis has lost its data: announce the job again; the log follows.
		if err := l.w.Ledger.Restore(ctx, l.a.id, l.a.claim, l.a.holder, leaseFor); err == nil {
			l.w.Log.Warn("job announced again: redis had lost it", service.JobID(l.a.id))
			if log := l.a.log.Load(); log != nil {
				log.Rewind()
			}
		}
	case err != nil: // Redis is away: go on, the log waits
	case cancel != "":
		select {
		case l.word <- cancel:
		default:
		}
	}
	return true
}
