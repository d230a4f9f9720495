package decide

import (
	"slices"
	"strconv"
	"strings"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/policyapi"
)

// refine applies the entries of towline.yaml that cover the job, all of them:
// each may refuse the job or leave it fewer namespaces, and none gives anything.
func (d *decision) refine(c Config, e policyapi.Evidence) bool {
	for _, r := range c.Towline.Refine {
		r.File = c.Towline.File
		if !covers(r, e) {
			continue
		}
		if !d.meets(r, e) || !d.leaves(r, e) {
			d.Rule = r.String()
			return false
		}
	}
	return true
}

// answer is what is known of a job: what cannot be known counts against it.
type answer int

const (
	no answer = iota
	unknown
	yes
)

func is(b bool) answer {
	if b {
		return yes
	}
	return no
}

// covers says whether an entry is for the job. A job whose environment or ref is
// not known is covered, and excepted by nothing.
func covers(r agentconfig.Refinement, e policyapi.Evidence) bool {
	if fits(r.For, e) == no {
		return false
	}
	return r.Except.IsZero() || fits(r.Except, e) != yes
}

func fits(s agentconfig.Scope, e policyapi.Evidence) answer {
	a := is(s.CoversProject(e.Job.ProjectPath))
	if len(s.Environments) > 0 {
		a = min(a, inEnvironment(s.Environments, e))
	}
	if len(s.Refs)+len(s.Tags) > 0 {
		a = min(a, onRef(s.Refs, s.Tags, e))
	}
	return a
}

func inEnvironment(patterns []string, e policyapi.Evidence) answer {
	switch {
	case e.AllowedAgents.Environment == nil:
		return no
	case e.EnvironmentName == "":
		return unknown
	default:
		return is(matchesAny(patterns, e.EnvironmentName))
	}
}

// The values of a job's RefType.
const (
	typeBranch = "branch"
	typeTag    = "tag"
)

func onRef(refs, tags []string, e policyapi.Evidence) answer {
	switch {
	case e.Job.Ref == "":
		return unknown
	case e.Job.RefType == typeBranch:
		return is(matchesAny(refs, e.Job.Ref))
	case e.Job.RefType == typeTag:
		return is(matchesAny(tags, e.Job.Ref))
	default:
		return unknown
	}
}

func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return agentconfig.MatchPattern(p, name) })
}

// meets checks what an entry asks of the job.
func (d *decision) meets(r agentconfig.Refinement, e policyapi.Evidence) bool {
	if len(r.Environments) > 0 && inEnvironment(r.Environments, e) != yes {
		return d.deny("use one of these environments, or change the entry",
			"%s takes jobs of the environments %s only, and %s", r, list(r.Environments), environmentOf(e))
	}
	if len(r.Refs)+len(r.Tags) > 0 && onRef(r.Refs, r.Tags, e) != yes {
		return d.deny("run the job for one of these, or change the entry",
			"%s takes jobs of %s only, and %s", r, refList(r), refOf(e))
	}
	return d.meetsWho(r, e)
}

// meetsWho checks who runs the job. A service account that acts for a person
// would have to be let in together with that person (runner-api sheet, section
// 5, rule 8), and of the person GitLab tells a number only.
func (d *decision) meetsWho(r agentconfig.Refinement, e policyapi.Evidence) bool {
	user := e.AllowedAgents.User
	if who := e.Job.ScopedUserID; who != nil && len(r.Roles)+len(r.Users) > 0 {
		return d.deny("let a person run the job, or change the entry",
			"%s asks who runs the job, and %q acts for the user %d, of whom GitLab tells neither name nor roles", r, bounded(user.Username), *who)
	}
	if len(r.Roles) > 0 && !overlap(r.Roles, user.Roles) {
		return d.deny("let somebody with that role run the job, or change the entry",
			"%s takes jobs of users with the role %s only, and %s", r, either(r.Roles), rolesOf(user))
	}
	if len(r.Users) > 0 && !slices.ContainsFunc(r.Users, func(n string) bool { return n != "" && strings.EqualFold(n, user.Username) }) {
		return d.deny("let one of them run the job, or change the entry",
			"%s takes jobs of %s only, and this one is of %q", r, list(r.Users), bounded(user.Username))
	}
	return true
}

