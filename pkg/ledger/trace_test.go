package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
)

func z(member string) redis.Z { return redis.Z{Member: member} }

func TestAppendContinuesExactlyWhereTheTraceEnds(t *testing.T) {
	tests := map[string]struct {
		offset int64
		data   string
		size   int64 // -1: accepted
		trace  string
	}{
		"the next piece":             {4, "56", -1, "123456"},
		"the last piece again":       {2, "34", -1, "1234"},
		"everything again":           {0, "1234", -1, "1234"},
		"nothing at the end":         {4, "", -1, "1234"},
		"a gap":                      {5, "6", 4, "1234"},
		"an earlier piece again":     {0, "12", 4, "1234"},
		"an overlap that goes on":    {2, "345", 4, "1234"},
		"nothing before the end":     {2, "", 4, "1234"},
		"a negative offset":          {-1, "x", 4, "1234"},
		"bytes of every kind":        {4, "\x00\xff\r\n", -1, "1234\x00\xff\r\n"},
		"a script's words are bytes": {4, "return 'lost'", -1, "1234return 'lost'"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			b.bring("running")
			b.must(b.Append(ctx(t), id, "r1", 0, []byte("1234")))
			err := b.Append(ctx(t), id, "r1", tt.offset, []byte(tt.data))
			var gap *ledger.RangeError
			switch {
			case tt.size < 0 && err != nil:
				t.Error(err)
			case tt.size >= 0 && (!errors.As(err, &gap) || gap.Size != tt.size):
				t.Errorf("error = %v, want a RangeError from %d", err, tt.size)
			}
			got, err := b.Trace(ctx(t), id, 0, 100)
			if err != nil || string(got) != tt.trace {
				t.Errorf("trace %q, %v; want %q", got, err, tt.trace)
			}
		})
	}
}

func TestRangeErrorSaysWhatIsStored(t *testing.T) {
	if got := (&ledger.RangeError{Size: 42}).Error(); got != "ledger: trace holds 42 bytes" {
		t.Error(got)
	}
}

func TestTraceEndsAtItsLimit(t *testing.T) {
	b := open(t)
	b.bring("running")
	b.must(b.rdb.SetRange(ctx(t), b.key("{1001}:trace"), ledger.MaxTrace-2, "x").Err())
	b.must(b.Append(ctx(t), id, "r1", ledger.MaxTrace-1, []byte("y")))
	var full *ledger.RangeError
	if err := b.Append(ctx(t), id, "r1", ledger.MaxTrace, []byte("z")); !errors.As(err, &full) || full.Size != ledger.MaxTrace {
		t.Errorf("error = %v, want a RangeError that continues at the offset itself", err)
	}
	b.must(b.Append(ctx(t), id, "r1", ledger.MaxTrace-1, []byte("y")))
	b.must(b.rdb.Del(ctx(t), b.key("{1001}:trace")).Err())
}

func TestTraceReadsPieces(t *testing.T) {
	b := open(t)
	b.bring("running")
	b.must(b.Append(ctx(t), id, "r1", 4, []byte("56789")))
	for _, tt := range []struct {
		offset, limit int64
		want          string
	}{{0, 4, "1234"}, {4, 3, "567"}, {7, 100, "89"}, {9, 5, ""}, {50, 5, ""}} {
		got, err := b.Trace(ctx(t), id, tt.offset, tt.limit)
		if err != nil || string(got) != tt.want {
			t.Errorf("from %d, %d bytes: %q, %v; want %q", tt.offset, tt.limit, got, err, tt.want)
		}
	}
	if got, err := b.Trace(ctx(t), 999, 0, 5); err != nil || len(got) != 0 {
		t.Errorf("trace of an unknown job: %q, %v", got, err)
	}
}

func TestWakesDeliverWhatChanges(t *testing.T) {
	s := redistest.Private(t)
	b := on(t, s)
	b.bring("running")
	c, cancel := context.WithCancel(ctx(t))
	woken, ended := make(chan int64, 1000), make(chan error, 1)
	go func() { ended <- b.Wakes(c, func(id int64) { woken <- id }) }()
	listening := func() {
		t.Helper()
		b.eventually("the listener listens", func() bool {
			_ = b.Wake(ctx(t), 7)
			select {
			case <-woken:
				return true
			default:
				return false
			}
		})
	}
	await := func(what string, want int64) {
		t.Helper()
		b.eventually(what+" wakes", func() bool {
			select {
			case got := <-woken:
				return got == want
			default:
				return false
			}
		})
	}
	listening()
	b.must(b.rdb.Publish(ctx(t), b.key("wake"), "no number").Err())
	b.must(b.Append(ctx(t), id, "r1", 4, []byte("5")))
	await("Append", id)
	b.must(b.Finish(ctx(t), id, "r1", result, 5))
	await("Finish", id)

	b.must(s.Restart(ctx(t)))
	listening()

	cancel()
	if err := <-ended; err != nil {
		t.Errorf("cancellation is an error: %v", err)
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{128, 16 << 10} {
		b.Run(fmt.Sprint(size, " bytes"), func(b *testing.B) {
			l := open(b)
			l.bring("running")
			data, offset := bytes.Repeat([]byte("x"), size), int64(4)
			b.SetBytes(int64(size))
			for b.Loop() {
				if offset+int64(size) > ledger.MaxTrace {
					l.must(l.rdb.Del(ctx(b), l.key("{1001}:trace")).Err())
					offset = 0
				}
				l.must(l.Append(ctx(b), id, "r1", offset, data))
				offset += int64(size)
			}
		})
	}
}

func BenchmarkRenew(b *testing.B) {
	l := open(b)
	l.bring("running")
	for b.Loop() {
		l.must(l.renew("r1"))
	}
}
