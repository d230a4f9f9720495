package syncs

import (
	"context"
	"errors"

	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

// deploy keeps the record of a commit in its environment. state is one of commit
// statuses. What GitLab is about to be told is written down first, so that
// whichever tunnel goes on tells it.
func (f *follower) deploy(ctx context.Context, commit, state string) {
	if f.entry.Environment == "" {
		return
	}
	if state == statePending {
		state = gitlab.DeploymentRunning
	}
	before := f.outlook.Deployment
	if before != nil && f.settled(before, commit, state) {
		return
	}
	next := &syncspec.Deployment{Commit: commit, State: state, Owed: true}
	switch {
	case before == nil:
	case before.Commit == commit:
		next.ID, next.Before = before.ID, before.Before
	case before.ID != 0 && before.State == gitlab.DeploymentRunning:
		next.Before = before.ID
	}
	f.outlook.Deployment = next
	f.publish(ctx, false)
	f.tellDeployment(ctx, next)
}

// tellDeployment brings a record to GitLab.
func (f *follower) tellDeployment(ctx context.Context, d *syncspec.Deployment) {
	err := f.setDeployment(ctx, d)
	settled, news := f.deployments.outcome(err)
	if news && ctx.Err() == nil {
		f.Log.Warn("deployment not shown in GitLab", service.KeyEntry, f.entry.Name, "environment", f.entry.Environment, "commit", d.Commit, service.Err(err))
	}
	d.Owed = !settled // one that GitLab refuses is not worth a loop
}

func (f *follower) setDeployment(ctx context.Context, d *syncspec.Deployment) error {
	token, _, err := f.Token(f.entry.Project)
	if err == nil {
		err = f.number(ctx, token)
	}
	if err != nil {
		return err
	}
	if d.Before != 0 {
		err = f.GitLab.UpdateDeployment(ctx, token, f.project, d.Before, gitlab.DeploymentCanceled)
		if gitlab.Passing(err) {
			return err
		}
		d.Before = 0
	}
	if d.ID != 0 {
		return errors.Join(err, f.GitLab.UpdateDeployment(ctx, token, f.project, d.ID, d.State))
	}
	var failed error
	d.ID, failed = f.createDeployment(ctx, token, d)
	return errors.Join(err, failed)
}

// settled says whether GitLab need not hear of a state. What has succeeded once
// was deployed, whatever a later comparison finds; and while a failed commit is
// tried again, and once a newer one is on its way, there is no news.
func (f *follower) settled(before *syncspec.Deployment, commit, state string) bool {
	if before.Commit != commit {
		return f.outlook.Includes(before.Commit, commit)
	}
	return before.State == state || before.State == gitlab.DeploymentSuccess || state == gitlab.DeploymentRunning
}

func (f *follower) createDeployment(ctx context.Context, token string, d *syncspec.Deployment) (int64, error) {
	name, tag, err := f.deployedRef(ctx, token, d.Commit)
	if err != nil {
		return 0, err
	}
	return f.GitLab.CreateDeployment(ctx, token, f.project, gitlab.Deployment{
		Environment: f.entry.Environment, SHA: d.Commit, Ref: name, Tag: tag, Status: d.State,
	})
}

// deployedRef names the branch or tag that stands at a commit.
func (f *follower) deployedRef(ctx context.Context, token, commit string) (name string, tag bool, err error) {
	switch r := f.entry.Ref; {
	case r.Branch != "":
		return r.Branch, false, nil
	case r.Tag != "":
		return r.Tag, true, nil
	case r.Semver != "":
		for _, p := range f.tags.pages {
			for _, t := range p.Tags {
				if t.Commit == commit {
					return t.Name, true, nil
				}
			}
		}
	}
	// A commit by itself stands on no branch; GitLab asks for one all the same.
	name, err = f.GitLab.DefaultBranch(ctx, token, f.entry.Project)
	return name, false, err
}
