package decide

import (
	"fmt"
	"slices"
	"strings"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/rules"
)

// Decide answers for one job; owner are the rules of the cluster's owner, nil
// for none. The decision carries no grant yet.
func Decide(s Settings, c Config, owner *rules.Set, evidence Evidence) policyapi.Decision {
	e := evidence.Evidence
	d := decision{Decision: policyapi.Decision{Agent: s.Agent}}
	if evidence.IDTokenFault != "" {
		d.notice("the job's ID token does not count: %s", evidence.IDTokenFault)
	}
	if !d.known(e) || !d.readable(e) || !d.ours(s, e) || !d.configured(c) {
		return d.Decision
	}
	entry, ok := d.match(s, c, e)
	if !ok {
		return d.Decision
	}
	d.Rule = entry.String()
	if !d.branch(entry, e) || !d.environment(entry, e) || !d.identity(s, entry, e) {
		return d.Decision
	}
	d.Namespaces = slices.Clone(s.Namespaces)
	if !d.refine(c, e) || !d.owner(owner, evidence) {
		return d.Decision
	}
	d.begin(entry, e)
	d.listed(s, e)
	d.Allow = true
	d.reason("%s lets jobs of %s in", entry, e.Job.ProjectPath)
	return d.Decision
}

// decision is being made.
type decision struct{ policyapi.Decision }

func (d *decision) reason(format string, args ...any) {
	d.Reasons = append(d.Reasons, fmt.Sprintf(format, args...))
}

func (d *decision) notice(format string, args ...any) {
	d.Notices = append(d.Notices, fmt.Sprintf(format, args...))
}

// deny is false, so that a check can end with it. A refused job gets neither
// identity nor namespaces.
func (d *decision) deny(remedy, format string, args ...any) bool {
	d.reason(format, args...)
	d.Remedy = remedy
	d.Identity, d.Namespaces, d.DefaultNamespace = grant.Identity{}, nil, ""
	return false
}

// known checks that GitLab itself has said who the job is, and said it of this
// job (runner-api sheet, section 5, rule 5).
func (d *decision) known(e policyapi.Evidence) bool {
	d.Rule = "evidence"
	const again = "run the job again; if this stays, tell whoever runs Towline, for the two answers must agree"
	switch a := e.AllowedAgents; {
	case a == nil:
		return d.deny("check that the tunnel reaches GitLab and that GitLab answers GET /api/v4/job/allowed_agents, then run the job again",
			"GitLab could not be asked who this job is")
	case a.JobID != e.Job.ID:
		return d.deny(again, "GitLab handed out job %d, but its answer about the job's token speaks of job %d", e.Job.ID, a.JobID)
	case a.ProjectID != e.Job.ProjectID:
		return d.deny(again, "GitLab handed out a job of project %d, but its answer about the job's token speaks of project %d", e.Job.ProjectID, a.ProjectID)
	case e.Job.ID <= 0 || e.Job.ProjectID <= 0 || e.Job.ProjectPath == "":
		return d.deny(again, "GitLab did not say which job or project this is")
	}
	return true
}

// maxText bounds each text of the author's that rules may ask about, in bytes.
// GitLab's own names are far shorter.
const maxText = 1024

// readable refuses a job whose texts are too long for a grant and for rules.
func (d *decision) readable(e policyapi.Evidence) bool {
	for _, of := range []struct{ what, text string }{{"name", e.Job.Name}, {"ref", e.Job.Ref}, {"image", e.Job.Image}} {
		if len(of.text) > maxText {
			d.Rule = "evidence"
			return d.deny("choose a shorter one", "the job's %s has %d bytes, and at most %d are read", of.what, len(of.text), maxText)
		}
	}
	return true
}

// ours refuses a job that asks for another agent.
func (d *decision) ours(s Settings, e policyapi.Evidence) bool {
	own := s.Agent.Context()
	r := e.RequestedAgent
	if r.Value == "" || strings.EqualFold(r.Value, own) {
		return true
	}
	d.Rule = "requested agent"
	return d.deny(
		fmt.Sprintf("set KUBE_CONTEXT to %s; for the other agent, give the job the tags of that agent's runner", own),
		"the job asks for the agent %q (%s), and this is the agent %q", bounded(r.Value), bounded(string(r.Source)), own)
}

