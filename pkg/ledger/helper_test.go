package ledger_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/towline/towline/pkg/eventually"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
)

const (
	id    = int64(1001)
	long  = time.Minute // a lease that does not end within a test
	short = 50 * time.Millisecond
)

var (
	payload = []byte("sealed payload")
	grant   = []byte("sealed grant")
	result  = []byte("sealed result")
)

// bench is a ledger on a real server, and a look behind its back.
type bench struct {
	*ledger.Ledger
	tb     testing.TB
	rdb    *redis.Client
	prefix string
}

func open(tb testing.TB) *bench {
	tb.Helper()
	return on(tb, redistest.New(tb))
}

func on(tb testing.TB, s *redistest.Server) *bench {
	tb.Helper()
	// A short read timeout, so that a hanging server costs tests little.
	rdb, err := ledger.Open(s.URL + "?read_timeout=2s")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = rdb.Close() })
	prefix := redistest.Prefix(tb)
	return &bench{Ledger: ledger.New(rdb, prefix), tb: tb, rdb: s.Client(), prefix: prefix}
}

func (b *bench) key(suffix string) string { return b.prefix + ":" + suffix }

func (b *bench) must(err error) {
	b.tb.Helper()
	if err != nil {
		b.tb.Fatal(err)
	}
}

// load is the job's record without the time it has waited; its State is "unknown" when there is none.
func (b *bench) load() ledger.Record {
	b.tb.Helper()
	r, err := b.Load(ctx(b.tb), id)
	if errors.Is(err, ledger.ErrUnknown) {
		return ledger.Record{State: "unknown"}
	}
	b.must(err)
	r.Waited = 0 // a second may begin at any time
	return r
}

// loseLease is what the expiry of a lease does.
func (b *bench) loseLease() {
	b.tb.Helper()
	b.must(b.rdb.Del(ctx(b.tb), b.key("{1001}:lease")).Err())
}

// keys are all keys of this ledger with their remaining life.
func (b *bench) keys() map[string]time.Duration {
	b.tb.Helper()
	all, err := b.rdb.Keys(ctx(b.tb), b.prefix+":*").Result()
	b.must(err)
	out := map[string]time.Duration{}
	for _, k := range all {
		ttl, err := b.rdb.PTTL(ctx(b.tb), k).Result()
		b.must(err)
		out[strings.TrimPrefix(k, b.prefix+":")] = ttl
	}
	return out
}

// everythingExpires checks that an idle Redis would end empty.
func (b *bench) everythingExpires() {
	b.tb.Helper()
	for k, ttl := range b.keys() {
		if ttl == -1 { // less than a millisecond shows as 0, gone as -2
			b.tb.Errorf("key %s never expires", k)
		}
	}
}

func (b *bench) eventually(what string, ok func() bool) {
	b.tb.Helper()
	eventually.Is(b.tb, what, ok)
}

// blocked waits until n clients hang in a blocking command.
func (b *bench) blocked(n string) {
	b.tb.Helper()
	b.eventually(n+" clients wait", func() bool {
		info, err := b.rdb.Info(ctx(b.tb), "clients").Result()
		b.must(err)
		return strings.Contains(info, "blocked_clients:"+n)
	})
}

func ctx(tb testing.TB) context.Context { return tb.Context() }

// Situations a job can be in. "orphaned" and "stranded" are claimed and running
// jobs whose runner is gone.
const (
	unknown  = "unknown"
	orphaned = "orphaned"
	stranded = "stranded"
)

var situations = []string{unknown, "accepted", "queued", "claimed", orphaned, "running", stranded, "finished", "reported"}

// bring takes the job along its way to a situation, in the hands of runner r1
// and with a trace of four bytes.
func (b *bench) bring(situation string) {
	b.tb.Helper()
	c := ctx(b.tb)
	steps := []struct {
		reached string
		do      func() error
	}{
		{unknown, func() error { return nil }},
		{"accepted", func() error { return b.Accept(c, id, payload, "r1/0") }},
		{"queued", func() error { return b.Enqueue(c, id, grant) }},
		{"", func() error { _, err := b.Next(c, 0); return err }},
		{"claimed", func() error { _, err := b.Claim(c, id, "r1", long); return err }},
		{"running", func() error { return b.Start(c, id, "r1") }},
		{"", func() error { return b.Append(c, id, "r1", 0, []byte("1234")) }},
		{"finished", func() error { return b.Finish(c, id, "r1", result, 4) }},
		{"reported", func() error { return b.MarkReported(c, id) }},
	}
	last := map[string]string{orphaned: "claimed", stranded: "running"}[situation]
	if last == "" {
		last = situation
	}
	for _, s := range steps {
		b.must(s.do())
		if s.reached == last {
			break
		}
	}
	if situation == "running" || situation == stranded || situation == "claimed" || situation == orphaned {
		err := b.Append(c, id, "r1", 0, []byte("1234"))
		b.must(err)
	}
	if situation == orphaned || situation == stranded {
		b.loseLease()
	}
}
