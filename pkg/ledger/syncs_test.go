package ledger_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/ledger"
)

const entry = "acme/shop"

func (b *bench) want(task string) int64 {
	b.tb.Helper()
	n, err := b.WantSync(b.tb.Context(), entry, []byte(task))
	b.must(err)
	return n
}

func (b *bench) claimSync(holder string, ttl time.Duration) (int64, string) {
	b.tb.Helper()
	name, err := b.NextSync(b.tb.Context(), time.Second)
	b.must(err)
	if name != entry {
		b.tb.Fatalf("next sync is %q", name)
	}
	n, task, err := b.ClaimSync(b.tb.Context(), name, holder, ttl)
	b.must(err)
	return n, string(task)
}

func TestTheNewestTaskWins(t *testing.T) {
	b := open(t)
	b.want("one")
	two := b.want("two")
	if n, task := b.claimSync("r1", long); n != two || task != "two" {
		t.Fatalf("claimed %d %q", n, task)
	}
	if cancel, err := b.RenewSync(t.Context(), entry, "r1", long); cancel != "" || err != nil {
		t.Errorf("renew: %q, %v", cancel, err)
	}
	three := b.want("three")
	if cancel, err := b.RenewSync(t.Context(), entry, "r1", long); cancel != ledger.CancelSuperseded || err != nil {
		t.Errorf("renew: %q, %v", cancel, err)
	}
	if _, _, err := b.ClaimSync(t.Context(), entry, "r2", long); !errors.Is(err, ledger.ErrState) {
		t.Errorf("claimed twice: %v", err)
	}
	b.must(b.FinishSync(t.Context(), entry, "r1", two, []byte("stopped")))
	if n, task := b.claimSync("r2", long); n != three || task != "three" {
		t.Fatalf("claimed %d %q", n, task)
	}
	b.must(b.FinishSync(t.Context(), entry, "r2", three, []byte("done")))
	r, err := b.LoadSync(t.Context(), entry)
	b.must(err)
	if diff := cmp.Diff(ledger.SyncRecord{State: ledger.SyncDone, Wanted: three, Of: three, Result: []byte("done")}, r); diff != "" {
		t.Error(diff)
	}
	if _, err := b.NextSync(t.Context(), time.Second); !errors.Is(err, ledger.ErrNone) {
		t.Errorf("something is left: %v", err)
	}
}

func TestAClaimOfASyncWhoseAnswerWasLost(t *testing.T) {
	b := open(t)
	one := b.want("one")
	b.claimSync("r1", long)
	again := func(want int64, task string) {
		t.Helper()
		n, got, err := b.ClaimSync(t.Context(), entry, "r1", long)
		if err != nil || n != want || string(got) != task {
			t.Errorf("claimed %d %q, %v; want %d %q", n, got, err, want, task)
		}
	}
	again(one, "one")
	two := b.want("two")
	again(two, "two") // so there is nothing to stop for
	if cancel, err := b.RenewSync(t.Context(), entry, "r1", long); cancel != "" || err != nil {
		t.Errorf("renew: %q, %v", cancel, err)
	}
	b.must(b.FinishSync(t.Context(), entry, "r1", two, []byte("done")))
	if _, _, err := b.ClaimSync(t.Context(), entry, "r1", long); !errors.Is(err, ledger.ErrState) {
		t.Errorf("claimed after its end: %v, want ErrState", err)
	}
}

func TestATaskOfTheSameLetsTheOlderOneEnd(t *testing.T) {
	b := open(t)
	one := b.want("one")
	b.claimSync("r1", long)
	two, err := b.WantSyncNext(t.Context(), entry, []byte("two"))
	b.must(err)
	if cancel, err := b.RenewSync(t.Context(), entry, "r1", long); cancel != "" || err != nil {
		t.Errorf("renew: %q, %v", cancel, err)
	}
	b.must(b.FinishSync(t.Context(), entry, "r1", one, []byte("done")))
	if n, task := b.claimSync("r2", long); n != two || task != "two" {
		t.Errorf("claimed %d %q", n, task)
	}
	// Once it was asked to stop, nothing takes that back.
	b.want("three")
	_, err = b.WantSyncNext(t.Context(), entry, []byte("four"))
	b.must(err)
	if cancel, err := b.RenewSync(t.Context(), entry, "r2", long); cancel != ledger.CancelSuperseded || err != nil {
		t.Errorf("renew: %q, %v", cancel, err)
	}
}

func TestASyncOfADeadRunnerIsTakenAgain(t *testing.T) {
	b := open(t)
	n := b.want("task")
	b.claimSync("r1", short)
	for {
		r, err := b.LoadSync(t.Context(), entry)
		b.must(err)
		if !r.Leased {
			break
		}
		b.must(b.RepairSync(t.Context(), entry)) // changes nothing while the lease lasts
	}
	b.must(b.RepairSync(t.Context(), entry))
	b.must(b.RepairSync(t.Context(), entry)) // once is enough
	if again, task := b.claimSync("r2", long); again != n || task != "task" {
		t.Errorf("claimed %d %q", again, task)
	}
	if err := b.FinishSync(t.Context(), entry, "r1", n, nil); !errors.Is(err, ledger.ErrLost) {
		t.Errorf("the dead one finished: %v", err)
	}
	if _, err := b.RenewSync(t.Context(), entry, "r1", long); !errors.Is(err, ledger.ErrLost) {
		t.Errorf("the dead one renewed: %v", err)
	}
	if _, err := b.NextSync(t.Context(), time.Second); !errors.Is(err, ledger.ErrNone) {
		t.Errorf("queued twice: %v", err)
	}
}