// configured refuses when there never was a configuration that can be used, and
// tells when the one in force is not the newest.
func (d *decision) configured(c Config) bool {
	switch {
	case c.Config == nil && len(c.Faults) == 0:
		d.Rule = "configuration"
		return d.deny("create .gitlab/agents/<agent>/config.yaml in the agent's project, or give policy a file with --config",
			"no configuration of this agent is known")
	case c.Config == nil:
		d.Rule = "configuration"
		for _, f := range c.Faults {
			d.reason("%s", f)
		}
		return d.deny("repair the lines named and run the job again", "the agent's configuration cannot be used")
	}
	for _, f := range c.Faults {
		d.notice("the agent's configuration was changed and the last good one stays in force: %s", f)
	}
	return true
}

func (d *decision) match(s Settings, c Config, e policyapi.Evidence) (agentconfig.Entry, bool) {
	subject := agentconfig.Subject{Project: e.Job.ProjectPath, ConfigProject: s.Agent.Project}
	if entry, ok := c.Match(subject); ok {
		return entry, true
	}
	remedy := fmt.Sprintf("add to %s under ci_access.projects: - id: %s", c.File, e.Job.ProjectPath)
	if near, ok := c.Nearest(subject); ok {
		d.Rule = near.String()
		return near, d.deny(remedy+fmt.Sprintf(", or correct the id %q if it was meant", near.ID),
			"no entry of ci_access covers the project %s; nearest is %s", e.Job.ProjectPath, near)
	}
	d.Rule = c.File + ": ci_access"
	return agentconfig.Entry{}, d.deny(remedy, "no entry of ci_access in %s covers the project %s", c.File, e.Job.ProjectPath)
}

// branch reads the protection from git_info.protected only; null means not
// protected (runner-api sheet, section 5, rule 3).
func (d *decision) branch(entry agentconfig.Entry, e policyapi.Evidence) bool {
	switch p := e.Job.RefProtected; {
	case !entry.ProtectedBranchesOnly || p != nil && *p:
		return true
	case p == nil:
		return d.deny("upgrade GitLab to 18.3 or later, or remove protected_branches_only from the entry",
			"%s takes jobs of protected branches and tags only, and GitLab did not say whether this one is protected", entry)
	default:
		return d.deny("run the job on a protected branch or tag, or protect this one in the project's repository settings",
			"%s takes jobs of protected branches and tags only, and this one is not protected", entry)
	}
}

func (d *decision) environment(entry agentconfig.Entry, e policyapi.Evidence) bool {
	if len(entry.Environments) == 0 {
		return true
	}
	list := strings.Join(entry.Environments, ", ")
	env := e.AllowedAgents.Environment
	switch {
	case env == nil:
		return d.deny("give the job an environment: that matches one of "+list,
			"%s takes jobs of the environments %s only, and GitLab knows no environment for this job", entry, list)
	case e.EnvironmentName == "":
		return d.deny("check that the tunnel may read the project's environments with the job's token, then run the job again",
			"%s takes jobs of the environments %s only, and the name of the environment %q could not be verified with GitLab", entry, list, env.Slug)
	}
	m := entry.MatchEnvironment(e.EnvironmentName)
	if m.Differs() && m.GitLabAllowed {
		d.notice("GitLab reads the pattern %q without anchors and would let the environment %q in; Towline compares the whole name", m.GitLabPattern, e.EnvironmentName)
	}
	if m.Differs() && m.Allowed {
		d.notice("GitLab reads the pattern %q as a regular expression and would not let the environment %q in; Towline takes only * as special", m.Pattern, e.EnvironmentName)
	}
	if !m.Allowed {
		return d.deny("use one of these environments, or add a pattern for it to the entry",
			"%s takes jobs of the environments %s only, and this job's environment is %q", entry, list, e.EnvironmentName)
	}
	d.reason("the environment %q matches %q", e.EnvironmentName, m.Pattern)
	return true
}

// listed tells when GitLab itself would not offer the agent: on the free tier
// it drops entries with access_as (agent-config sheet, fact 6), so that is no
// reason to refuse.
func (d *decision) listed(s Settings, e policyapi.Evidence) {
	if s.Agent.ID == 0 {
		return
	}
	for _, a := range e.AllowedAgents.Agents {
		if a.ID == s.Agent.ID {
			return
		}
	}
	d.notice("GitLab does not list this agent for the job, as on its free tier for entries with access_as; the configuration decides")
}

// maxShown bounds what is quoted of a text of the job's author.
const maxShown = 200

func bounded(s string) string {
	if len(s) <= maxShown {
		return s
	}
	return strings.ToValidUTF8(s[:maxShown], "") + "..."
}
