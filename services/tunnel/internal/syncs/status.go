package syncs

import (
	"context"
	"time"

	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/pkg/syncspec"
)

// hear takes over the result of a task, once.
func (f *follower) hear(ctx context.Context, rec ledger.SyncRecord) {
	if rec.Of == 0 || rec.Of == f.reported {
		return
	}
	r, err := f.open(f.entry.Name, rec)
	if err != nil {
		f.reported = rec.Of
		f.Log.Error("result of a sync cannot be read", service.KeyEntry, f.entry.Name, service.Err(err))
		return
	}
	old := !f.heard // told by the tunnel before this one
	f.reported, f.task.before = rec.Of, ""
	switch {
	case r.State == syncspec.Superseded:
		return
	case rec.Of < f.since:
		f.hearLate(ctx, r)
		return
	case r.State == syncspec.Succeeded:
		f.failures = 0
		f.again = time.Now().Add(f.entry.Interval)
	default: // it has failed, or its runner was lost
		f.failures++
		f.again = time.Now().Add(failing.Backoff(f.failures))
	}
	if old {
		f.again = time.Time{} // the configuration may be another since
		f.commit = r.Commit
	}
	news := r.Summary() != f.last.Summary() || r.Commit != f.last.Commit
	f.last = r
	f.Metrics.ended(r, old)
	if news && !old {
		f.sayEnded(r)
	}
	if r.State != syncspec.Lost {
		f.show(ctx, r.Commit, gitlabState(r), r.Summary())
	}
}

// hearLate takes over the result of a task in whose place another state is wanted
// by now, or was refused. It is true of its own commit, and changes nothing of
// when the newer state is tried again.
func (f *follower) hearLate(ctx context.Context, r syncspec.Report) {
	f.Metrics.ended(r, false)
	f.sayEnded(r)
	if r.State != syncspec.Lost && r.Commit != f.commit {
		f.show(ctx, r.Commit, gitlabState(r), r.Summary())
	}
}

func (f *follower) sayEnded(r syncspec.Report) {
	level := f.Log.Info
	if r.State != syncspec.Succeeded {
		level = f.Log.Error
	}
	level("sync ended", service.KeyEntry, f.entry.Name, service.KeyProject, f.entry.Project, "commit", r.Commit, "state", string(r.State),
		"summary", r.Summary(), "took_ms", r.Millis)
}

func gitlabState(r syncspec.Report) string {
	if r.State == syncspec.Succeeded {
		return stateSuccess
	}
	return stateFailed
}
