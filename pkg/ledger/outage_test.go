package ledger_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
)

// calls is one call of every kind; each must fail while Redis is away, and with
// none of the errors that say something about a job.
var calls = map[string]func(*bench, context.Context) error{
	"Ping":         func(b *bench, c context.Context) error { return b.Ping(c) },
	"Accept":       func(b *bench, c context.Context) error { return b.Accept(c, 2, payload, "r1/0") },
	"Enqueue":      func(b *bench, c context.Context) error { return b.Enqueue(c, id, grant) },
	"Repair":       func(b *bench, c context.Context) error { return b.Repair(c, id) },
	"Next":         func(b *bench, c context.Context) error { _, err := b.Next(c, 0); return err },
	"Next, long":   func(b *bench, c context.Context) error { _, err := b.Next(c, long); return err },
	"Claim":        func(b *bench, c context.Context) error { _, err := b.Claim(c, id, "r1", long); return err },
	"Start":        func(b *bench, c context.Context) error { return b.Start(c, id, "r1") },
	"Renew":        func(b *bench, c context.Context) error { _, err := b.Renew(c, id, "r1", long); return err },
	"Append":       func(b *bench, c context.Context) error { return b.Append(c, id, "r1", 4, []byte("5")) },
	"Finish":       func(b *bench, c context.Context) error { return b.Finish(c, id, "r1", result, 4) },
	"Close":        func(b *bench, c context.Context) error { return b.Close(c, id, nil, result) },
	"Release":      func(b *bench, c context.Context) error { return b.Release(c, id) },
	"Cancel":       func(b *bench, c context.Context) error { return b.Cancel(c, id, "x") },
	"Acked":        func(b *bench, c context.Context) error { return b.Acked(c, id, 1) },
	"Restore":      func(b *bench, c context.Context) error { return b.Restore(c, id, ledger.Claim{}, "r1", long) },
	"MarkReported": func(b *bench, c context.Context) error { return b.MarkReported(c, id) },
	"Forget":       func(b *bench, c context.Context) error { return b.Forget(c, id) },
	"Active":       func(b *bench, c context.Context) error { _, err := b.Active(c, 9); return err },
	"Load":         func(b *bench, c context.Context) error { _, err := b.Load(c, id); return err },
	"Payload":      func(b *bench, c context.Context) error { _, err := b.Payload(c, id); return err },
	"Trace":        func(b *bench, c context.Context) error { _, err := b.Trace(c, id, 0, 9); return err },
	"Offer":        func(b *bench, c context.Context) error { return b.Offer(c, "r1/0", long) },
	"Take":         func(b *bench, c context.Context) error { _, err := b.Take(c, rand.Text(), 0); return err },
	"Take, long":   func(b *bench, c context.Context) error { _, err := b.Take(c, rand.Text(), long); return err },
	"Return":       func(b *bench, c context.Context) error { return b.Return(c, "r1/0") },
	"Withdraw":     func(b *bench, c context.Context) error { return b.Withdraw(c, "r1/0") },
	"Tickets":      func(b *bench, c context.Context) error { _, err := b.Tickets(c); return err },
	"Own":          func(b *bench, c context.Context) error { _, err := b.Own(c, id, "t1", long); return err },
	"Disown":       func(b *bench, c context.Context) error { return b.Disown(c, id, "t1") },
	"LeadPolling":  func(b *bench, c context.Context) error { _, err := b.LeadPolling(c, "t1", long); return err },
	"StopPolling":  func(b *bench, c context.Context) error { return b.StopPolling(c, "t1") },
	"Cursor":       func(b *bench, c context.Context) error { _, err := b.Cursor(c); return err },
	"SetCursor":    func(b *bench, c context.Context) error { return b.SetCursor(c, "a") },
	"Revoke":       func(b *bench, c context.Context) error { return b.Revoke(c, "j", time.Now().Add(long)) },
	"Revoked":      func(b *bench, c context.Context) error { _, err := b.Revoked(c, "j"); return err },
	"AppendAudit":  func(b *bench, c context.Context) error { return b.AppendAudit(c, [][]byte{{'x'}}) },
	"Audit":        func(b *bench, c context.Context) error { _, err := b.Audit(c, 1); return err },
	"Wake":         func(b *bench, c context.Context) error { return b.Wake(c, id) },
}

