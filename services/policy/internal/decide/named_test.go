package decide

import (
	"slices"
	"strings"
	"testing"

	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/policyapi"
)

// The jobs that are like others but for one thing, by the name of that thing.
func TestNamedCases(t *testing.T) {
	const users = "  - {users: [root, project_150_bot_1f]}\n"
	no := false
	fork := func(e *policyapi.Evidence) {
		// The parent's project and a ref of its own; of the fork GitLab says nothing here.
		e.Job.Ref, e.Job.RefType, e.Job.RefProtected = "refs/merge-requests/7/head", "branch", &no
	}
	bot := by("project_150_bot_1f", "guest", "developer")
	composite := func(e *policyapi.Evidence) { e.Job.ScopedUserID = new(int64(8)) }
	free := func(e *policyapi.Evidence) { e.AllowedAgents.Agents = nil }
	alone := func(e *policyapi.Evidence) { e.AllowedAgents.Environment, e.EnvironmentName = nil, "" }
	for name, tt := range map[string]struct {
		config Config
		change []func(*policyapi.Evidence)
		want   string // the mode of the identity, or what the last reason says
	}{
		"fork":                          {config(t, entry(ciJobAccess)), with(fork), "ci_job"},
		"fork, protected refs only":     {config(t, entry("protected_branches_only: true\n      "+ciJobAccess)), with(fork), "is not protected"},
		"fork, entry of the fork":       {config(t, strings.ReplaceAll(entry(ciJobAccess), "group/sub/app", "eve/app")), with(fork), "no entry of ci_access"},
		"fork, branches by name":        {refined(t, "  - {refs: [main]}\n"), with(fork), `for the branch "refs/merge-requests/7/head"`},
		"bot":                           {config(t, entry(ciJobAccess)), with(bot), "ci_job"},
		"bot, users listed with it":     {refined(t, users), with(bot), "ci_job"},
		"bot, users listed without it":  {refined(t, "  - {users: [root]}\n"), with(bot), `"project_150_bot_1f"`},
		"bot, roles":                    {refined(t, "  - {roles: [maintainer]}\n"), with(bot), "is developer here"},
		"composite":                     {config(t, entry(ciJobAccess)), with(composite), "ci_job"},
		"composite, account listed":     {refined(t, users), with(composite), `"root" acts for the user 8, of whom GitLab tells neither name nor roles`},
		"composite, account has role":   {refined(t, "  - {roles: [developer]}\n"), with(composite, by("root", "developer")), "acts for the user 8"},
		"composite, rule for others":    {refined(t, "  - {for: {environments: [dev]}, users: [root]}\n"), with(composite), "ci_job"},
		"no environment":                {config(t, entry(ciJobAccess)), with(alone), "ci_job"},
		"no environment, one is needed": {config(t, entry("environments: ['*']\n      "+ciJobAccess)), with(alone), "GitLab knows no environment"},
		"no environment, variable forged": {
			config(t, entry("environments: ['*']\n      "+ciJobAccess)), with(alone, func(e *policyapi.Evidence) { e.EnvironmentName = "prod" }), "GitLab knows no environment",
		},
		"free tier, ci_job":           {config(t, entry(ciJobAccess)), with(free), "ci_job"},
		"free tier, impersonate":      {config(t, entry("access_as: {impersonate: {username: deployer}}")), with(free), "impersonate"},
		"free tier, nothing chosen":   {config(t, entry("default_namespace: app")), with(free), "the owner of this cluster does not allow that"},
		"free tier, nobody listed us": {config(t, ""), with(free), "no entry of ci_access"},
	} {
		t.Run(name, func(t *testing.T) {
			d := Decide(settings, tt.config, nil, job(tt.change...))
			switch last := d.Reasons[len(d.Reasons)-1]; {
			case d.Allow && d.Identity.Mode != tt.want:
				t.Errorf("allowed as %s, want %s", d.Identity.Mode, tt.want)
			case !d.Allow && !strings.Contains(last, tt.want):
				t.Errorf("refused because %q, want %q", last, tt.want)
			case !d.Allow && d.Remedy == "":
				t.Error("no remedy")
			}
		})
	}
}

// with reads better than a list in a list.
func with(change ...func(*policyapi.Evidence)) []func(*policyapi.Evidence) { return change }

// On the free tier GitLab leaves out entries with access_as, and its answer then
// looks as if the agent's own identity were meant. It never is.
func TestFreeTierNeverGivesTheAgentsIdentity(t *testing.T) {
	s := settings
	s.AgentServiceAccount = ServiceAccount{"towline", "agent"}
	for _, access := range []string{ciJobAccess, "access_as: {impersonate: {username: deployer}}"} {
		for _, agents := range [][]policyapi.AllowedAgent{nil, {{ID: 5, ConfigProjectID: 3}}, {{ID: 6, ConfigProjectID: 3}}} {
			d := Decide(s, config(t, entry(access)), nil, job(func(e *policyapi.Evidence) { e.AllowedAgents.Agents = agents }))
			if !d.Allow || d.Identity.Mode == grant.ModeAgent || d.Identity.User == grant.ServiceAccountUser("towline", "agent") {
				t.Errorf("%s with %v: %+v", access, agents, d.Identity)
			}
			listed := slices.ContainsFunc(agents, func(a policyapi.AllowedAgent) bool { return a.ID == 5 })
			if told := strings.Contains(strings.Join(d.Notices, "\n"), "does not list this agent"); told == listed {
				t.Errorf("%s with %v: notices %q", access, agents, d.Notices)
			}
		}
	}
}

// A token of a fork's merge request names two projects; who the job is comes
// from neither.
func TestIDTokensDoNotChangeWhoTheJobIs(t *testing.T) {
	c := config(t, entry(ciJobAccess))
	without := Decide(settings, c, nil, job())
	e := job()
	e.IDToken = &IDToken{ProjectID: 99, ProjectPath: "eve/app", JobProjectID: 150, UserLogin: "mallory", Environment: "other", RefProtected: true}
	got := Decide(settings, c, nil, e)
	if got.Identity.User != without.Identity.User || !slices.Equal(got.Identity.Groups, without.Identity.Groups) || !got.Allow {
		t.Errorf("%+v, want %+v", got, without)
	}
	e.IDToken, e.IDTokenFault = nil, "it has expired"
	if got = Decide(settings, c, nil, e); !got.Allow || !slices.Contains(got.Notices, "the job's ID token does not count: it has expired") {
		t.Errorf("%+v", got)
	}
}
