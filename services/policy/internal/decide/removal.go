package decide

import (
	"encoding/json"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/syncspec"
)

// byHand is the way when Towline will not do it.
const byHand = "uninstall it with helm, or put the entry back"

// Removal answers for the release of an entry that is no longer in the
// configuration, and returns the entry as it was. last is what was granted for
// the entry the last time, or err says why nobody knows.
//
// The entry speaks for itself: its last task, which a grant of ours names by its
// digest, says that its release goes with it. An entry cannot get more in this
// way than it had, nor keep what the cluster's owner has taken away since.
func Removal(s Settings, c Config, e policyapi.SyncEvidence, last *grant.Claims, err error) (policyapi.Decision, agentconfig.Manifests) {
	d := decision{Decision: policyapi.Decision{Agent: s.Agent}}
	var task syncspec.Task
	if !d.configured(c) || !d.takenOut(s, c, e) || !d.remembered(s, e, last, err, &task) {
		return d.Decision, task.Entry
	}
	m := task.Entry
	allowed := false
	if m.AccessAs.Mode == agentconfig.AsImpersonate { // the task does not hold it
		d.Identity = last.Identity
		d.reason("access_as.impersonate: the sync acts as %s", d.Identity.User)
		allowed = true
	} else {
		allowed = d.syncIdentity(s, m)
	}
	if allowed && d.syncNamespaces(s, m) {
		d.Allow = true
		d.reason("the entry %s is gone from %s, and on_removal has its release uninstalled", m.Name, c.File)
	}
	return d.Decision, m
}

// takenOut checks that somebody has taken the entry out. A file or a section
// that is missing as a whole, or cannot be read, removes nothing.
func (d *decision) takenOut(s Settings, c Config, e policyapi.SyncEvidence) bool {
	d.Rule = c.File + ": gitops"
	now := c.Syncs(s.Agent.Project)
	_, there := now.Find(e.Entry)
	switch {
	case len(c.Faults) > 0:
		return d.deny("repair the configuration", "the configuration was changed and cannot be used, so nothing is uninstalled")
	case !now.Written:
		return d.deny("keep the section gitops, even without entries; or "+byHand, "the section gitops is gone as a whole from %s, so nothing is uninstalled", c.File)
	case there:
		return d.deny("wait until the services have read the same configuration", "the entry %q is in %s", bounded(e.Entry), c.File)
	}
	return true
}

// remembered checks what was granted last, and reads its task.
func (d *decision) remembered(s Settings, e policyapi.SyncEvidence, last *grant.Claims, err error, task *syncspec.Task) bool {
	switch {
	case err != nil:
		return d.deny(byHand, "what the entry %q was allowed cannot be verified any more: %v", bounded(e.Entry), err)
	case last.Sync == nil || last.Sync.Entry != e.Entry || last.Agent != s.Agent || last.PayloadDigest != grant.Digest(e.Removed.Task):
		return d.deny(byHand, "what is remembered of the entry %q is of something else", bounded(e.Entry))
	}
	if err := json.Unmarshal(e.Removed.Task, task); err != nil || task.Entry.Name != e.Entry || task.Entry.Project != last.Sync.Project {
		*task = syncspec.Task{}
		return d.deny(byHand, "the last task of the entry %q cannot be read", bounded(e.Entry))
	}
	if c := task.Entry.Chart; c == nil || c.OnRemoval != "uninstall" {
		return d.deny(byHand, "the entry %q did not say on_removal: uninstall", bounded(e.Entry))
	}
	return true
}
