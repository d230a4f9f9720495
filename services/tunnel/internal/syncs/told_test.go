package syncs

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

const (
	pendingC1 = "42 c1 towline/prod/shop pending: waiting for a runner"
	successC1 = "42 c1 towline/prod/shop success: 1 objects"
)

func (b *bench) told(want ...string) {
	b.Helper()
	if diff := cmp.Diff(want, b.world.statuses); diff != "" {
		b.Error(diff)
	}
}

func (b *bench) succeeded(serial int64, commit string) {
	b.Helper()
	b.finish("shop", serial, syncspec.Report{State: syncspec.Succeeded, Commit: commit, Entry: "shop", Objects: 1})
}

// A sync that ends while no tunnel is there is told by the next one.
func TestAResultOutlivesTheTunnel(t *testing.T) {
	b := open(t, shop)
	b.follower("t1").step(t.Context())
	serial, _ := b.claim("shop")
	if err := b.ledger.LeaveSync(t.Context(), "shop", "t1"); err != nil {
		t.Fatal(err)
	}
	b.succeeded(serial, "c1")
	b.follower("t2").step(t.Context())
	b.told(pendingC1, successC1)
}

// GitLab is told later when it has not answered, but not when it has refused.
func TestAStatusThatIsOwed(t *testing.T) {
	for name, tt := range map[string]struct {
		unheard error
		later   bool
	}{
		"away":    {errors.New("GitLab answers 502 Bad Gateway"), true},
		"refused": {fmt.Errorf("%w (403 Forbidden)", gitlab.ErrRefused), false},
	} {
		b := open(t, shop)
		f := b.follower("t1")
		f.step(t.Context())
		serial, _ := b.claim("shop")
		b.succeeded(serial, "c1")
		b.world.unheard = tt.unheard
		f.step(t.Context())
		b.world.unheard = nil
		f.step(t.Context())
		b.told(pendingC1) // not at each look
		if pause := time.Until(f.debts.at); tt.later != (pause > time.Second) || pause > owing.Min {
			t.Errorf("%s: again in %s", name, pause)
		}
		f.debts.at = time.Time{}
		f.step(t.Context())
		f.step(t.Context())
		if got := strings.Join(b.world.statuses, "\n"); (got == pendingC1+"\n"+successC1) != tt.later {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// A state that comes later stands in for one that GitLab has not heard of.
func TestOnlyTheNewestStateIsOwed(t *testing.T) {
	b := open(t, shop)
	b.world.unheard = errors.New("GitLab answers 429 Too Many Requests")
	f := b.follower("t1")
	f.step(t.Context())
	b.world.unheard = nil
	serial, _ := b.claim("shop")
	b.succeeded(serial, "c1")
	f.step(t.Context())
	f.debts.at = time.Time{}
	f.step(t.Context())
	b.told(successC1)
}

// What is canceled and owed is not told at each look either.
func TestACancellationThatIsOwed(t *testing.T) {
	b := open(t, shop)
	f := b.follower("t1")
	f.step(t.Context())
	b.world.head = "c2"
	f.step(t.Context())
	b.world.head, b.world.unheard = "c3", errors.New("GitLab answers 429 Too Many Requests")
	for range 3 {
		f.step(t.Context())
	}
	if f.debts.failures != 2 { // c3 is pending, c2 canceled
		t.Errorf("%d attempts", f.debts.failures)
	}
	b.world.unheard, f.debts.at = nil, time.Time{}
	f.step(t.Context())
	b.told(pendingC1, strings.ReplaceAll(pendingC1, "c1", "c2"), "42 c1 towline/prod/shop canceled: superseded by c2",
		strings.ReplaceAll(pendingC1, "c1", "c3"), "42 c2 towline/prod/shop canceled: superseded by c3")
}

// Nothing becomes of a commit that waits when its entry goes.
func TestWhatWaitsEndsWithItsEntry(t *testing.T) {
	b := open(t, shop)
	f := b.follower("t1")
	f.step(t.Context())
	f.leave(t.Context())
	b.told(pendingC1, "42 c1 towline/prod/shop canceled: the entry has left the configuration")
}
