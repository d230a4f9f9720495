package main

import (
	"context"
	"fmt"
	"time"
)

// component is a running part of the plane.
type component struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
}

// start runs fn until its context ends. When fn returns earlier, with or without
// an error, that is a failure and is reported through failed.
func start(name string, fn func(context.Context) error, failed chan<- error) *component {
	ctx, cancel := context.WithCancel(context.Background())
	c := &component{name: name, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		err := fn(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = fmt.Errorf("ended by itself")
		}
		select {
		case failed <- fmt.Errorf("%s: %w", name, err):
		default: // the first failure is the one that counts
		}
	}()
	return c
}

// stop ends all given components at once and waits for them, but not for ever: a
// component that hangs must not keep the process alive.
func stop(patience time.Duration, all ...*component) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for _, c := range all {
		c.cancel()
	}
	for _, c := range all {
		select {
		case <-c.done:
		case <-timer.C:
			return
		}
	}
}
