package syncs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

var slowEntry = agentconfig.Manifests{Name: "slow", Project: "acme/slow", Globs: shop.Globs, Interval: time.Hour}

var errAway = errors.New("503 Service Unavailable")

// slowly is a follower whose archive comes to what try is given.
func slowly(t *testing.T) (b *bench, f *follower, try func(error)) {
	t.Helper()
	b = open(t, slowEntry)
	b.world.slow = make(chan error, 1)
	f = b.follower("t1")
	return b, f, func(err error) {
		t.Helper()
		b.world.slow <- err
		f.lookAt, f.again = time.Time{}, time.Time{}
		f.step(t.Context())
	}
}

// A commit whose archive cannot be fetched is pending, then failed, and succeeds
// once the archive comes; GitLab hears of each once.
func TestAnArchiveThatCannotBeFetchedIsSeen(t *testing.T) {
	b, f, try := slowly(t)
	try(errAway)
	if len(b.world.statuses) > 0 || b.view("slow").Note == "" {
		t.Errorf("one failure: %v, %q", b.world.statuses, b.view("slow").Note)
	}
	for range mentioned {
		try(errAway)
	}
	const pending = "waiting for the archive of acme/slow: 503 Service Unavailable; trying again"
	if got := b.view("slow"); got.Note != pending || got.Refused != nil {
		t.Errorf("%+v", got)
	}
	for f.waiting.tries < maxTries+2 {
		try(errAway)
	}
	const failed = "the archive of acme/slow cannot be fetched: 503 Service Unavailable; it is tried for again"
	if got := b.view("slow").Refused; got == nil || got.Summary() != failed || got.Commit != "c1" {
		t.Errorf("%+v", got)
	}
	try(nil)
	serial, task := b.claim("slow")
	b.finish("slow", serial, syncspec.Report{State: syncspec.Succeeded, Commit: task.Commit, Entry: "slow", Objects: 1})
	f.step(t.Context())
	want := []string{
		"42 c1 towline/prod/slow pending: " + pending,
		"42 c1 towline/prod/slow failed: " + failed,
		"42 c1 towline/prod/slow success: 1 objects",
	}
	if diff := cmp.Diff(want, b.world.statuses); diff != "" {
		t.Error(diff)
	}
	if got := b.view("slow"); got.Note != "" || got.Refused != nil || f.waiting != (waiting{}) {
		t.Errorf("%+v, %+v", got, f.waiting)
	}
}

// What has lasted long has failed however often it was tried; a new commit begins
// anew, and whatever else is wrong is said instead.
func TestAnArchiveThatIsWaitedForTooLong(t *testing.T) {
	b, f, try := slowly(t)
	try(errAway)
	f.waiting.since = f.waiting.since.Add(-maxWait)
	try(errAway)
	if got := strings.Join(b.world.statuses, "\n"); !strings.HasPrefix(got, "42 c1 towline/prod/slow failed: the archive of acme/slow") {
		t.Error(got)
	}
	b.world.head = "c2"
	try(errAway)
	if f.waiting.tries != 1 || len(b.world.statuses) != 1 {
		t.Errorf("%+v, %v", f.waiting, b.world.statuses)
	}
	try(errAway)
	b.world.head, f.lookAt = "", time.Time{}
	f.step(t.Context())
	if got := b.view("slow").Note; !strings.Contains(got, "is not there") {
		t.Error(got)
	}
}

// The commit that stands in the cluster is not pending again because a comparison
// has to wait, and what stops with the tunnel was no failure.
func TestAComparisonThatWaitsForTheArchive(t *testing.T) {
	b := open(t, slowEntry)
	b.world.slow = make(chan error, 1)
	f := b.follower("t1")
	b.world.slow <- nil
	f.step(t.Context())
	serial, _ := b.claim("slow")
	b.finish("slow", serial, syncspec.Report{State: syncspec.Succeeded, Commit: "c1", Entry: "slow", Objects: 1})
	f.step(t.Context())
	for range mentioned + 1 {
		f.bundle = "" // as if the ledger had lost it
		f.lookAt, f.again = time.Time{}, time.Time{}
		b.world.slow <- fmt.Errorf("%w (502 Bad Gateway)", gitlab.ErrRefused)
		f.step(t.Context())
	}
	if got := b.view("slow").Note; len(b.world.statuses) != 2 || !strings.HasPrefix(got, "waiting for the archive of acme/slow: ") {
		t.Errorf("%v, %q", b.world.statuses, got)
	}
	tries := f.waiting.tries
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.missed(ctx, &unfetched{commit: "c1", why: ctx.Err()}, false)
	if f.waiting.tries != tries {
		t.Error("the end of the tunnel is counted as a failure")
	}
}
