package syncs

import (
	"context"
	"encoding/json"

	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/syncspec"
)

// wantedTask is what is known of the newest task in the ledger.
type wantedTask struct {
	known   bool
	commit  string
	content string // digest; "" is like no other
	before  string // commit of an older task of the same content that is under way
}

func (w wantedTask) is(commit, content string) bool {
	return w.commit == commit && w.content == content && content != ""
}

// content is a digest of all that a task makes of the cluster, and as whom: of
// everything but its commit. It stands next to the task, sealed, for the task may
// hold secrets.
func (f *follower) content(t syncspec.Task, d *policyapi.Decision) (string, error) {
	t.Commit, t.Salt = "", ""
	text, err := json.Marshal(struct {
		Task             syncspec.Task
		Entry            string
		Identity         grant.Identity
		Namespaces       []string
		DefaultNamespace string
	}{t, f.text, d.Identity, d.Namespaces, d.DefaultNamespace})
	return grant.Digest(text), err
}

// inherit learns what the task is that another tunnel has wanted. What cannot be
// read is like no other.
func (f *follower) inherit(ctx context.Context) {
	if f.task.known {
		return
	}
	f.task.known = true
	if order, task, err := f.lastTask(ctx, f.entry.Name); err == nil && !task.Remove {
		f.task.commit, f.task.content = task.Commit, order.Content
	}
}

// underWay says whether the newest task waits for a runner or has one.
func (f *follower) underWay() bool { return f.task.commit != "" && f.rec.State != ledger.SyncDone }
