package syncs

import (
	"context"

	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

// Commit statuses of what waits for its archive or a runner, and of what has
// waited for its archive and waits for a runner now.
const (
	statePending = "pending"
	stateRunning = "running"
)

// deploy keeps the record of a commit in its environment. state is one of commit
// statuses. What GitLab is about to be told is written down first, so that it is
// told nothing twice, whichever tunnel goes on.
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
	next := &syncspec.Deployment{Commit: commit, State: state}
	same := before != nil && before.Commit == commit
	if same {
		next.ID = before.ID
	}
	f.outlook.Deployment = next
	f.publish(ctx, false)
	token, _, err := f.Token(f.entry.Project)
	if err == nil && before != nil && !same && before.ID != 0 && before.State == gitlab.DeploymentRunning {
		err = f.GitLab.UpdateDeployment(ctx, token, f.project, before.ID, gitlab.DeploymentCanceled)
	}
	if err == nil && next.ID != 0 {
		err = f.GitLab.UpdateDeployment(ctx, token, f.project, next.ID, state)
	} else if err == nil {
		next.ID, err = f.createDeployment(ctx, token, next)
	}
	if err != nil { // like a status, it is not worth a loop
		f.Log.Warn("deployment not shown in GitLab", service.KeyEntry, f.entry.Name, "environment", f.entry.Environment, "commit", commit, service.Err(err))
	}
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
		for _, p := range f.tags {
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
