package syncs

import (
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/syncspec"
)

// A commit that changes nothing of the entry lets the task that is under way come
// to its end, and follows it; one that changes something does not.
func TestACommitOfTheSameContentWaits(t *testing.T) {
	b := open(t, shop)
	b.world.files = map[string]string{"a.yaml": "same"}
	f := b.follower("t1")
	f.step(t.Context())
	serial, _ := b.claim("shop")
	word := func() string {
		t.Helper()
		word, err := b.ledger.RenewSync(t.Context(), "shop", "runner", time.Minute)
		if err != nil {
			t.Error(err)
		}
		return word
	}
	for _, head := range []string{"c2", "c3"} {
		b.world.head = head
		f.step(t.Context())
		if got := word(); got != "" {
			t.Errorf("%s: %q", head, got)
		}
	}
	b.finish("shop", serial, syncspec.Report{State: syncspec.Succeeded, Commit: "c1", Entry: "shop", Objects: 1})
	f.step(t.Context())
	serial, task := b.claim("shop")
	if task.Commit != "c3" || serial != 3 {
		t.Errorf("%d, %+v", serial, task)
	}
	var states []string
	for _, s := range b.world.statuses {
		states = append(states, strings.Fields(s)[1]+" "+strings.Fields(s)[3])
	}
	if got := strings.Join(states, " "); got != "c1 pending: c2 pending: c3 pending: c2 canceled: c1 success:" {
		t.Error(got)
	}
	b.world.head, b.world.files = "c4", map[string]string{"a.yaml": "another"}
	f.step(t.Context())
	if got := word(); got != ledger.CancelSuperseded {
		t.Errorf("other content: %q", got)
	}
	b.world.head = "c5"
	f.step(t.Context())
	if got := word(); got != ledger.CancelSuperseded {
		t.Errorf("what runs is not what was wanted before: %q", got)
	}
}

// The next tunnel takes a task over that is what it would want itself.
func TestATaskIsInherited(t *testing.T) {
	changed := shop
	changed.Interval = time.Minute
	for name, tt := range map[string]struct {
		head  string
		entry agentconfig.Manifests
		word  string
	}{
		"the same":          {"c1", shop, ""},
		"only a new commit": {"c2", shop, ""},
		"another entry":     {"c1", changed, ledger.CancelSuperseded},
	} {
		b := open(t, shop)
		b.world.files = map[string]string{"a.yaml": "same"}
		b.follower("t1").step(t.Context())
		serial, _ := b.claim("shop")
		if err := b.ledger.LeaveSync(t.Context(), "shop", "t1"); err != nil {
			t.Fatal(err)
		}
		f := b.follower("t2")
		b.world.head, f.entry = tt.head, tt.entry
		f.step(t.Context())
		f.step(t.Context())
		if word, err := b.ledger.RenewSync(t.Context(), "shop", "runner", time.Minute); word != tt.word || err != nil {
			t.Errorf("%s: %q, %v", name, word, err)
		}
		b.finish("shop", serial, syncspec.Report{State: syncspec.Succeeded, Commit: "c1", Entry: "shop", Objects: 1})
		f.step(t.Context())
		rec, err := b.ledger.LoadSync(t.Context(), "shop")
		if err != nil || (rec.State == ledger.SyncDone) != (name == "the same") {
			t.Errorf("%s: %+v, %v", name, rec, err)
		}
		if got := b.world.statuses[len(b.world.statuses)-1]; name == "the same" && got != "42 c1 towline/prod/shop success: 1 objects" {
			t.Errorf("%s: %v", name, b.world.statuses)
		}
	}
}

// A tunnel that has lost the entry for a while does not take what another one has
// wanted since for its own.
func TestWhatAnotherTunnelHasWantedMeanwhile(t *testing.T) {
	b := open(t, shop)
	b.world.files = map[string]string{"a.yaml": "one"}
	first, second := b.follower("t1"), b.follower("t2")
	step := func(f, from *follower, head, content string) {
		t.Helper()
		if from != nil {
			if err := b.ledger.LeaveSync(t.Context(), "shop", from.Tunnel); err != nil {
				t.Fatal(err)
			}
		}
		b.world.head, b.world.files = head, map[string]string{"a.yaml": content}
		f.step(t.Context())
	}
	step(first, nil, "c1", "one")
	step(second, first, "c2", "two")
	b.claim("shop")
	step(first, second, "c3", "one")
	if word, err := b.ledger.RenewSync(t.Context(), "shop", "runner", time.Minute); word != ledger.CancelSuperseded || err != nil {
		t.Errorf("%q, %v", word, err)
	}
}
