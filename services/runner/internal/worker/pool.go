package worker

import (
	"context"
	"io"

	"github.com/towline/towline/services/runner/internal/job"
)

// pool keeps a few processes warm, so that no job waits for one to start.
type pool struct {
	command []string
	warm    chan *process
	refill  chan struct{}
}

func newPool(command []string, size int) *pool {
	return &pool{command: command, warm: make(chan *process, size), refill: make(chan struct{}, 1)}
}

// run keeps the pool full until ctx ends.
func (p *pool) run(ctx context.Context, failed func(error)) {
	defer p.drain()
	for {
		for len(p.warm) < cap(p.warm) && ctx.Err() == nil {
			w, err := start(p.command)
			if err != nil {
				failed(err)
				break
			}
			p.warm <- w
		}
		select {
		case <-ctx.Done():
			return
		case <-p.refill:
		}
	}
}

func (p *pool) drain() {
	for {
		select {
		case w := <-p.warm:
			w.discard()
		default:
			return
		}
	}
}

// take returns a process that has been given its job; a warm one if there is
// one alive.
func (p *pool) take(spec *job.Spec) (*process, error) {
	defer func() {
		select {
		case p.refill <- struct{}{}:
		default:
		}
	}()
	give := func(w io.Writer) error { return job.WriteSpec(w, spec) }
	for {
		select {
		case w := <-p.warm:
			if w.alive() && w.tell(tellWithin, give) == nil {
				return w, nil
			}
			w.discard()
			continue
		default:
		}
		w, err := start(p.command)
		if err != nil {
			return nil, err
		}
		if err := w.tell(tellWithin, give); err != nil {
			w.discard()
			return nil, err
		}
		return w, nil
	}
}

func (p *process) alive() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}
