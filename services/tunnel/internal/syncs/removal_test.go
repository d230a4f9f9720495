package syncs

import (
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/syncspec"
)

var goes = agentconfig.Manifests{
	Name: "web/shop", Project: "acme/shop", Interval: time.Hour, Chart: &agentconfig.Chart{Release: "shop", OnRemoval: "uninstall"},
}

// marked are the syncs that leave something to remove.
func (b *bench) marked() string {
	b.Helper()
	names, err := b.ledger.Marked(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return strings.Join(names, " ")
}

func TestARemovedEntryTakesItsReleaseAlong(t *testing.T) {
	b := open(t, goes)
	f := b.follower("t1")
	f.step(t.Context())
	serial, task := b.claim("web/shop")
	b.finish("web/shop", serial, syncspec.Report{State: syncspec.Succeeded, Commit: "c1", Entry: "web/shop"})
	if task.Remove || b.marked() != "web/shop" {
		t.Fatalf("%+v, marked %q", task, b.marked())
	}
	p := &pause{}
	f.remove(t.Context(), "web/shop", p)
	serial, task = b.claim("web/shop")
	if !task.Remove || serial != 2 || b.world.removed == nil || !strings.HasPrefix(b.world.removed.Grant, "grant for ") || strings.Contains(string(b.world.removed.Task), `"remove"`) {
		t.Fatalf("%d, %+v, %+v", serial, task, b.world.removed)
	}
	f.remove(t.Context(), "web/shop", p) // a runner is at work
	b.finish("web/shop", serial, syncspec.Report{State: syncspec.Failed, Entry: "web/shop", Problems: []string{"forbidden"}})
	f.remove(t.Context(), "web/shop", p)
	if p.failures != 1 || time.Until(p.until) < time.Second {
		t.Errorf("a failure: %+v", p)
	}
	f.remove(t.Context(), "web/shop", p)
	if rec, err := b.ledger.LoadSync(t.Context(), "web/shop"); err != nil || rec.Wanted != 2 {
		t.Errorf("it is tried again at once: %+v, %v", rec, err)
	}
	p.until = time.Time{}
	f.remove(t.Context(), "web/shop", p)
	serial, task = b.claim("web/shop")
	if !task.Remove || serial != 3 || !strings.Contains(string(b.world.removed.Task), `"remove":true`) {
		t.Errorf("%d, %+v", serial, task)
	}
	b.finish("web/shop", serial, syncspec.Report{State: syncspec.Succeeded, Entry: "web/shop"})
	f.remove(t.Context(), "web/shop", p)
	if b.marked() != "" || p.failures != 1 {
		t.Errorf("marked %q, %+v", b.marked(), p)
	}
}

func TestAReleaseStaysWhenPolicySaysSo(t *testing.T) {
	b := open(t, goes)
	f := b.follower("t1")
	f.step(t.Context())
	b.world.refuse = "the section gitops is gone as a whole"
	p := &pause{}
	f.remove(t.Context(), "web/shop", p)
	if _, task := b.claim("web/shop"); task.Remove || p.failures != 1 {
		t.Errorf("%+v, %+v", task, p)
	}
}

func TestWhatNobodyKnowsIsNotRemoved(t *testing.T) {
	b := open(t, goes)
	if err := b.ledger.Mark(t.Context(), "web/shop"); err != nil {
		t.Fatal(err)
	}
	p := &pause{}
	b.follower("t1").remove(t.Context(), "web/shop", p)
	if b.marked() != "" || p.failures != 1 || b.world.removed != nil {
		t.Errorf("marked %q, %+v", b.marked(), p)
	}
}

// Each word of the configuration counts as it stands now: removals looks at it.
func TestRemovalsFollowTheConfiguration(t *testing.T) {
	keeps := goes
	keeps.Chart = &agentconfig.Chart{Release: "shop", OnRemoval: "keep"}
	for name, tt := range map[string]struct {
		now    agentconfig.GitOps
		marked string
		asked  bool
	}{
		"still there":     {agentconfig.GitOps{Manifests: []agentconfig.Manifests{goes}, Written: true}, "web/shop", false},
		"another word":    {agentconfig.GitOps{Manifests: []agentconfig.Manifests{keeps}, Written: true}, "", false},
		"no section":      {agentconfig.GitOps{}, "web/shop", false},
		"out of its list": {agentconfig.GitOps{Written: true}, "web/shop", true},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, goes)
			f := b.follower("t1")
			f.step(t.Context())
			f.Entries = func() (agentconfig.GitOps, *policyapi.Configuration) { return tt.now, nil }
			f.lookForRemovals(t.Context(), []string{"web/shop"}, map[string]*pause{})
			if got := b.marked(); got != tt.marked || (b.world.removed != nil) != tt.asked {
				t.Errorf("marked %q, asked %v", got, b.world.removed)
			}
		})
	}
}
