package syncs

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/syncspec"
)

// never is a window that is not open these days.
func never() agentconfig.Window {
	day := time.Now().UTC().AddDate(0, 0, 3)
	return agentconfig.Window{Days: []string{strings.ToLower(day.Format("Mon"))}, From: "00:00", To: "00:00"}
}

// A task that no runner has when the entry is suspended, or its window closes, is
// taken back until the entry may be synced again.
func TestWhatWaitsIsWithdrawn(t *testing.T) {
	for name, closing := range map[string]func(*agentconfig.Manifests){
		"suspended": func(m *agentconfig.Manifests) { m.Suspend = true },
		"closed":    func(m *agentconfig.Manifests) { m.Windows = []agentconfig.Window{never()} },
	} {
		b := open(t, shop)
		f := b.follower("t1")
		f.step(t.Context())
		closing(&f.entry)
		f.step(t.Context())
		f.step(t.Context())
		if _, _, err := b.ledger.ClaimSync(t.Context(), "shop", "runner", time.Minute); !errors.Is(err, ledger.ErrState) {
			t.Errorf("%s: claimed: %v", name, err)
		}
		f.entry = shop
		f.step(t.Context())
		serial, task := b.claim("shop")
		if serial != 2 || task.Commit != "c1" {
			t.Errorf("%s: %d, %+v", name, serial, task)
		}
		closing(&f.entry) // what is under way comes to its end
		f.step(t.Context())
		b.finish("shop", serial, syncspec.Report{State: syncspec.Succeeded, Commit: "c1", Entry: "shop", Objects: 1})
		f.step(t.Context())
		b.told(pendingC1, successC1)
	}
}

func TestWhatIsKnownIsKept(t *testing.T) {
	b := open(t, shop)
	f := b.follower("t1")
	f.step(t.Context())
	f.step(t.Context())
	if f.kept.IsZero() {
		t.Error("the ledger forgets an entry that is followed")
	}
}
