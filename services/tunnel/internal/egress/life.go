package egress

import (
	"context"
	"time"

	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/service"
)

const (
	// followInterval is how often the grants of open connections are looked at
	// again.
	followInterval = 10 * time.Second
	// followTimeout bounds one such look.
	followTimeout = 5 * time.Second
)

// follow returns a context that ends with what a grant is good for: when it
// expires or is revoked, as it is when its job is over. While revocations cannot
// be read it goes on. stop must be called.
func (p *Proxy) follow(ctx context.Context, c *grant.Claims) (_ context.Context, stop func()) {
	ctx, cancel := context.WithDeadline(ctx, c.ExpiresAt.Add(grant.Skew))
	go func() {
		t := time.NewTicker(followInterval)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
			asking, done := context.WithTimeout(ctx, followTimeout)
			revoked, err := p.Revocations.Revoked(asking, c.ID)
			done()
			if err == nil && revoked {
				p.Log.Info("egress connection ended with its job", service.JobID(c.Job.ID))
				cancel()
				return
			}
		}
	}()
	return ctx, cancel
}
