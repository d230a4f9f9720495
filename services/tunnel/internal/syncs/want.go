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

// want makes the head the wanted state; busy says that a task waits or is under
// way. An error means that it could not be tried; what is wrong with the
// repository itself is told like a failed sync. A task that was inherited from
// another tunnel is pending in GitLab, which refuses to hear it twice.
func (f *follower) want(ctx context.Context, token string, busy bool) error {
	head := f.head.ID
	inherited := busy && f.serial == 0 && f.task.commit == head
	if head != f.commit || f.standing() != f.elsewhere.wanted {
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
	waited := f.waiting.told
	f.waiting = waiting{}
	if wrong != nil {
		f.refused(ctx, head, wrong.Error())
		return nil
	}
	order, d, err := f.order(ctx, head)
	if err != nil {
		return err
	}
	if !d.Allow {
		f.refused(ctx, head, denial(d))
		return nil
	}
	if !busy || !f.task.is(head, order.Content) { // else it is what waits or is under way
		if err := f.put(ctx, head, order); err != nil {
			return err
		}
	} else {
		f.serial = f.rec.Wanted
	}
	f.wanted(ctx, inherited, waited, d)
	return nil
}

// order is the task of a commit as policy has signed it; it is empty when policy
// refuses it.
func (f *follower) order(ctx context.Context, commit string) (*syncspec.Order, *policyapi.Decision, error) {
	t := f.taskOf(commit)
	text, err := json.Marshal(t)
	if err != nil {
		return nil, nil, err
	}
	_, conf := f.Entries()
	d, err := f.Policy.DecideSync(ctx, policyapi.SyncEvidence{Entry: f.entry.Name, Commit: commit, PayloadDigest: grant.Digest(text)}, conf)
	if err != nil || !d.Allow {
		return nil, d, err
	}
	content, err := f.content(t, d)
	return &syncspec.Order{Task: text, Grant: d.Grant, Content: content}, d, err
}

// put makes an order the wanted one in the ledger. What is under way goes on if
// it has the same content, or it would never end where commits come faster.
func (f *follower) put(ctx context.Context, commit string, order *syncspec.Order) error {
	text, err := json.Marshal(order)
	if err != nil {
		return err
	}
	sealed, err := ledger.SealTask(f.Seal, f.entry.Name, text)
	if err != nil {
		return err
	}
	if err := f.mark(ctx); err != nil {
		return err
	}
	next := wantedTask{known: true, commit: commit, content: order.Content}
	want := f.Ledger.WantSync
	if f.task.content == order.Content {
		want = f.Ledger.WantSyncNext
		if next.before = f.task.before; next.before == "" && f.rec.Leased {
			next.before = f.task.commit
		}
	}
	f.rec = ledger.SyncRecord{} // what was read of it is over
	if f.serial, err = want(ctx, f.entry.Name, sealed); err != nil {
		f.task = wantedTask{} // it may have come there
		return err
	}
	f.task = next
	return nil
}

// wanted notes that the head is wanted now.
func (f *follower) wanted(ctx context.Context, inherited, waited bool, d *policyapi.Decision) {
	head := f.head.ID
	f.since = f.serial
	f.outlook.Refused = nil
	if head != f.commit {
		f.Log.Info("sync wanted", service.KeyEntry, f.entry.Name, service.KeyProject, f.entry.Project, "commit", head, "identity_user", d.Identity.User)
		f.showWanted(ctx, head, inherited, waited)
	} else {
		f.sayNewVariables()
	}
	f.commit, f.elsewhere.wanted, f.variables.wanted = head, f.standing(), f.variables.now
	f.again = time.Now().Add(f.entry.Interval)
}

// taskOf has the cluster hold a commit. The salt has its digest, which others see,
// tell nothing of the variables.
func (f *follower) taskOf(commit string) syncspec.Task {
	t := syncspec.Task{Schema: syncspec.Schema, Entry: f.entry, ProjectID: f.project, Commit: commit, Bundle: f.bundle}
	if values := f.variables.now.values; len(values) > 0 {
		t.Variables, t.Salt = values, rand.Text()
	}
	return t
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
		f.show(ctx, commit, stateFailed, why)
	}
}