// allFail makes every call, each with its own little time.
func (b *bench) allFail() {
	b.tb.Helper()
	for name, call := range calls {
		c, cancel := context.WithTimeout(ctx(b.tb), 100*time.Millisecond)
		start := time.Now()
		err := call(b, c)
		cancel()
		if err == nil {
			b.tb.Errorf("%s succeeds without Redis", name)
		}
		for _, about := range []error{ledger.ErrUnknown, ledger.ErrState, ledger.ErrLost, ledger.ErrNone} {
			if errors.Is(err, about) {
				b.tb.Errorf("%s: an outage looks like %q", name, about)
			}
		}
		if took := time.Since(start); took > 30*time.Second {
			b.tb.Errorf("%s outlasts its deadline by %s", name, took)
		}
	}
}

func TestPausedRedisGivesErrorsInTimeAndRecovers(t *testing.T) {
	s := redistest.Private(t)
	b := on(t, s)
	b.bring("running")
	b.must(s.Pause())
	b.allFail()
	b.must(s.Resume())
	// What was sent during the pause may have happened by now, so look at
	// another job.
	b.eventually("Redis answers again", func() bool { return b.Ping(ctx(t)) == nil })
	b.must(b.Accept(ctx(t), 3, payload, "r1/0"))
	b.must(b.Enqueue(ctx(t), 3, grant))
	_, err := b.Claim(ctx(t), 3, "r1", long)
	b.must(err)
}

func TestStoppedRedisGivesErrorsAndRecoversEmpty(t *testing.T) {
	s := redistest.Private(t)
	b := on(t, s)
	b.bring("running")
	b.must(s.Stop())
	b.allFail()
	if err := b.Ping(ctx(t)); err == nil || !strings.Contains(err.Error(), "check --redis-url") {
		t.Errorf("Ping: %v; want a remedy", err)
	}
	b.must(s.Restart(ctx(t)))
	b.eventually("Redis answers again", func() bool { return b.Ping(ctx(t)) == nil })
	if err := b.renew("r1"); !errors.Is(err, ledger.ErrUnknown) {
		t.Errorf("Renew after the loss: %v, want ErrUnknown", err)
	}
	b.must(b.Restore(ctx(t), id, ledger.Claim{Payload: payload, Grant: grant}, "r1", long))
	b.must(b.renew("r1"))
}

func TestRestartUnderWaitersGivesThemAnErrorNotAHang(t *testing.T) {
	s := redistest.Private(t)
	b := on(t, s)
	ended := make(chan error, 2)
	go func() { _, err := b.Next(ctx(t), long); ended <- err }()
	go func() { _, err := b.Take(ctx(t), rand.Text(), long); ended <- err }()
	b.blocked("2")
	b.must(s.Stop())
	for range 2 {
		if err := <-ended; err == nil || errors.Is(err, ledger.ErrNone) {
			t.Errorf("a waiter ends with %v, want the outage", err)
		}
	}
}

func TestOpenNeverQuotesItsURL(t *testing.T) {
	for _, url := range []string{"", "hunter2", "http://:hunter2@redis:6379/0", "redis://:hunter2@redis:6379/x", "redis://:hunter2@redis:63%zz/0"} {
		_, err := ledger.Open(url)
		if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "--redis-url") {
			t.Errorf("Open(%q): %v", url, err)
		}
	}
}

func TestOpenDialsNothing(t *testing.T) {
	rdb, err := ledger.Open("rediss://:pw@127.0.0.1:1/0")
	if err != nil {
		t.Fatal(err)
	}
	if err := rdb.Close(); err != nil {
		t.Error(err)
	}
}

func TestPingSaysThatThePasswordIsWrong(t *testing.T) {
	s := redistest.New(t)
	addr := s.Client().Options().Addr
	rdb, err := ledger.Open("redis://:hunter2@" + addr + "/0")
	if err != nil {
		t.Fatal(err)
	}
	defer rdb.Close()
	err = ledger.New(rdb, "x").Ping(ctx(t))
	if err == nil || !strings.Contains(err.Error(), "check --redis-url, the password") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("Ping: %v", err)
	}
}
