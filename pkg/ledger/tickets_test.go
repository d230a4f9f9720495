package ledger_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
)

func (b *bench) take(want string) {
	b.tb.Helper()
	got, err := b.Take(ctx(b.tb), rand.Text(), 0)
	if errors.Is(err, ledger.ErrNone) {
		got = "none"
	} else {
		b.must(err)
	}
	if got != want {
		b.tb.Errorf("Take = %s, want %s", got, want)
	}
	b.everythingExpires()
}

func (b *bench) offered(want int64) {
	b.tb.Helper()
	if n, err := b.Tickets(ctx(b.tb)); err != nil || n != want {
		b.tb.Errorf("%d tickets on offer, %v; want %d", n, err, want)
	}
	b.everythingExpires()
}

func TestTicketIsTakenOnceAndComesBack(t *testing.T) {
	b := open(t)
	b.take("none")
	b.must(b.Offer(ctx(t), "r1/0", long))
	b.must(b.Offer(ctx(t), "r1/0", long)) // a renewal
	b.offered(1)
	b.take("r1/0")
	b.take("none")

	b.must(b.Offer(ctx(t), "r1/0", long)) // the runner does not know yet
	b.offered(0)
	b.take("none")

	b.must(b.Return(ctx(t), "r1/0"))
	b.offered(1)
	b.must(b.Return(ctx(t), "r1/0")) // again: nothing is held
	b.offered(1)
	b.take("r1/0")
}

func TestHoldEndsByItself(t *testing.T) {
	b := open(t)
	b.must(b.Offer(ctx(t), "r1/0", long))
	b.take("r1/0")
	held := "{tickets}:held:r1/0"
	if ttl := b.keys()[held]; ttl <= ledger.HoldTTL-long || ttl > ledger.HoldTTL {
		t.Errorf("held for %s, want %s", ttl, ledger.HoldTTL)
	}
	b.must(b.rdb.PExpire(ctx(t), b.key(held), time.Millisecond).Err())
	b.eventually("the ticket is on offer again", func() bool {
		b.must(b.Offer(ctx(t), "r1/0", long))
		n, err := b.Tickets(ctx(t))
		return err == nil && n == 1
	})
}

func TestARepeatedTakeGetsWhatTheFirstHasTaken(t *testing.T) {
	b := open(t)
	take := func(claim, want string) {
		t.Helper()
		got, err := b.Take(ctx(t), claim, 0)
		if errors.Is(err, ledger.ErrNone) {
			got, err = "none", nil
		}
		if b.must(err); got != want {
			t.Errorf("Take of %s = %s, want %s", claim, got, want)
		}
		b.everythingExpires()
	}
	for n := range 3 {
		b.must(b.Offer(ctx(t), fmt.Sprintf("r1/%d", n), long+time.Duration(3-n)*time.Second))
	}
	take("a", "r1/0")
	b.must(b.rdb.PExpire(ctx(t), b.key("{tickets}:held:r1/0"), long).Err())
	take("a", "r1/0") // the answer was lost
	if ttl := b.keys()["{tickets}:held:r1/0"]; ttl <= long {
		t.Errorf("held for %s more, want %s", ttl, ledger.HoldTTL)
	}
	b.offered(2)
	take("b", "r1/1")
	take("a", "r1/2") // another was taken meanwhile: r1/0 may be that other's by now
	take("c", "none")

	b.must(b.Return(ctx(t), "r1/2"))
	take("a", "r1/2")
	b.must(b.Withdraw(ctx(t), "r1/2"))
	take("a", "none")
	b.must(b.Offer(ctx(t), "r1/2", long))
	take("d", "r1/2")
	take("a", "none")
}

// TestAnAnswerThatIsLostCostsNoSlot: the client repeats what it was not answered,
// and its caller does after that.
func TestAnAnswerThatIsLostCostsNoSlot(t *testing.T) {
	s := redistest.New(t)
	b := on(t, s)
	b.must(b.Offer(ctx(t), "r1/0", 2*long))
	b.must(b.Offer(ctx(t), "r1/1", long))
	b.take("r1/0")
	b.must(b.Return(ctx(t), "r1/0")) // the server knows the scripts now
	deaf := ledger.New(s.Losing(t, b.key("{tickets}"), 2), b.prefix)
	if ticket, err := deaf.Take(ctx(t), "a", 0); err == nil {
		t.Fatalf("Take = %s although no answer came", ticket)
	}
	ticket, err := deaf.Take(ctx(t), "a", 0)
	b.must(err)
	b.must(b.Return(ctx(t), ticket))
	b.offered(2)
}

func TestWithdrawnTicketIsGoneWhereverItWas(t *testing.T) {
	b := open(t)
	b.must(b.Offer(ctx(t), "r1/0", long))
	b.must(b.Offer(ctx(t), "r1/1", 2*long))
	b.take("r1/1")
	for _, ticket := range []string{"r1/0", "r1/1", "never/0"} {
		b.must(b.Withdraw(ctx(t), ticket))
		b.must(b.Return(ctx(t), ticket))
	}
	b.offered(0)
	left := b.keys()
	delete(left, "{tickets}:bell")
	delete(left, "{tickets}:held:") // names what was taken last, and nothing that is held
	if len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	b.must(b.Offer(ctx(t), "r1/1", long))
	b.take("r1/1")
}

