package rules

import (
	"strings"
	"time"

	"github.com/google/cel-go/cel"

	"github.com/towline/towline/pkg/access"
	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/grant"
)

// facts answer an expression's variables. Each is made when it is asked for.
type facts struct {
	claims     *grant.Claims
	request    *access.Request // nil in the stage "job"
	now        time.Time
	namespaces []string // before the rules
	made       map[string]any
}

// Parent implements cel.Activation.
func (*facts) Parent() cel.Activation { return nil }

// ResolveName implements cel.Activation.
func (f *facts) ResolveName(name string) (any, bool) {
	if name == "namespaces" {
		return f.namespaces, true
	}
	if v, ok := f.made[name]; ok {
		return v, true
	}
	v := f.variable(name)
	if v == nil {
		return nil, false
	}
	if f.made == nil {
		f.made = map[string]any{}
	}
	f.made[name] = v
	return v, true
}

func (f *facts) variable(name string) any {
	c := f.claims
	switch name {
	case "job":
		return map[string]any{"id": c.Job.ID, "name": c.Facts.JobName, "pipeline_id": c.Job.PipelineID}
	case "project":
		root, _, _ := strings.Cut(c.Project(), "/")
		return map[string]any{"id": c.Job.ProjectID, "path": c.Project(), "root": root, "group_ids": some(c.Facts.GroupIDs)}
	case "groups":
		return ancestors(c.Project())
	case "user":
		u := c.Facts.User
		return map[string]any{"id": u.ID, "username": u.Username, "roles": some(u.Roles), "acts_for": u.ActsFor}
	case "ref":
		r := c.Facts.Ref
		return map[string]any{"name": r.Name, "slug": agentconfig.RefSlug(r.Name), "type": r.Type, "protected": r.Protected}
	case "environment":
		return environmentOf(c.Facts.Environment)
	case "image":
		return c.Facts.Image
	case "agent":
		return map[string]any{"id": c.Agent.ID, "project": c.Agent.Project, "name": c.Agent.Name}
	case "identity":
		return map[string]any{"mode": c.Identity.Mode, "user": c.Identity.User, "groups": some(c.Identity.Groups)}
	case "id_token":
		return tokenOf(c.Facts.IDToken)
	case "now":
		return f.now
	case "request":
		return requestOf(f.request)
	}
	return nil
}

// some is never nil, which CEL would take for null.
func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// ancestors are the full paths of the groups above a project, innermost first.
func ancestors(project string) []string {
	out := []string{}
	for i := strings.LastIndexByte(project, '/'); i > 0; i = strings.LastIndexByte(project, '/') {
		project = project[:i]
		out = append(out, project)
	}
	return out
}

// environmentOf has no name when GitLab knows the environment and its name
// could not be verified: a rule that asks for it then refuses. A job without an
// environment has empty texts.
func environmentOf(e *grant.Environment) map[string]any {
	if e == nil {
		return map[string]any{"name": "", "slug": "", "tier": ""}
	}
	m := map[string]any{"slug": e.Slug, "tier": e.Tier}
	put(m, "name", e.Name)
	return m
}

// tokenOf has only what the token says: a rule that asks for more refuses,
// unless it asks with has().
func tokenOf(t *grant.IDToken) map[string]any {
	m := map[string]any{}
	if t == nil {
		return m
	}
	put(m, "ref", t.Ref)
	put(m, "ref_type", t.RefType)
	put(m, "environment", t.Environment)
	put(m, "environment_action", t.EnvironmentAction)
	put(m, "deployment_tier", t.DeploymentTier)
	put(m, "pipeline_source", t.PipelineSource)
	put(m, "project_path", t.ProjectPath)
	put(m, "job_project_path", t.JobProjectPath)
	put(m, "user_login", t.UserLogin)
	put(m, "user_access_level", t.UserAccessLevel)
	if t.RefProtected != nil {
		m["ref_protected"] = *t.RefProtected
	}
	if t.EnvironmentProtected != nil {
		m["environment_protected"] = *t.EnvironmentProtected
	}
	return m
}

func put(m map[string]any, key, value string) {
	if value != "" {
		m[key] = value
	}
}

func requestOf(r *access.Request) any {
	if r == nil {
		return nil
	}
	return map[string]any{
		"verb": r.Verb, "group": r.APIGroup, "version": r.APIVersion, "resource": r.Resource,
		"subresource": r.Subresource, "namespace": r.Namespace, "name": r.Name, "path": r.Path,
	}
}
