package syncs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/seal"
	"github.com/towline/towline/pkg/syncspec"
)

// view is what runners can read.
func (b *bench) view(name string) syncspec.View {
	b.Helper()
	var v syncspec.View
	text, err := b.ledger.View(b.Context(), b.seal, name)
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	if err != nil {
		b.Fatal(err)
	}
	return v
}

func TestAWishHasTheSourceLookedAt(t *testing.T) {
	b := open(t, shop)
	f := b.follower("t1")
	f.step(t.Context())
	if v := b.view("shop"); v.Head() != "c1" || v.ProjectID != 42 || v.Answered != 0 || v.Entry.Project != "acme/shop" || v.Note != "" {
		t.Errorf("%+v", v)
	}
	serial, _ := b.claim("shop")
	b.finish("shop", serial, syncspec.Report{State: syncspec.Failed, Commit: "c1", Entry: "shop", Problems: []string{"wrong"}})
	f.step(t.Context())
	f.outlook.asked.Store(true)
	f.step(t.Context())
	if serial, _ := b.claim("shop"); serial != 2 {
		t.Errorf("a wish does not shorten the pause after a failure: serial %d", serial)
	}
	b.finish("shop", 2, syncspec.Report{State: syncspec.Failed, Commit: "c1", Entry: "shop", Problems: []string{"wrong"}})
	f.step(t.Context())
	f.outlook.asked.Store(true)
	b.world.head = "c2"
	f.step(t.Context())
	if v := b.view("shop"); v.Answered != 2 || strings.Join(v.Heads, " ") != "c1 c2" {
		t.Errorf("%+v", v)
	}
}

func TestAWishDoesNotShortenEveryPause(t *testing.T) {
	b := open(t, shop)
	f := b.follower("t1")
	f.failures, f.again = 3, time.Now().Add(time.Hour)
	for range 2 {
		f.outlook.asked.Store(true)
		if !f.takeWish() || !f.again.IsZero() {
			t.Error("a first wish does not count")
		}
		f.again = time.Now().Add(time.Hour)
		f.outlook.asked.Store(true)
		if !f.takeWish() || f.again.IsZero() {
			t.Error("a second wish at once shortens the pause, too")
		}
		f.outlook.hurried = time.Now().Add(-hurryEvery)
	}
}

func TestWishesAreBounded(t *testing.T) {
	b := open(t, shop)
	f := b.follower("t1")
	k := f.Keeper
	f.woken = make(chan struct{}, 1)
	k.followers["shop"] = f
	k.wish("shop", "")
	<-f.woken
	k.wish("shop", "")
	k.wish("nothing", "")
	if len(f.woken) != 0 || !f.outlook.asked.Load() || len(k.wishes) != 1 {
		t.Errorf("woken %d times, asked %t, %d wishes", len(f.woken), f.outlook.asked.Load(), len(k.wishes))
	}
}

func TestTheNextTunnelKnowsWhatTheLastOneKnew(t *testing.T) {
	b := open(t, shop)
	f := b.follower("t1")
	f.step(t.Context())
	b.world.head = "c2"
	f.outlook.asked.Store(true)
	f.step(t.Context())
	if err := b.ledger.LeaveSync(t.Context(), "shop", "t1"); err != nil {
		t.Fatal(err)
	}
	next := b.follower("t2")
	next.step(t.Context())
	f.step(t.Context())
	if v := b.view("shop"); strings.Join(v.Heads, " ") != "c1 c2" || v.Answered != 1 {
		t.Errorf("%+v", v)
	}
	if f.outlook.loaded {
		t.Error("who does not follow any more believes to know")
	}
	moved := shop
	moved.Ref.Branch = "other"
	third := &follower{Keeper: next.Keeper, entry: moved}
	if err := third.recall(t.Context()); err != nil || len(third.outlook.Heads) > 0 || third.outlook.Answered != 1 {
		t.Errorf("commits of another ref: %v, %v", third.outlook.Heads, err)
	}
}

func TestWhyNothingGoesOn(t *testing.T) {
	suspended, closed, dependent := shop, shop, shop
	suspended.Suspend = true
	closed.Windows = []agentconfig.Window{never()}
	dependent.DependsOn = []string{"base"}
	for want, m := range map[string]*follower{
		"the entry is suspended":                   open(t, suspended).follower("t"),
		"the entry is outside of its windows":      open(t, closed).follower("t"),
		"those that it depends on have succeeded:": open(t, dependent).follower("t"),
	} {
		m.step(t.Context())
		box, ok := m.Seal.(*seal.Box)
		if !ok {
			t.Fatal("the seal is another one")
		}
		b := &bench{T: t, ledger: m.Ledger, seal: box}
		if v := b.view("shop"); !strings.Contains(v.Note, want) {
			t.Errorf("%q, want %q", v.Note, want)
		}
	}
	b := open(t, shop)
	b.world.head = ""
	b.follower("t1").step(t.Context())
	if v := b.view("shop"); !strings.Contains(v.Note, "is not there, or --gitops-token-file may not read it") {
		t.Errorf("%q", v.Note)
	}
	b = open(t, shop)
	b.world.refuse = "not allowed"
	b.follower("t1").step(t.Context())
	if v := b.view("shop"); v.Refusals != 1 || v.Refused == nil || v.Refused.Commit != "c1" || v.Refused.Summary() != "not allowed; do this" {
		t.Errorf("%+v", v)
	}
}

func TestOfAnEntryThatIsGoneNothingIsKnown(t *testing.T) {
	b := open(t, shop)
	f := b.follower("t1")
	f.step(t.Context())
	f.gone.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.run(ctx)
	if _, err := b.ledger.View(t.Context(), b.seal, "shop"); !errors.Is(err, ledger.ErrUnknown) {
		t.Error(err)
	}
}

func (w *world) Includes(_ context.Context, _, _, later, commit string) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.compared = append(w.compared, commit+" "+later)
	return commit == "c0", nil
}

// A ref may move twice between two looks.
func TestACommitThatWasNeverSeenAtTheHead(t *testing.T) {
	b := open(t, shop)
	f := b.follower("t1")
	for _, c := range []string{"c0", "c0", "other", "c1", ""} {
		f.outlook.commits.add(c)
	}
	f.step(t.Context())
	if v := b.view("shop"); strings.Join(v.Heads, " ") != "c0 c1" || strings.Join(b.world.compared, ", ") != "c0 c1, other c1" {
		t.Errorf("%v after %v", v.Heads, b.world.compared)
	}
	for n := range 3 * maxAsked {
		f.outlook.commits.add(fmt.Sprint(n))
	}
	if got := f.outlook.commits.take(); len(got) != maxAsked || len(f.outlook.commits.take()) != 0 {
		t.Errorf("%d commits", len(got))
	}
}

// A wish that no look could follow is not answered: where the ref stands is not
// known.
func TestAWishIsAnsweredByALookAlone(t *testing.T) {
	b := open(t, shop)
	f := b.follower("t1")
	f.step(t.Context())
	b.world.head = ""
	for range 2 {
		f.outlook.asked.Store(true)
		f.step(t.Context())
	}
	if v := b.view("shop"); v.Answered != 0 || v.Head() != "c1" || v.Note == "" {
		t.Errorf("%+v", v)
	}
	b.world.head, f.lookAt = "c2", time.Time{}
	f.outlook.asked.Store(true)
	f.step(t.Context())
	if v := b.view("shop"); v.Answered != 1 || v.Head() != "c2" || v.Note != "" {
		t.Errorf("%+v", v)
	}
}
