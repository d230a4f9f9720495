package decide

import (
	"slices"
	"strconv"
	"strings"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/policyapi"
)

// identity sets who the job acts as. Every mode stands for itself: whatever is
// missing refuses the job, nothing falls back to the agent.
func (d *decision) identity(s Settings, entry agentconfig.Entry, e policyapi.Evidence) bool {
	switch entry.AccessAs.Mode {
	case agentconfig.AsCIJob:
		d.Identity = s.exact(ciJob(s, e))
		d.reason("access_as.ci_job: the job acts as itself, %s", d.Identity.User)
	case agentconfig.AsCIUser:
		if !d.person(entry, e) {
			return false
		}
		d.Identity = ciUser(s, e)
		d.reason("access_as.ci_user: the job acts as the user who runs it, %s", d.Identity.User)
	case agentconfig.AsImpersonate:
		d.Identity = impersonate(entry.AccessAs.Impersonate)
		d.reason("access_as.impersonate: the job acts as %s", d.Identity.User)
	case agentconfig.AsAgent:
		a := s.AgentServiceAccount
		if a == (ServiceAccount{}) {
			return d.deny(agentRemedy(entry), "%s gives the identity of the agent itself (access_as.agent, which is also what an entry without access_as means), "+
				"and the owner of this cluster does not allow that", entry)
		}
		d.Identity = grant.Identity{Mode: grant.ModeAgent, User: grant.ServiceAccountUser(a.Namespace, a.Name)}
		d.reason("access_as.agent: the job acts as the agent's ServiceAccount %s/%s", a.Namespace, a.Name)
	default:
		return d.deny("use agent, ci_job, ci_user or impersonate", "%s has an access_as that is not known", entry)
	}
	if err := d.Identity.Validate(); err != nil {
		return d.deny("choose another user or other groups under access_as; names that start with system: belong to Kubernetes",
			"the identity that %s gives cannot be granted: %v", entry, err)
	}
	return true
}

func agentRemedy(entry agentconfig.Entry) string {
	const owner = "the cluster's owner can set --agent-service-account"
	if entry.Kind == agentconfig.ImplicitEntry {
		return "list the project under ci_access.projects with access_as: {ci_job: {}} and bind roles to that identity, or " + owner
	}
	return "add access_as: {ci_job: {}} to the entry and bind roles to that identity, or " + owner
}

// The extra fields of a job's identity (agent-config sheet, section 3.1).
const extraPrefix = "agent.gitlab.com/"

// ciJob is the identity that KAS would build for the job: user, groups in
// KAS's order, extra fields (agent-config sheet, section 3.1).
func ciJob(s Settings, e policyapi.Evidence) grant.Identity {
	a := e.AllowedAgents
	env := a.Environment
	project := text(a.ProjectID)
	groups := []string{"gitlab:ci_job"}
	for _, id := range a.GroupIDs {
		groups = append(groups, "gitlab:group:"+text(id))
		if env != nil {
			groups = append(groups, "gitlab:group_env_tier:"+text(id)+":"+env.Tier)
		}
	}
	groups = append(groups, "gitlab:project:"+project)
	if env != nil {
		groups = append(groups, "gitlab:project_env:"+project+":"+env.Slug, "gitlab:project_env_tier:"+project+":"+env.Tier)
	}
	extra := map[string][]string{}
	set := func(key, value string) {
		if value != "" {
			extra[extraPrefix+key] = []string{value}
		}
	}
	set("id", text(s.Agent.ID))
	set("config_project_id", text(configProject(s, e)))
	set("project_id", project)
	set("ci_pipeline_id", text(e.Job.PipelineID))
	set("ci_job_id", text(a.JobID))
	set("username", a.User.Username)
	if env != nil {
		set("environment_slug", env.Slug)
		set("environment_tier", env.Tier)
	}
	return grant.Identity{Mode: grant.ModeCIJob, User: "gitlab:ci_job:" + text(a.JobID), Groups: groups, Extra: extra}
}

// person refuses to act as a user who is not one person: a job that nobody runs
// and one of a service account that acts for somebody, whose roles are not the
// person's.
func (d *decision) person(entry agentconfig.Entry, e policyapi.Evidence) bool {
	switch u := e.AllowedAgents.User; {
	case u.Username == "":
		return d.deny("use access_as: {ci_job: {}} for it", "%s lets a job act as the user who runs it (access_as.ci_user), and GitLab names none", entry)
	case e.Job.ScopedUserID != nil:
		return d.deny("use access_as: {ci_job: {}} for it, or let the person run the job",
			"%s lets a job act as the user who runs it (access_as.ci_user), and %q is a service account that acts for somebody else", entry, bounded(u.Username))
	case e.Job.UserID != 0 && u.ID != 0 && e.Job.UserID != u.ID:
		return d.deny("run the job again; if this stays, tell whoever runs Towline, for the two answers must agree",
			"GitLab handed out a job of the user %d, but its answer about the job's token speaks of user %d", e.Job.UserID, u.ID)
	}
	return true
}

// fromDeveloper is the lowest role that counts: GitLab gives people no access to
// a cluster below it.
const fromDeveloper = "developer"

// ciUser is the user who runs the job, as GitLab's agent shows a user of
// user_access (agent-config sheet, section 3.3), with the roles in the job's
// project. Roles in groups are not known to a job.
func ciUser(s Settings, e policyapi.Evidence) grant.Identity {
	a := e.AllowedAgents
	groups := []string{"gitlab:user"}
	if slices.Contains(a.User.Roles, fromDeveloper) {
		for _, role := range a.User.Roles {
			groups = append(groups, "gitlab:project_role:"+text(a.ProjectID)+":"+role)
		}
	}
	extra := map[string][]string{extraPrefix + "username": {a.User.Username}}
	for key, id := range map[string]int64{"id": s.Agent.ID, "config_project_id": configProject(s, e), "project_id": a.ProjectID, "ci_pipeline_id": e.Job.PipelineID, "ci_job_id": a.JobID} {
		if id != 0 {
			extra[extraPrefix+key] = []string{text(id)}
		}
	}
	return grant.Identity{Mode: grant.ModeCIUser, User: "gitlab:user:" + a.User.Username, Groups: groups, Extra: extra}
}

// configProject is the id of the agent's project when GitLab has said it.
func configProject(s Settings, e policyapi.Evidence) int64 {
	for _, a := range e.AllowedAgents.Agents {
		if s.Agent.ID != 0 && a.ID == s.Agent.ID {
			return a.ConfigProjectID
		}
	}
	if strings.EqualFold(e.Job.ProjectPath, s.Agent.Project) {
		return e.Job.ProjectID
	}
	return 0
}

// text writes an id; 0 stands for unknown.
func text(id int64) string {
	if id == 0 {
		return ""
	}
	return strconv.FormatInt(id, 10)
}

// impersonate is the configured identity, unchanged (section 3.2).
func impersonate(i *agentconfig.Impersonate) grant.Identity {
	if i == nil {
		return grant.Identity{Mode: grant.ModeImpersonate}
	}
	out := grant.Identity{Mode: grant.ModeImpersonate, User: i.Username, UID: i.UID, Groups: i.Groups}
	for _, x := range i.Extra {
		if out.Extra == nil {
			out.Extra = make(map[string][]string, len(i.Extra))
		}
		out.Extra[x.Key] = append(out.Extra[x.Key], x.Val...)
	}
	return out
}
