package service

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Stage is a part of a service that runs until its context ends. Returning nil
// on cancellation is expected; any error ends the service.
type Stage struct {
	Name string
	Run  func(ctx context.Context) error
}

// RunStages starts the stages in order and stops them in reverse, each one only
// when those after it have ended. It returns the errors of all of them.
func RunStages(ctx context.Context, stages ...Stage) error {
	type running struct {
		cancel context.CancelFunc
		done   chan struct{}
	}
	var (
		mu     sync.Mutex
		errs   []error
		failed = make(chan struct{}, len(stages))
		all    = make([]running, 0, len(stages))
		detach = context.WithoutCancel(ctx)
	)
	for _, s := range stages {
		sctx, cancel := context.WithCancel(detach)
		r := running{cancel, make(chan struct{})}
		all = append(all, r)
		go func() {
			defer close(r.done)
			err := s.Run(sctx)
			asked := sctx.Err() != nil && errors.Is(err, context.Canceled)
			if err != nil && !asked {
				mu.Lock()
				errs = append(errs, fmt.Errorf("%s: %w", s.Name, err))
				mu.Unlock()
				failed <- struct{}{}
			}
		}()
	}
	select {
	case <-ctx.Done():
	case <-failed:
	}
	for i := len(all) - 1; i >= 0; i-- {
		all[i].cancel()
		<-all[i].done
	}
	mu.Lock()
	defer mu.Unlock()
	return errors.Join(errs...)
}
