package syncs

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

// Commit statuses in GitLab's words. What waits for its archive or a runner is
// pending, what has waited for its archive and waits for a runner now is running.
const (
	statePending  = "pending"
	stateRunning  = "running"
	stateSuccess  = "success"
	stateFailed   = "failed"
	stateCanceled = "canceled"
)

// owing are the pauses before GitLab is told of what it could not hear of.
var owing = retry.Policy{Min: 5 * time.Second, Max: 5 * time.Minute}

// owed is when GitLab is told again of what it could not hear of.
type owed struct {
	failures int // in a row
	at       time.Time
}

// due says whether it is time to.
func (o *owed) due() bool { return !time.Now().Before(o.at) }

// outcome takes over how it went to tell GitLab: whether it is told, or has
// refused to be, and whether what went wrong is worth a line.
func (o *owed) outcome(err error) (settled, news bool) {
	if !gitlab.Passing(err) {
		*o = owed{}
		return true, err != nil
	}
	o.failures++
	o.at = time.Now().Add(max(owing.Backoff(o.failures), min(gitlab.After(err), retry.MaxAfter)))
	return false, o.failures == 1
}

// debts are the statuses that GitLab has not been told yet, of each commit the
// newest one.
type debts struct {
	owed
	statuses []debt
}

type debt struct {
	syncspec.Told
	text string
}

// settle forgets what is owed of a commit.
func (d *debts) settle(commit string) {
	d.statuses = slices.DeleteFunc(d.statuses, func(o debt) bool { return o.Commit == commit })
}

func (d *debts) has(o debt) bool {
	return slices.ContainsFunc(d.statuses, func(have debt) bool { return have.Told == o.Told })
}

func (d *debts) add(o debt) {
	d.statuses = append(d.statuses, o)
	if extra := len(d.statuses) - syncspec.MaxTold; extra > 0 {
		d.statuses = slices.Delete(d.statuses, 0, extra)
	}
}

// show tells GitLab about a commit. It is told again when the state is another
// one, not at each comparison.
func (f *follower) show(ctx context.Context, commit, state, text string) {
	f.deploy(ctx, commit, state)
	d := debt{syncspec.Told{Commit: commit, State: state}, text}
	if f.debts.has(d) {
		return // it is told when that is due
	}
	f.debts.settle(commit)
	if f.outlook.ToldOf(commit) != state && !f.tell(ctx, d) {
		f.debts.add(d)
	}
}

// pay tells GitLab what it has not heard of yet.
func (f *follower) pay(ctx context.Context) {
	if d := f.outlook.Deployment; d != nil && d.Owed && f.deployments.due() {
		f.tellDeployment(ctx, d)
	}
	for len(f.debts.statuses) > 0 && f.debts.due() {
		if d := f.debts.statuses[0]; f.outlook.ToldOf(d.Commit) == d.State || f.tell(ctx, d) {
			f.debts.settle(d.Commit)
		}
	}
}

// tell sends a status and says whether it need not be sent again: one that GitLab
// refuses is not worth a loop.
func (f *follower) tell(ctx context.Context, d debt) (settled bool) {
	err := f.setStatus(ctx, d)
	settled, news := f.debts.outcome(err)
	if news && ctx.Err() == nil {
		f.Log.Warn("commit status not shown in GitLab", service.KeyEntry, f.entry.Name, "commit", d.Commit, service.Err(err))
	}
	if settled {
		f.noteTold(d.Commit, d.State)
		f.publish(ctx, false)
	}
	return settled
}

func (f *follower) setStatus(ctx context.Context, d debt) error {
	token, _, err := f.Token(f.entry.Project)
	if err == nil {
		err = f.number(ctx, token)
	}
	if err != nil {
		return err
	}
	s := gitlab.CommitStatus{State: d.State, Name: "towline/" + f.Agent + "/" + f.entry.Name, Ref: f.entry.Ref.Branch, Description: d.text, TargetURL: f.Page}
	return f.GitLab.SetCommitStatus(ctx, token, f.project, d.Commit, s)
}

func (f *follower) noteTold(commit, state string) {
	f.outlook.Tell(commit, state)
	f.outlook.tellings++
}

// showWanted tells GitLab that a commit waits for a runner now. GitLab refuses to
// hear that it is pending of one that is so already, or that is running. waited
// says that it has waited for its archive.
func (f *follower) showWanted(ctx context.Context, commit string, inherited, waited bool) {
	switch told := f.outlook.ToldOf(commit); {
	case told == "" && inherited:
		f.noteTold(commit, statePending)
	case told == statePending && waited:
		f.show(ctx, commit, stateRunning, "the archive has come; waiting for a runner")
	case told != statePending && told != stateRunning:
		f.show(ctx, commit, statePending, "waiting for a runner")
	}
}

// retire tells GitLab of commits that nothing will become of any more.
func (f *follower) retire(ctx context.Context) {
	if f.head.ID == "" {
		return
	}
	f.cancel(ctx, fmt.Sprintf("superseded by %.8s", f.head.ID), func(commit string) bool {
		return commit == f.head.ID || f.underWay() && (commit == f.task.commit || commit == f.task.before)
	})
}

// cancel ends the statuses that are open in GitLab, but those to keep.
func (f *follower) cancel(ctx context.Context, why string, keep func(commit string) bool) {
	for _, t := range slices.Clone(f.outlook.Told) {
		if (t.State == statePending || t.State == stateRunning) && !keep(t.Commit) {
			f.show(ctx, t.Commit, stateCanceled, why)
		}
	}
}

// leave tells GitLab of commits that nothing will become of because the entry is
// gone.
func (f *follower) leave(ctx context.Context) {
	if f.outlook.loaded {
		f.cancel(ctx, "the entry has left the configuration", func(string) bool { return false })
	}
}
