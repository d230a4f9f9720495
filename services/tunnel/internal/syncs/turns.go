package syncs

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/pkg/service"
)

// quickly is how long the files of an entry are fetched while others wait.
const quickly = 15 * time.Second

// turns are whose files are fetched now. Archive, files and bundle take memory:
// one entry has its turn at a time. An entry whose files take long gives its turn
// up, and begins again among those that take long, one at a time too.
type turns struct {
	quick, long chan struct{}
	quickly     time.Duration
}

func newTurns() turns {
	return turns{quick: make(chan struct{}, 1), long: make(chan struct{}, 1), quickly: quickly}
}

var errLong = errors.New("the files take long")

// fetching is what an entry does in its turn. wrong is what the repository's
// author has to repair.
type fetching func(ctx context.Context) (wrong, err error)

// inTurn waits for the entry's turn and fetches.
func (f *follower) inTurn(ctx context.Context, fetch fetching) (wrong, err error) {
	if !f.long {
		wrong, err = take(ctx, f.turns.quick, func(ctx context.Context) (wrong, err error) {
			soon, cancel := context.WithTimeoutCause(ctx, f.turns.quickly, errLong)
			defer cancel()
			wrong, err = fetch(soon)
			if err != nil && ctx.Err() == nil && errors.Is(context.Cause(soon), errLong) {
				err = errLong
			}
			return wrong, err
		})
		if !errors.Is(err, errLong) {
			return wrong, err
		}
		f.long = true
		f.Log.Warn("the files of an entry come slowly; it is given more time, and others do not wait for it", service.KeyEntry, f.entry.Name, service.KeyProject, f.entry.Project)
	}
	f.waits(ctx, "it comes slowly and is given more time")
	f.publish(ctx, false)
	return take(ctx, f.turns.long, func(ctx context.Context) (wrong, err error) {
		begun := time.Now()
		wrong, err = fetch(ctx)
		f.long = err != nil || time.Since(begun) > f.turns.quickly
		return wrong, err
	})
}

// take fetches when turn is free.
func take(ctx context.Context, turn chan struct{}, fetch fetching) (wrong, err error) {
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
		return fetch(ctx)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// stay has this tunnel go on following the entry while something takes long.
func (f *follower) stay(ctx context.Context) (enough func()) {
	ctx, cancel := context.WithCancel(ctx)
	var staying sync.WaitGroup
	staying.Go(func() {
		for retry.Sleep(ctx, followFor/3) {
			_, _ = f.hold(ctx)
		}
	})
	return func() { cancel(); staying.Wait() }
}
