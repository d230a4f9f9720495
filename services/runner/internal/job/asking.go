package job

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/towline/towline/services/runner/internal/inquiry"
)

// askTime is how long an answer is waited for.
const askTime = 15 * time.Second

// asking carries the questions of commands to the supervisor. It is safe for
// concurrent use.
type asking struct {
	frames *frameWriter

	mu   sync.Mutex
	last int64
	open map[int64]chan inquiry.Answer
}

// ask waits for the supervisor's answer.
func (a *asking) ask(ctx context.Context, q inquiry.Question) (inquiry.Answer, error) {
	if err := q.Check(); err != nil {
		return inquiry.Answer{Refusal: err.Error()}, nil
	}
	answer := make(chan inquiry.Answer, 1)
	a.mu.Lock()
	a.last++
	number := a.last
	if a.open == nil {
		a.open = map[int64]chan inquiry.Answer{}
	}
	a.open[number] = answer
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.open, number)
	}()
	if err := a.frames.event(Event{Type: EventQuestion, Number: number, Question: &q}); err != nil {
		return inquiry.Answer{}, err
	}
	t := time.NewTimer(askTime)
	defer t.Stop()
	select {
	case got := <-answer:
		return got, nil
	case <-t.C:
		return inquiry.Answer{}, errors.New("the runner does not answer; it answers a few questions at a time")
	case <-ctx.Done():
		return inquiry.Answer{}, context.Cause(ctx)
	}
}

// hear hands a reply to whoever waits for it, if anybody still does.
func (a *asking) hear(r Reply) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if answer, ok := a.open[r.Number]; ok {
		answer <- r.Answer // has room for one
		delete(a.open, r.Number)
	}
}
