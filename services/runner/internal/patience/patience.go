package patience

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/towline/towline/pkg/gate"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/pkg/seal"
)

// Bounds are how long is waited, each from the first check on.
type Bounds struct {
	// Answer is for policy and Redis to answer, and for another slot to let go of
	// the grant.
	Answer time.Duration
	// Key is for a key that others use already: kubelets bring a changed Secret to
	// their pods within about a minute and a half.
	Key time.Duration
}

// Usual are the bounds of a runner.
func Usual() Bounds { return Bounds{Answer: time.Minute, Key: 2 * time.Minute} }

// pauses between checks. Policy's keys are fetched less often than that.
var pauses = retry.Policy{Min: 200 * time.Millisecond, Max: 3 * time.Second}

// Wait repeats check while it fails for something that passes by itself, until
// the bound for that is over or ctx ends, and returns its last error. told hears
// of the first failure that is waited out.
func (b Bounds) Wait(ctx context.Context, told func(error), check func() error) error {
	began := time.Now()
	err := context.Canceled // until the first check
	once := sync.OnceFunc(func() { told(err) })
	pauses.Loop(ctx, func(context.Context) retry.Result {
		if err = check(); time.Since(began) >= b.of(err) {
			return retry.Result{Outcome: retry.Done}
		}
		once()
		return retry.Result{Outcome: retry.Failed}
	})
	return err
}

// of is how long an error is waited out; 0: not at all.
func (b Bounds) of(err error) time.Duration {
	switch {
	case errors.Is(err, seal.ErrUnknownKey), errors.Is(err, grant.ErrUnknownKey):
		return b.Key
	case errors.Is(err, grant.ErrKeysUnavailable), errors.Is(err, gate.ErrUnknowable), errors.Is(err, gate.ErrInUse):
		return b.Answer
	}
	return 0
}
