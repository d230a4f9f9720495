package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/towline/towline/pkg/pace"
)

// largeTimeout bounds calls whose answer may be large, such as archives: such an
// answer has to begin within requestTimeout, and to come at some pace.
const largeTimeout = 5 * time.Minute

// A job is reported by one call after the other, so that each that nobody
// answers holds up the job's log, its final state and the word that it is
// cancelled.
const (
	pulseTimeout  = 10 * time.Second
	reportTimeout = 15 * time.Second
	// slowest is how many bytes of a log a second are waited for beside.
	slowest = 32 << 10
)

// within is how long a piece of a log may take.
func within(size int) time.Duration {
	return reportTimeout + time.Duration(size/slowest)*time.Second
}

// patient is a client for large answers.
func patient(h http.Client) *http.Client {
	next := h.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	h.Transport = pace.Transport{Pace: pace.Slowest, Begin: requestTimeout, Next: next}
	return &h
}

func (c *Client) clientOf(q *call) *http.Client {
	if q.large {
		return c.patient
	}
	return c.http
}

// bound gives a call its time.
func (q *call) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	timeout := q.timeout
	switch {
	case timeout > 0:
	case q.large:
		timeout = largeTimeout
	default:
		timeout = requestTimeout
	}
	return context.WithTimeoutCause(ctx, timeout, &late{timeout})
}

// late is the end of a call whose time is over.
type late struct{ after time.Duration }

// Error implements error.
func (l *late) Error() string {
	return fmt.Sprintf("GitLab has not answered in full within %s", l.after)
}

// Unwrap is what the standard library says of it.
func (l *late) Unwrap() error { return context.DeadlineExceeded }

// ended is err, or that the call's own time was over.
func ended(ctx context.Context, err error) error {
	if l := new(late); errors.As(context.Cause(ctx), &l) {
		return l
	}
	return err
}
