package syncs

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/pace"
)

// A repository that comes slowly holds up nobody else, and succeeds in the end,
// or says why it does not.
func TestSlowRepositoriesHoldUpNobody(t *testing.T) {
	slow := agentconfig.Manifests{Name: "slow", Project: "acme/slow", Globs: shop.Globs, Interval: time.Hour}
	b := open(t, slow)
	b.world.slow = make(chan error)
	f := b.follower("t1")
	f.turns.quickly = 20 * time.Millisecond
	step := func() (done chan struct{}) {
		done = make(chan struct{})
		go func() { defer close(done); f.step(t.Context()) }()
		return done
	}
	isLong := func() bool { return len(f.turns.long) == 1 && len(f.turns.quick) == 0 }

	done := step()
	until(t, isLong)
	other := b.follower("t1")
	other.entry, other.turns.quick, other.turns.long = shop, f.turns.quick, f.turns.long
	other.step(t.Context())
	if _, task := b.claim("shop"); task.Commit != "c1" {
		t.Errorf("%+v", task)
	}
	b.world.slow <- nil
	<-done
	if _, task := b.claim("slow"); task.Commit != "c1" || f.problem != "" {
		t.Errorf("%+v, %q", task, f.problem)
	}

	// What is known to be slow does not try to be quick again, and fails clearly.
	b.world.head, f.long = "c2", true
	done = step()
	until(t, isLong)
	b.world.slow <- fmt.Errorf("%w: 7 bytes in 30s", pace.ErrTooSlow)
	<-done
	if want := "reading project acme/slow: archive of c2: it comes too slowly: 7 bytes in 30s"; f.problem != want || f.looks != 1 || !f.long {
		t.Errorf("%q, want %q", f.problem, want)
	}

	// A server that has become quick is quick again.
	f.lookAt, f.turns.quickly = time.Time{}, time.Minute
	done = step()
	b.world.slow <- nil
	<-done
	if f.long || f.commit != "c2" {
		t.Errorf("long %v, commit %s, %q", f.long, f.commit, f.problem)
	}

	// GitLab has heard of each change, and of each once.
	var want []string
	for _, commit := range []string{"c1", "c2"} {
		want = append(want, "42 "+commit+" towline/prod/slow pending: waiting for the archive of acme/slow: it comes slowly and is given more time",
			"42 "+commit+" towline/prod/slow running: the archive has come; waiting for a runner")
	}
	want = append(want, "42 c1 towline/prod/slow canceled: superseded by c2")
	said := slices.DeleteFunc(b.world.statuses, func(s string) bool { return strings.Contains(s, "prod/shop") })
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
}

func until(t *testing.T, what func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !what() {
		select {
		case <-t.Context().Done():
			t.Fatal("not in time")
		case <-tick.C:
		}
	}
}
