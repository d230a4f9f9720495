package syncer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/pkg/syncspec"
)

// How long other servers may keep syncs waiting.
const (
	// quickly is how long a sync holds its slot while it waits for other servers.
	quickly = 5 * time.Second
	// maxAside is how many syncs wait aside for the one that has its turn there.
	maxAside = 64
	// asideFor is how long one waits for its turn.
	asideFor = 5 * time.Minute
)

// lanes keep servers that hardly answer from holding up syncs that do not need
// them. A sync has little patience in its slot. One that loses it has changed
// nothing yet: it gives the slot up and begins again aside, where one at a time
// has all the patience there is. Whoever needs a server that is known to be hard
// goes there at once, or fails at once while the server is known to be silent.
// So a server costs the others quickly for each slot once, whatever number of
// entries need it. Who has all it needs goes on aside, beside the next one: there
// are no more processes aside than there are slots.
type lanes struct {
	servers *servers
	places  chan struct{} // of processes aside
	turn    chan struct{} // to wait for a server
	saying  chan struct{} // of who has waited for nothing, one at a time
	waiting *atomic.Int32
}

func newLanes(slots int) lanes {
	return lanes{servers: newServers(), places: make(chan struct{}, max(1, slots)), turn: make(chan struct{}, 1), saying: make(chan struct{}, 1), waiting: new(atomic.Int32)}
}

// terms are those on which a sync process works.
type terms struct {
	patience time.Duration // 0: as long as ever
	refusal  string        // why nothing is tried
	// fetched is told how the servers were as soon as none is needed any more; nil
	// for nobody.
	fetched func([]fetched)
}

// trial is one way of a sync through the lanes.
type trial struct {
	needs []need
	free  func() // gives the slot up
	run   func(ctx context.Context, t terms) (*outcome, error)
}

// through runs a sync, perhaps twice.
func (l lanes) through(ctx context.Context, t trial) (*outcome, error) {
	if len(t.needs) == 0 {
		return t.run(ctx, terms{})
	}
	if !l.servers.hard(t.needs) {
		out, err := l.learn(ctx, t, terms{patience: quickly})
		if err != nil || !out.late() {
			return out, err
		}
	}
	if why := l.servers.refusal(t.needs, time.Now()); why != "" {
		return t.run(ctx, terms{refusal: why})
	}
	return l.aside(ctx, t)
}

// aside runs a sync without a slot, when it has its turn.
func (l lanes) aside(ctx context.Context, t trial) (*outcome, error) {
	if l.waiting.Add(1) > maxAside {
		l.waiting.Add(-1)
		return t.run(ctx, terms{refusal: fmt.Sprintf("%s has been slow to answer, and %d entries wait for slow servers already; it is tried again", hostsOf(t.needs), maxAside)})
	}
	t.free()
	leave, err := l.queue(ctx)
	l.waiting.Add(-1)
	switch {
	case errors.Is(err, errAside):
		l.saying <- struct{}{}
		defer func() { <-l.saying }()
		return t.run(ctx, terms{refusal: fmt.Sprintf("%s has been slow to answer, and other entries have waited for slow servers for %s; it is tried again", hostsOf(t.needs), asideFor)})
	case err != nil:
		return nil, err
	}
	defer func() { <-l.places }()
	defer leave()
	// The one before may have found out.
	if why := l.servers.refusal(t.needs, time.Now()); why != "" {
		return t.run(ctx, terms{refusal: why})
	}
	return t.run(ctx, terms{fetched: func(list []fetched) {
		if ctx.Err() == nil { // or its end is not the servers' fault
			l.servers.learn(t.needs, list, time.Now())
		}
		leave()
	}})
}

var errAside = errors.New("others have waited too long")

// queue waits for a place aside and then for the turn to wait for a server, which
// leave gives to the next.
func (l lanes) queue(ctx context.Context) (leave func(), err error) {
	over := time.NewTimer(asideFor)
	defer over.Stop()
	for _, next := range []chan struct{}{l.places, l.turn} {
		select {
		case next <- struct{}{}:
			continue
		case <-over.C:
			err = errAside
		case <-ctx.Done():
			err = ctx.Err()
		}
		if next == l.turn {
			<-l.places
		}
		return nil, err
	}
	return sync.OnceFunc(func() { <-l.turn }), nil
}

// learn runs a sync and remembers how the servers were.
func (l lanes) learn(ctx context.Context, t trial, on terms) (*outcome, error) {
	out, err := t.run(ctx, on)
	if err == nil && ctx.Err() == nil {
		l.servers.learn(t.needs, out.Fetches, time.Now())
	}
	return out, err
}

// attempt runs a claimed sync through the lanes.
func (w *Worker) attempt(ctx context.Context, c *claim) (*syncspec.Report, error) {
	aside := false
	out, err := w.lanes.through(ctx, trial{
		needs: needsOf(c.task),
		free: func() {
			aside, c.bundle = true, nil // whoever waits takes no memory
			w.Log.Info("sync waits aside for a server that is slow to answer", service.KeyEntry, c.name, "commit", c.task.Commit)
			c.free()
		},
		run: func(ctx context.Context, t terms) (*outcome, error) {
			if t.refusal != "" {
				t.refusal = fmt.Sprintf("entry %s is not tried now: %s", c.name, t.refusal)
			} else if aside && c.bundle == nil {
				if err := w.fetchBundle(ctx, c); err != nil {
					return nil, err
				}
			}
			return w.process(ctx, c, t)
		},
	})
	if err != nil {
		return nil, err
	}
	return &out.Report, nil
}

// fetchBundle reads what the repository has for a task.
func (w *Worker) fetchBundle(ctx context.Context, c *claim) error {
	err := w.patience.Wait(ctx, w.waits(c), func() (err error) {
		c.bundle, err = w.Ledger.Bundle(ctx, w.Seal, c.task.Bundle)
		return err
	})
	if err == nil && grant.Digest(c.bundle) != c.task.Bundle {
		err = errors.New("it is not what the task names")
	}
	if err != nil {
		return fmt.Errorf("files of the repository: %w", err)
	}
	return nil
}