// leaves narrows the namespaces. An empty list in a grant means all that RBAC
// allows, so a job that is left none is refused.
func (d *decision) leaves(r agentconfig.Refinement, e policyapi.Evidence) bool {
	if len(r.Namespaces) == 0 {
		d.reason("%s is met", r)
		return true
	}
	var left []string
	for _, pattern := range r.Namespaces {
		name, ok := fill(pattern, e)
		if ok && !slices.Contains(left, name) && (len(d.Namespaces) == 0 || slices.Contains(d.Namespaces, name)) {
			left = append(left, name)
		}
	}
	if len(left) == 0 {
		before := "no namespace can be made of these for this job"
		if len(d.Namespaces) > 0 {
			before = "of these the job may use none otherwise, only " + list(d.Namespaces)
		}
		return d.deny("name one of those namespaces in the entry, or change what narrows them before it",
			"%s leaves the namespaces %s only, and %s", r, list(r.Namespaces), before)
	}
	d.Namespaces = left
	d.reason("%s leaves the namespaces %s", r, list(left))
	return true
}

// fill puts what GitLab said of the job into a namespace with placeholders; not
// ok when it did not say it or when the result is no name.
func fill(pattern string, e policyapi.Evidence) (name string, ok bool) {
	var environment string
	if env := e.AllowedAgents.Environment; env != nil {
		environment = env.Slug
	}
	for _, p := range []struct{ placeholder, value string }{
		{agentconfig.PlaceholderEnvironment, environment},
		{agentconfig.PlaceholderProject, strconv.FormatInt(e.Job.ProjectID, 10)},
		{agentconfig.PlaceholderRef, agentconfig.RefSlug(e.Job.Ref)},
	} {
		if p.value == "" && strings.Contains(pattern, p.placeholder) {
			return "", false
		}
		pattern = strings.ReplaceAll(pattern, p.placeholder, p.value)
	}
	return pattern, grant.IsNamespace(pattern)
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

func list(names []string) string { return strings.Join(names, ", ") }

func either(names []string) string { return strings.Join(names, " or ") }

func environmentOf(e policyapi.Evidence) string {
	switch env := e.AllowedAgents.Environment; {
	case env == nil:
		return "GitLab knows no environment for this job"
	case e.EnvironmentName == "":
		return "the name of the environment " + strconv.Quote(bounded(env.Slug)) + " could not be verified with GitLab"
	default:
		return "this job's environment is " + strconv.Quote(bounded(e.EnvironmentName))
	}
}

func refList(r agentconfig.Refinement) string {
	var parts []string
	if len(r.Refs) > 0 {
		parts = append(parts, "the branches "+list(r.Refs))
	}
	if len(r.Tags) > 0 {
		parts = append(parts, "the tags "+list(r.Tags))
	}
	return strings.Join(parts, " and ")
}

func refOf(e policyapi.Evidence) string {
	switch {
	case e.Job.Ref == "" || e.Job.RefType != typeBranch && e.Job.RefType != typeTag:
		return "GitLab did not say which branch or tag this job is for"
	case e.Job.RefType == typeTag:
		return "this job is for the tag " + strconv.Quote(bounded(e.Job.Ref))
	default:
		return "this job is for the branch " + strconv.Quote(bounded(e.Job.Ref))
	}
}

func rolesOf(user policyapi.User) string {
	if len(user.Roles) == 0 {
		return "GitLab names no role of " + strconv.Quote(bounded(user.Username)) + " in this project"
	}
	return strconv.Quote(bounded(user.Username)) + " is " + user.Roles[len(user.Roles)-1] + " here"
}
