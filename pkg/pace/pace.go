package pace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/towline/towline/pkg/closing"
)

// ErrTooSlow is the end of an answer that has lost its pace.
var ErrTooSlow = errors.New("it comes too slowly")

// Late is an error with this text that is ErrTooSlow, for whoever bounds the whole
// time of an answer.
func Late(text string) error { return &late{text} }

type late struct{ text string }

// Error implements error.
func (l *late) Error() string { return l.text }

// Is implements what errors.Is asks for.
func (l *late) Is(target error) bool { return target == ErrTooSlow }

// Pace is how fast an answer has to come: at least so many bytes within each
// such time, until its end. The zero Pace takes any.
type Pace struct {
	Bytes  int64
	Within time.Duration
}

// Slowest is how fast whatever is large has to come, once it has begun: somebody
// waits for it, and others wait behind.
var Slowest = Pace{Bytes: 64 << 10, Within: 30 * time.Second}

// Hold has body end with ErrTooSlow when it loses the pace. stop is called then,
// once; it must make a read that waits return. The time runs from now until the
// end of body, or its Close. Whoever reads may not dawdle.
func (p Pace) Hold(body io.ReadCloser, stop func()) io.ReadCloser {
	if p.Within <= 0 {
		return body
	}
	h := &held{ReadCloser: body, pace: p, stop: stop}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.timer = time.AfterFunc(p.Within, h.look)
	return h
}

type held struct {
	io.ReadCloser
	pace Pace
	stop func()

	mu    sync.Mutex
	timer *time.Timer
	came  int64 // since the last look
	slow  error
	over  bool
}

// look ends what is too slow, and looks again otherwise.
func (h *held) look() {
	h.mu.Lock()
	came := h.came
	h.came = 0
	if h.over || came >= h.pace.Bytes {
		if !h.over {
			h.timer.Reset(h.pace.Within)
		}
		h.mu.Unlock()
		return
	}
	h.over = true
	h.slow = fmt.Errorf("%w: %d bytes in %s", ErrTooSlow, came, h.pace.Within)
	h.mu.Unlock()
	h.stop()
}

// Read implements io.Reader.
func (h *held) Read(p []byte) (int, error) {
	n, err := h.ReadCloser.Read(p)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.came += int64(n)
	switch {
	case errors.Is(err, io.EOF): // it has come whole, however late
		h.rest()
	case h.slow != nil:
		return n, h.slow
	case err != nil:
		h.rest()
	}
	return n, err
}

// Close implements io.Closer.
func (h *held) Close() error {
	h.mu.Lock()
	h.rest()
	h.mu.Unlock()
	return h.ReadCloser.Close()
}

func (h *held) rest() {
	h.over = true
	h.timer.Stop()
}

// Transport holds all answers of Next to a pace.
type Transport struct {
	Pace  Pace
	Begin time.Duration // within which an answer has to begin
	Next  http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	none := fmt.Errorf("%w: no answer in %s", ErrTooSlow, t.Begin)
	begin := time.AfterFunc(t.Begin, func() { cancel(none) })
	answer, err := t.Next.RoundTrip(req.WithContext(ctx))
	begin.Stop()
	if err != nil {
		cause := context.Cause(ctx)
		cancel(nil)
		if errors.Is(cause, none) {
			return nil, none
		}
		return nil, err
	}
	held := t.Pace.Hold(answer.Body, func() { cancel(ErrTooSlow) })
	answer.Body = closing.Then(held, func() { cancel(nil) })
	return answer, nil
}
