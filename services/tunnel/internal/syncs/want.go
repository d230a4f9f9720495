package syncs

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"time"

	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/tunnel/internal/sources"
)

// want makes the head the wanted state. An error means that it could not be
// tried; what is wrong with the repository itself is told like a failed sync.
// A task that was inherited from another tunnel is pending in GitLab, which
// refuses to hear it twice.
func (f *follower) want(ctx context.Context, token string, inherited bool) error {
	head := f.head.ID
	standing := f.standing()
	if head != f.commit || standing != f.elsewhere.wanted {
		f.bundle = ""
	}
	if wrong := f.variables.now.wrong; wrong != "" {
		f.waiting = waiting{}
		f.refused(ctx, head, wrong)
		return nil
	}
	f.await(head, inherited || head == f.commit)
	wrong, err := f.provide(ctx, token, head)
	if err != nil {
		err = f.explain(err)
		f.missed(ctx, err, inherited)
		return err
	}
	f.waiting = waiting{}
	if wrong != nil {
		f.refused(ctx, head, wrong.Error())
		return nil
	}
	task, err := json.Marshal(f.task(head))
	if err != nil {
		return err
	}
	_, conf := f.Entries()
	d, err := f.Policy.DecideSync(ctx, policyapi.SyncEvidence{Entry: f.entry.Name, Commit: head, PayloadDigest: grant.Digest(task)}, conf)
	if err != nil {
		return err
	}
	if !d.Allow {
		f.refused(ctx, head, denial(d))
		return nil
	}
	order, err := json.Marshal(syncspec.Order{Task: task, Grant: d.Grant})
	if err != nil {
		return err
	}
	sealed, err := ledger.SealTask(f.Seal, f.entry.Name, order)
	if err != nil {
		return err
	}
	if err := f.mark(ctx); err != nil {
		return err
	}
	f.rec = ledger.SyncRecord{} // what was read of it is over
	if f.serial, err = f.Ledger.WantSync(ctx, f.entry.Name, sealed); err != nil {
		return err
	}
	f.since = f.serial
	f.outlook.Refused = nil
	if head != f.commit {
		f.Log.Info("sync wanted", service.KeyEntry, f.entry.Name, service.KeyProject, f.entry.Project, "commit", head, "identity_user", d.Identity.User)
		f.showWanted(ctx, head, inherited)
	} else {
		f.sayNewVariables()
	}
	f.commit, f.elsewhere.wanted, f.variables.wanted = head, standing, f.variables.now
	f.again = time.Now().Add(f.entry.Interval)
	return nil
}

// task has the cluster hold a commit. The salt has its digest, which others see,
// tell nothing of the variables.
func (f *follower) task(commit string) syncspec.Task {
	t := syncspec.Task{Schema: syncspec.Schema, Entry: f.entry, ProjectID: f.project, Commit: commit, Bundle: f.bundle}
	if values := f.variables.now.values; len(values) > 0 {
		t.Variables, t.Salt = values, rand.Text()
	}
	return t
}

// showWanted tells GitLab that a commit waits for a runner now. GitLab refuses to
// hear that it is pending of one that has been so before, for its files.
func (f *follower) showWanted(ctx context.Context, commit string, inherited bool) {
	switch {
	case inherited:
	case f.posted == commit+" "+statePending:
		f.show(ctx, commit, stateRunning, "the archive has come; waiting for a runner")
	default:
		f.show(ctx, commit, statePending, "waiting for a runner")
	}
}

func denial(d *policyapi.Decision) string {
	why := "policy refuses it"
	if len(d.Reasons) > 0 {
		why = d.Reasons[len(d.Reasons)-1]
	}
	if d.Remedy != "" {
		why += "; " + d.Remedy
	}
	return why
}

// provide has the bundle of a commit in the ledger. wrong is what the
// repository's author has to repair.
func (f *follower) provide(ctx context.Context, token, commit string) (wrong, err error) {
	if f.bundle != "" {
		if there, err := f.Ledger.HoldBundle(ctx, f.bundle); err != nil || there {
			return nil, err
		}
	}
	defer f.stay(ctx)()
	return f.inTurn(ctx, func(ctx context.Context) (wrong, err error) { return f.gather(ctx, token, commit) })
}

// gather makes the bundle of a commit.
func (f *follower) gather(ctx context.Context, token, commit string) (wrong, err error) {
	files, wrong, err := f.fetch(ctx, token, commit)
	if err != nil || wrong != nil {
		return wrong, err
	}
	packed, err := syncspec.Pack(files)
	if err != nil {
		return nil, err
	}
	digest := grant.Digest(packed)
	there, err := f.Ledger.HoldBundle(ctx, digest)
	if err == nil && !there {
		err = f.Ledger.PutBundle(ctx, f.Seal, digest, packed)
	}
	if err != nil {
		return nil, err
	}
	f.bundle = digest
	return nil, nil
}

// fetch gets the files of a commit that the entry needs, and its values from
// elsewhere.
func (f *follower) fetch(ctx context.Context, token, commit string) (files []syncspec.File, wrong, err error) {
	if sources.Wanted(f.entry) {
		if files, wrong, err = f.fetchOwn(ctx, token, commit); wrong != nil || err != nil {
			return nil, wrong, err
		}
	}
	return f.fetchElsewhere(ctx, files)
}

func (f *follower) fetchOwn(ctx context.Context, token, commit string) (files []syncspec.File, wrong, err error) {
	archive, err := f.GitLab.Archive(ctx, token, f.entry.Project, commit, sources.Directory(f.entry))
	if err != nil {
		return nil, nil, &unfetched{commit: commit, why: err}
	}
	if files, wrong = sources.Choose(f.entry, archive); wrong != nil {
		return nil, wrong, nil
	}
	wrong, err = f.verify(ctx, token, commit, files)
	return files, wrong, err
}

// refused treats a state that cannot be tried as a failed sync. A task that waits
// or is under way goes on: it is the last good state.
func (f *follower) refused(ctx context.Context, commit, why string) {
	news := commit != f.commit || f.last.State != syncspec.Failed || f.last.Summary() != why
	f.commit, f.elsewhere.wanted, f.variables.wanted = commit, f.standing(), f.variables.now
	f.since = max(f.serial, f.rec.Wanted) + 1
	f.last = syncspec.Report{State: syncspec.Failed, Commit: commit, Entry: f.entry.Name, Problems: []string{why}}
	refused := f.last
	f.outlook.Refused = &refused
	f.outlook.Refusals++
	f.failures++
	f.again = time.Now().Add(failing.Backoff(f.failures))
	f.Metrics.ended(f.last, false)
	if news {
		f.Log.Error("sync failed", service.KeyEntry, f.entry.Name, service.KeyProject, f.entry.Project, "commit", commit, service.KeyError, why)
		f.show(ctx, commit, "failed", why)
	}
}
