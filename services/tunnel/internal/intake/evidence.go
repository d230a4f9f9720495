package intake

import (
	"context"
	"errors"

	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

// Longest texts of the author's that are looked at, in bytes. GitLab's own
// environment names have at most 255 characters; a context longer than this
// names no agent.
const (
	maxEnvironment = 1024
	maxContext     = 2048
)

// gather asks GitLab who the job is. An error means that GitLab could not be
// asked; that GitLab refuses the token is evidence too.
func (a *Admission) gather(ctx context.Context, job *jobspec.Job, payload []byte) (policyapi.Evidence, error) {
	token := gitlab.JobToken(job.Token)
	vars := job.Variables.Expanded(func(string) string { return "" })
	type lookup struct {
		env *gitlab.Environment
		err error
	}
	found := make(chan lookup, 1)
	go func() {
		// The name in the variable is only a guess by the pipeline's author; it
		// counts if GitLab has an environment of that name whose slug is the one
		// that GitLab itself says the job has.
		var l lookup
		if name := vars.Get("CI_ENVIRONMENT_NAME"); name != "" && len(name) <= maxEnvironment {
			l.env, l.err = a.GitLab.EnvironmentNamed(ctx, token, job.JobInfo.ProjectID, name)
		}
		found <- l
	}()
	agents, err := a.GitLab.AllowedAgents(ctx, token)
	l := <-found
	if err = errors.Join(transient(err), transient(l.err)); err != nil {
		return policyapi.Evidence{}, err
	}
	e := policyapi.Evidence{
		Job: policyapi.EvidenceJob{
			ID: job.ID, Name: job.JobInfo.Name, PipelineID: job.JobInfo.PipelineID,
			ProjectID: job.JobInfo.ProjectID, ProjectPath: job.JobInfo.ProjectFullPath,
			UserID: job.JobInfo.UserID, ScopedUserID: job.JobInfo.ScopedUserID,
			TimeoutSeconds: int64(job.Timeout().Seconds()), Ref: job.GitInfo.Ref, RefType: job.GitInfo.RefType, RefProtected: job.GitInfo.Protected,
			PayloadDigest: grant.Digest(payload),
		},
		AllowedAgents: witness(agents),
	}
	if name := vars.Get("KUBE_CONTEXT"); name != "" {
		e.RequestedAgent = policyapi.Requested{Value: name[:min(len(name), maxContext)], Source: policyapi.FromKubeContext}
	}
	if l.env != nil && agents != nil && agents.Environment != nil && l.env.Slug == agents.Environment.Slug {
		e.EnvironmentName = l.env.Name
	}
	return e, nil
}

// transient keeps the errors after which asking again may help.
func transient(err error) error {
	if errors.Is(err, gitlab.ErrRefused) {
		return nil
	}
	return err
}

func witness(g *gitlab.AllowedAgents) *policyapi.AllowedAgents {
	if g == nil {
		return nil
	}
	w := &policyapi.AllowedAgents{
		JobID: g.Job.ID, ProjectID: g.Project.ID,
		User: policyapi.User{ID: g.User.ID, Username: g.User.Username, Roles: g.User.RolesInProject},
	}
	for _, group := range g.Project.Groups {
		w.GroupIDs = append(w.GroupIDs, group.ID)
	}
	for _, agent := range g.AllowedAgents {
		w.Agents = append(w.Agents, policyapi.AllowedAgent{ID: agent.ID, ConfigProjectID: agent.ConfigProject.ID})
	}
	if g.Environment != nil {
		w.Environment = &policyapi.Environment{Slug: g.Environment.Slug, Tier: g.Environment.Tier}
	}
	return w
}