func TestASyncThatIsMissingInTheQueueIsPutBack(t *testing.T) {
	b := open(t)
	b.want("task")
	if _, err := b.NextSync(t.Context(), time.Second); err != nil { // and its taker dies
		t.Fatal(err)
	}
	b.must(b.RepairSync(t.Context(), entry))
	b.claimSync("r1", long)
	if _, err := b.LoadSync(t.Context(), "other"); !errors.Is(err, ledger.ErrUnknown) {
		t.Errorf("unknown sync: %v", err)
	}
}

func TestAWithdrawnTaskIsNotClaimed(t *testing.T) {
	b := open(t)
	if err := b.WithdrawSync(t.Context(), entry); !errors.Is(err, ledger.ErrUnknown) {
		t.Errorf("unknown: %v", err)
	}
	b.want("one")
	b.must(b.WithdrawSync(t.Context(), entry))
	b.must(b.RepairSync(t.Context(), entry))
	name, err := b.NextSync(t.Context(), time.Second) // it stays in the queue, and means nothing
	b.must(err)
	if _, _, err := b.ClaimSync(t.Context(), name, "r1", long); !errors.Is(err, ledger.ErrState) {
		t.Errorf("claimed: %v", err)
	}
	two := b.want("two")
	if n, _ := b.claimSync("r1", long); n != two {
		t.Errorf("claimed %d", n)
	}
	if err := b.WithdrawSync(t.Context(), entry); !errors.Is(err, ledger.ErrState) {
		t.Errorf("withdrawn from a runner: %v", err)
	}
}

func TestWhatIsKnownOfASyncIsHeld(t *testing.T) {
	b := open(t)
	b.want("one")
	for _, key := range []string{"", ":task"} {
		b.must(b.rdb.PExpire(t.Context(), b.key("{sync:"+entry+"}"+key), time.Minute).Err())
	}
	b.must(b.HoldSync(t.Context(), entry))
	for _, key := range []string{"", ":task"} {
		if left := b.rdb.PTTL(t.Context(), b.key("{sync:"+entry+"}"+key)).Val(); left < ledger.SyncTTL-time.Minute {
			t.Errorf("%q goes in %s", key, left)
		}
	}
}

func TestOneTunnelFollows(t *testing.T) {
	b := open(t)
	for i, want := range []bool{true, false} {
		if got, err := b.FollowSync(t.Context(), entry, []string{"t1", "t2"}[i], long); got != want || err != nil {
			t.Errorf("%d: %v, %v", i, got, err)
		}
	}
	b.must(b.LeaveSync(t.Context(), entry, "t1"))
	if got, err := b.FollowSync(t.Context(), entry, "t2", long); !got || err != nil {
		t.Errorf("handed over: %v, %v", got, err)
	}
}

// xor stands for the sealing box.
type xor struct{}

func (xor) Seal(plain []byte, purpose string) ([]byte, error) {
	return append([]byte(purpose+"\n"), plain...), nil
}

func (xor) Open(sealed []byte, purpose string) ([]byte, error) {
	plain, ok := bytes.CutPrefix(sealed, []byte(purpose+"\n"))
	if !ok {
		return nil, errors.New("sealed for another purpose")
	}
	return plain, nil
}

func TestBundlesAreStoredInPieces(t *testing.T) {
	b := open(t)
	for _, size := range []int{0, 1, 512 << 10, 512<<10 + 1, 3 << 20} {
		content := make([]byte, size)
		_, _ = rand.Read(content)
		digest := "sha256:" + string(rune('a'+size%7))
		if there, err := b.HoldBundle(t.Context(), digest); there || err != nil {
			t.Errorf("%d: %v, %v before", size, there, err)
		}
		b.must(b.PutBundle(t.Context(), xor{}, digest, content))
		if there, err := b.HoldBundle(t.Context(), digest); !there || err != nil {
			t.Errorf("%d: %v, %v after", size, there, err)
		}
		got, err := b.Bundle(t.Context(), xor{}, digest)
		b.must(err)
		if !bytes.Equal(got, content) {
			t.Errorf("%d bytes became %d others", size, len(got))
		}
		b.rdb.Del(t.Context(), b.key("{bundle:"+digest+"}:0"))
		if there, err := b.HoldBundle(t.Context(), digest); there || err != nil {
			t.Errorf("%d: %v, %v without its first piece", size, there, err)
		}
		if _, err := b.Bundle(t.Context(), xor{}, digest); !errors.Is(err, ledger.ErrUnknown) {
			t.Errorf("%d: %v without its first piece", size, err)
		}
		b.rdb.Del(t.Context(), b.key("{bundle:"+digest+"}"))
	}
	if err := b.PutBundle(t.Context(), xor{}, "big", make([]byte, ledger.MaxBundle+1)); err == nil {
		t.Error("too large a bundle was stored")
	}
}
