package decide

import (
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/rules"
)

// owner asks the rules of the cluster's owner. They refuse or narrow.
func (d *decision) owner(set *rules.Set, e Evidence) bool {
	entry := d.Rule
	v := set.Job(&grant.Claims{Job: Job(e), Agent: d.Agent, Identity: d.Identity, Namespaces: d.Namespaces, Facts: Facts(e)}, e.Now)
	if v.Refused() {
		d.Reasons = nil // what spoke for the job would only confuse
		for _, r := range v.Refusals {
			d.reason("%s", r)
		}
		d.Rule = v.Rule
		return d.deny(v.Remedy, "%s would have let the job in", entry)
	}
	d.Namespaces = v.Namespaces
	for _, r := range v.Reasons {
		d.reason("%s", r)
		d.notice("%s", r)
	}
	return true
}

// Job is the job as a grant names it.
func Job(e Evidence) grant.Job {
	return grant.Job{ID: e.Job.ID, PipelineID: e.Job.PipelineID, ProjectID: e.Job.ProjectID, ProjectPath: e.Job.ProjectPath}
}

// Facts are what rules may ask about the job, here and at the gate. A protection
// that GitLab did not tell is none.
func Facts(e Evidence) grant.Facts {
	f := grant.Facts{
		JobName: e.Job.Name, Image: e.Job.Image,
		Ref:     grant.Ref{Name: e.Job.Ref, Type: e.Job.RefType, Protected: e.Job.RefProtected != nil && *e.Job.RefProtected},
		IDToken: tokenFacts(e.IDToken),
	}
	if a := e.AllowedAgents; a != nil {
		f.GroupIDs = a.GroupIDs
		f.User = grant.User{ID: a.User.ID, Username: a.User.Username, Roles: a.User.Roles}
		if a.Environment != nil {
			f.Environment = &grant.Environment{Name: e.EnvironmentName, Slug: a.Environment.Slug, Tier: a.Environment.Tier}
		}
	}
	if e.Job.ScopedUserID != nil {
		f.User.ActsFor = *e.Job.ScopedUserID
	}
	return f
}

// tokenFacts leaves out what the token does not say. GitLab speaks of the
// protection of an environment only if there is one.
func tokenFacts(t *IDToken) *grant.IDToken {
	if t == nil {
		return nil
	}
	f := &grant.IDToken{
		Ref: t.Ref, RefType: t.RefType, Environment: t.Environment, EnvironmentAction: t.EnvironmentAction, DeploymentTier: t.DeploymentTier,
		PipelineSource: t.PipelineSource, ProjectPath: t.ProjectPath, JobProjectPath: t.JobProjectPath, UserLogin: t.UserLogin, UserAccessLevel: t.UserAccessLevel,
	}
	if t.Ref != "" {
		f.RefProtected = &t.RefProtected
	}
	if t.Environment != "" {
		f.EnvironmentProtected = &t.EnvironmentProtected
	}
	return f
}