func TestTicketOfADeadRunnerIsVoid(t *testing.T) {
	b := open(t)
	b.must(b.Offer(ctx(t), "dead/0", short))
	b.must(b.Offer(ctx(t), "alive/0", long))
	b.eventually("only one ticket counts", func() bool {
		n, err := b.Tickets(ctx(t))
		b.must(err)
		return n == 1
	})
	b.take("alive/0")
	b.take("none")
}

func TestTicketsOfDeadRunnersDoNotPileUp(t *testing.T) {
	b := open(t)
	for n := range 50 {
		b.must(b.Offer(ctx(t), fmt.Sprintf("dead-%d/0", n), time.Millisecond))
	}
	b.eventually("the set holds the living only", func() bool {
		b.must(b.Offer(ctx(t), "alive/0", long))
		n, err := b.rdb.ZCard(ctx(t), b.key("{tickets}")).Result()
		b.must(err)
		return n == 1
	})
}

func TestExpiredTicketIsNeitherTakenNorReturned(t *testing.T) {
	b := open(t)
	past := float64(time.Now().Add(-time.Minute).UnixMilli())
	expired := z("dead/0")
	expired.Score = past
	b.must(b.rdb.ZAdd(ctx(t), b.key("{tickets}"), expired).Err())
	b.take("none")

	b.must(b.rdb.Set(ctx(t), b.key("{tickets}:held:dead/0"), int64(past), long).Err())
	b.must(b.Return(ctx(t), "dead/0"))
	b.offered(0)
}

func TestReturnOfAGarbledHoldIsHarmless(t *testing.T) {
	b := open(t)
	b.must(b.rdb.Set(ctx(t), b.key("{tickets}:held:r1/0"), "garbage", long).Err())
	b.must(b.Return(ctx(t), "r1/0"))
	b.offered(0)
}

func TestTheFreshestTicketGoesFirst(t *testing.T) {
	b := open(t)
	for n, ticket := range []string{"old/0", "fresh/0", "middle/0"} {
		b.must(b.Offer(ctx(t), ticket, []time.Duration{long, 3 * long, 2 * long}[n]))
	}
	b.take("fresh/0")
	b.take("middle/0")
	b.take("old/0")
}

func TestTakeWaitsForATicket(t *testing.T) {
	b := open(t)
	b.must(b.Offer(ctx(t), "r1/0", long))
	b.take("r1/0")
	for _, tt := range []struct {
		name string
		ring func() error
	}{
		{"returned", func() error { return b.Return(ctx(t), "r1/0") }},
		{"offered", func() error { return b.Offer(ctx(t), "r1/1", long) }},
	} {
		for { // a bell may be left over
			if _, err := b.Take(ctx(t), rand.Text(), short); !errors.Is(err, ledger.ErrNone) {
				t.Fatalf("a wait in vain: %v, want ErrNone", err)
			}
			if _, rings := b.keys()["{tickets}:bell"]; !rings {
				break
			}
		}
		got := make(chan string, 1)
		go func() {
			ticket, err := b.Take(ctx(t), rand.Text(), 10*time.Second)
			if err != nil {
				t.Error(err)
			}
			got <- ticket
		}()
		b.blocked("1")
		b.must(tt.ring())
		if ticket := <-got; ticket == "" {
			t.Errorf("a ticket is %s and nobody takes it", tt.name)
		}
	}
}

func TestEveryWaiterGetsATicket(t *testing.T) {
	b := open(t)
	const waiters = 5
	got := make(chan string, waiters)
	for range waiters {
		go func() {
			ticket, err := b.Take(ctx(t), rand.Text(), 10*time.Second)
			if err != nil {
				t.Error(err)
			}
			got <- ticket
		}()
	}
	b.blocked(fmt.Sprint(waiters))
	seen := map[string]bool{}
	for n := range waiters {
		b.must(b.Offer(ctx(t), fmt.Sprintf("r/%d", n), long))
	}
	for range waiters {
		seen[<-got] = true
	}
	if len(seen) != waiters {
		t.Errorf("%d waiters got %v", waiters, seen)
	}
}

func TestManyTunnelsTakeEachTicketOnce(t *testing.T) {
	b := open(t)
	const tunnels, tickets = 20, 30
	want := map[string]int{}
	for n := range tickets {
		ticket := fmt.Sprintf("r/%d", n)
		want[ticket] = 1
		b.must(b.Offer(ctx(t), ticket, long))
	}
	var mu sync.Mutex
	got := map[string]int{}
	var wg sync.WaitGroup
	for range tunnels {
		wg.Go(func() {
			for {
				ticket, err := b.Take(ctx(t), rand.Text(), 0)
				if errors.Is(err, ledger.ErrNone) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				got[ticket]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
