package intake

import (
	"context"
	"errors"
	"strings"

	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

// Longest texts of the author's that are looked at, in bytes. GitLab's own
// environment names have at most 255 characters and so have refs, and a
// namespace has at most 63.
const (
	maxEnvironment = 1024
	maxNamespace   = 63
	maxText        = 2048 // longer than policy takes a name
)

// gather asks GitLab who the job is. An error means that GitLab could not be
// asked; that GitLab refuses the token is evidence too.
func (a *Admission) gather(ctx context.Context, job *jobspec.Job, payload []byte) (policyapi.Evidence, error) {
	vars := job.Variables.Expanded(noPath)
	found := make(chan deployment, 1)
	go func() { found <- a.deployment(ctx, job, vars) }()
	agents, err := a.GitLab.AllowedAgents(ctx, gitlab.JobToken(job.Token))
	tokens := idTokens(job.Variables)
	keys, keysErr := a.keys(ctx, tokens)
	d := <-found
	if err = errors.Join(transient(err), transient(d.err), keysErr); err != nil {
		return policyapi.Evidence{}, err
	}
	e := policyapi.Evidence{
		Job: evidenceJob(job, payload), AllowedAgents: witness(agents),
		IDTokens: tokens, IDTokenKeys: keys,
	}
	d.verify(e.AllowedAgents)
	if d.env != nil {
		e.EnvironmentName = d.env.Name
	}
	e.RequestedAgent, e.RequestedNamespace = d.agent(vars), d.namespace(vars)
	return e, nil
}

func evidenceJob(job *jobspec.Job, payload []byte) policyapi.EvidenceJob {
	e := policyapi.EvidenceJob{
		ID: job.ID, Name: job.JobInfo.Name, PipelineID: job.JobInfo.PipelineID,
		ProjectID: job.JobInfo.ProjectID, ProjectPath: job.JobInfo.ProjectFullPath,
		UserID: job.JobInfo.UserID, ScopedUserID: job.JobInfo.ScopedUserID,
		TimeoutSeconds: int64(job.Timeout().Seconds()),
		Ref:            cut(job.GitInfo.Ref), RefType: cut(job.GitInfo.RefType), RefProtected: job.GitInfo.Protected,
		PayloadDigest: grant.Digest(payload),
	}
	if job.Image != nil {
		e.Image = cut(job.Image.Name)
	}
	return e
}

func cut(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxText)], "") }

// noPath stands for the file of a file variable, which does not exist here.
func noPath(string) string { return "" }

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
