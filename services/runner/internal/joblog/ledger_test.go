package joblog_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/pkg/eventually"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
	"github.com/towline/towline/services/runner/internal/joblog"
)

const (
	id     = int64(1001)
	holder = "r1/0/x"
	lease  = time.Minute
)

// claimed is a ledger with one claimed job.
func claimed(t *testing.T, s *redistest.Server) (*ledger.Ledger, ledger.Claim) {
	t.Helper()
	rdb, err := ledger.Open(s.URL + "?read_timeout=2s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rdb.Close() })
	l := ledger.New(rdb, redistest.Prefix(t))
	must(t, l.Accept(t.Context(), id, []byte("payload"), "r1/0"))
	must(t, l.Enqueue(t.Context(), id, []byte("grant")))
	c, err := l.Claim(t.Context(), id, holder, lease)
	must(t, err)
	return l, c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func shipping(t *testing.T, led *ledger.Ledger) (*joblog.Log, chan error) {
	t.Helper()
	l := joblog.New(joblog.Config{Job: id, Runner: holder, Sink: led, Limit: 8 << 20, Phrases: []string{"secret-word"}})
	done := make(chan error, 1)
	go func() { done <- l.Ship(t.Context()) }()
	return l, done
}

func trace(t *testing.T, led *ledger.Ledger) string {
	t.Helper()
	b, err := led.Trace(t.Context(), id, 0, 16<<20)
	must(t, err)
	return string(b)
}

func TestALogOfManyPiecesInRedis(t *testing.T) {
	led, _ := claimed(t, redistest.New(t))
	l, done := shipping(t, led)
	var want strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(l, "line %d says secret-word €\n", i)
		fmt.Fprintf(&want, "line %d says [MASKED] €\n", i)
	}
	l.Close()
	must(t, <-done)
	if got := trace(t, led); got != want.String() || l.Size() != int64(len(got)) {
		t.Errorf("trace of %d bytes, log of %d, want %d", len(got), l.Size(), want.Len())
	}
}

func TestRedisPausedAndResumed(t *testing.T) {
	s := redistest.Private(t)
	led, _ := claimed(t, s)
	l, done := shipping(t, led)
	l.Printf("before")
	eventually.Is(t, "the first line", func() bool { return trace(t, led) == "before\n" })
	must(t, s.Pause())
	l.Printf("during")
	l.Close()
	select {
	case err := <-done:
		t.Fatalf("shipped to a Redis that does not answer: %v", err)
	case <-time.After(500 * time.Millisecond):
	}
	must(t, s.Resume())
	must(t, <-done)
	if got := trace(t, led); got != "before\nduring\n" {
		t.Errorf("trace = %q", got)
	}
}

func TestRedisFlushedAndTheJobRestored(t *testing.T) {
	s := redistest.Private(t)
	led, claim := claimed(t, s)
	l, done := shipping(t, led)
	l.Printf("before")
	eventually.Is(t, "the first line", func() bool { return trace(t, led) == "before\n" })
	must(t, s.Flush(t.Context()))
	l.Printf("after")
	l.Close()
	must(t, led.Restore(t.Context(), id, claim, holder, lease))
	must(t, <-done)
	if got := trace(t, led); got != "before\nafter\n" {
		t.Errorf("trace = %q", got)
	}
}

func TestALostJobTakesNoMore(t *testing.T) {
	led, _ := claimed(t, redistest.New(t))
	l := joblog.New(joblog.Config{Job: id, Runner: "somebody else", Sink: led, Limit: 100})
	l.Printf("x")
	if err := l.Ship(t.Context()); !errors.Is(err, ledger.ErrLost) {
		t.Error(err)
	}
	if got := trace(t, led); got != "" {
		t.Errorf("trace = %q", got)
	}
}
