package ledger_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/towline/towline/pkg/ledger"
)

// holdings are the two leases that tunnels compete for.
var holdings = map[string]struct {
	take func(*bench, context.Context, string, time.Duration) (bool, error)
	drop func(*bench, context.Context, string) error
}{
	"reporting a job": {
		func(b *bench, c context.Context, tunnel string, ttl time.Duration) (bool, error) {
			return b.Own(c, id, tunnel, ttl)
		},
		func(b *bench, c context.Context, tunnel string) error { return b.Disown(c, id, tunnel) },
	},
	"polling": {
		func(b *bench, c context.Context, tunnel string, ttl time.Duration) (bool, error) {
			return b.LeadPolling(c, tunnel, ttl)
		},
		func(b *bench, c context.Context, tunnel string) error { return b.StopPolling(c, tunnel) },
	},
}

func TestOneTunnelHoldsALease(t *testing.T) {
	for name, lease := range holdings {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			try := func(tunnel string, ttl time.Duration, want bool) {
				t.Helper()
				if got, err := lease.take(b, ctx(t), tunnel, ttl); err != nil || got != want {
					t.Errorf("%s gets it: %t, %v; want %t", tunnel, got, err, want)
				}
				b.everythingExpires()
			}
			try("t1", long, true)
			try("t2", long, false)
			try("t1", long, true) // a renewal
			b.must(lease.drop(b, ctx(t), "t2"))
			try("t2", long, false) // nobody gives away what is another's
			b.must(lease.drop(b, ctx(t), "t1"))
			try("t2", short, true)
			b.eventually("the lease has expired", func() bool {
				got, err := lease.take(b, ctx(t), "t3", long)
				b.must(err)
				return got
			})
			try("t2", long, false)
		})
	}
}

func TestOneOfManyTunnelsGetsALease(t *testing.T) {
	for name, lease := range holdings {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			var won atomic.Int64
			var wg sync.WaitGroup
			for n := range 20 {
				wg.Go(func() {
					got, err := lease.take(b, ctx(t), fmt.Sprint("t", n), long)
					if err != nil {
						t.Error(err)
					}
					if got {
						won.Add(1)
					}
				})
			}
			wg.Wait()
			if won.Load() != 1 {
				t.Errorf("%d tunnels got it", won.Load())
			}
		})
	}
}

func TestCursorIsSharedAndForgotten(t *testing.T) {
	b := open(t)
	if got, err := b.Cursor(ctx(t)); err != nil || got != "" {
		t.Errorf("Cursor = %q, %v before there is one", got, err)
	}
	b.must(b.SetCursor(ctx(t), "a1"))
	b.must(b.SetCursor(ctx(t), "b2"))
	if got, err := b.Cursor(ctx(t)); err != nil || got != "b2" {
		t.Errorf("Cursor = %q, %v", got, err)
	}
	if ttl := b.keys()["{poll}:cursor"]; ttl <= 0 || ttl > ledger.CursorTTL {
		t.Errorf("kept for %s, want %s", ttl, ledger.CursorTTL)
	}
}

func TestRevokedGrantIsRememberedUntilItEnds(t *testing.T) {
	b := open(t)
	revoked := func(jti string) bool {
		t.Helper()
		got, err := b.Revoked(ctx(t), jti)
		b.must(err)
		return got
	}
	b.must(b.Revoke(ctx(t), "j1", time.Now().Add(long)))
	b.must(b.Revoke(ctx(t), "j2", time.Now().Add(-long)))
	b.must(b.Revoke(ctx(t), "j3", time.Now().Add(100*time.Microsecond)))
	if !revoked("j1") || revoked("j2") || revoked("never") {
		t.Errorf("revoked: j1 %t, j2 %t, never %t; want only j1", revoked("j1"), revoked("j2"), revoked("never"))
	}
	b.everythingExpires()
	if ttl := b.keys()["revoked:j1"]; ttl > long {
		t.Errorf("remembered for %s, longer than the grant lives", ttl)
	}
	b.eventually("nothing is kept of a grant that ended", func() bool { return !revoked("j3") })
}
