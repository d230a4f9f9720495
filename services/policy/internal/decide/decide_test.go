package decide

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/policyapi"
)

var settings = Settings{Agent: grant.Agent{ID: 5, Project: "group/agents", Name: "prod"}}

func config(t *testing.T, in string) Config {
	t.Helper()
	c, _, err := agentconfig.Parse("config.yaml", []byte(in), agentconfig.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return Config{Config: c, Revision: agentconfig.Revision([]byte(in))}
}

// job is a job of group/sub/app in the environment prod.
func job(change ...func(*policyapi.Evidence)) Evidence {
	yes := true
	e := policyapi.Evidence{
		Job: policyapi.EvidenceJob{
			ID: 1001, Name: "deploy", PipelineID: 6, ProjectID: 150, ProjectPath: "group/sub/app", UserID: 1, TimeoutSeconds: 3600,
			RefProtected: &yes, PayloadDigest: grant.Digest(nil),
		},
		AllowedAgents: &policyapi.AllowedAgents{
			JobID: 1001, ProjectID: 150, GroupIDs: []int64{25, 23}, User: policyapi.User{ID: 1, Username: "root"},
			Environment: &policyapi.Environment{Slug: "prod", Tier: "production"},
			Agents:      []policyapi.AllowedAgent{{ID: 5, ConfigProjectID: 3}},
		},
		EnvironmentName: "prod",
	}
	for _, c := range change {
		c(&e)
	}
	return Evidence{Evidence: e}
}

func entry(lines string) string {
	return "ci_access:\n  projects:\n    - id: group/sub/app\n      " + lines + "\n"
}

const ciJobAccess = "access_as: {ci_job: {}}"

// The identity of the agent-config sheet, section 3.1, word for word.
func TestCIJobIdentity(t *testing.T) {
	d := Decide(settings, config(t, entry(ciJobAccess)), nil, job())
	want := policyapi.Decision{
		Allow: true,
		Identity: grant.Identity{
			Mode: "ci_job", User: "gitlab:ci_job:1001",
			Groups: []string{
				"gitlab:ci_job", "gitlab:group:25", "gitlab:group_env_tier:25:production", "gitlab:group:23", "gitlab:group_env_tier:23:production",
				"gitlab:project:150", "gitlab:project_env:150:prod", "gitlab:project_env_tier:150:production",
			},
			Extra: map[string][]string{
				"agent.gitlab.com/id": {"5"}, "agent.gitlab.com/config_project_id": {"3"}, "agent.gitlab.com/project_id": {"150"},
				"agent.gitlab.com/ci_pipeline_id": {"6"}, "agent.gitlab.com/ci_job_id": {"1001"}, "agent.gitlab.com/username": {"root"},
				"agent.gitlab.com/environment_slug": {"prod"}, "agent.gitlab.com/environment_tier": {"production"},
			},
		},
		Agent: settings.Agent,
		Rule:  `config.yaml:3: ci_access.projects[0] (id "group/sub/app")`,
		Reasons: []string{
			"access_as.ci_job: the job acts as itself, gitlab:ci_job:1001",
			`config.yaml:3: ci_access.projects[0] (id "group/sub/app") lets jobs of group/sub/app in`,
		},
	}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Errorf("decision (-want +got):\n%s", diff)
	}
}

// With the names of groups given, a job carries those of its own among them and
// is one user with all others, so that RBAC can name everything that is
// impersonated. What the job is stays in the extra fields.
func TestExactNames(t *testing.T) {
	s := settings
	s.JobGroups = []string{"gitlab:ci_job", "gitlab:project_env_tier:150:production", "gitlab:project:999"}
	d := Decide(s, config(t, "ci_access:\n  projects:\n    - id: group/sub/app\n      access_as: {ci_job: {}}\n"), nil, job())
	if !d.Allow || d.Grant == "" && d.Identity.User != AnyJob {
		t.Fatalf("%+v", d)
	}
	want := []string{"gitlab:ci_job", "gitlab:project_env_tier:150:production"}
	if diff := cmp.Diff(want, d.Identity.Groups); diff != "" {
		t.Error(diff)
	}
	if d.Identity.User != AnyJob || d.Identity.Extra["agent.gitlab.com/ci_job_id"][0] != "1001" {
		t.Errorf("identity %+v", d.Identity)
	}
	if err := d.Identity.Validate(); err != nil {
		t.Error(err)
	}
}

func TestCIJobIdentityWithoutEnvironmentAndWithUnknownIDs(t *testing.T) {
	s := settings
	s.Agent.ID = 0
	d := Decide(s, config(t, entry(ciJobAccess)), nil, job(func(e *policyapi.Evidence) {
		e.AllowedAgents.Environment, e.AllowedAgents.GroupIDs = nil, nil
	}))
	want := grant.Identity{
		Mode: "ci_job", User: "gitlab:ci_job:1001", Groups: []string{"gitlab:ci_job", "gitlab:project:150"},
		Extra: map[string][]string{
			"agent.gitlab.com/project_id": {"150"}, "agent.gitlab.com/ci_pipeline_id": {"6"}, "agent.gitlab.com/ci_job_id": {"1001"},
			"agent.gitlab.com/username": {"root"},
		},
	}
	if diff := cmp.Diff(want, d.Identity); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
}

func TestImpersonateIdentity(t *testing.T) {
	c := config(t, entry(`access_as: {impersonate: {username: deployer, uid: u7, groups: [g1, g2], extra: [{key: reason, val: [a, b]}]}}`))
	d := Decide(settings, c, nil, job())
	want := grant.Identity{Mode: "impersonate", User: "deployer", UID: "u7", Groups: []string{"g1", "g2"}, Extra: map[string][]string{"reason": {"a", "b"}}}
	if diff := cmp.Diff(want, d.Identity); diff != "" || !d.Allow {
		t.Errorf("allow %v, identity (-want +got):\n%s", d.Allow, diff)
	}
}

func TestAgentIdentityOnlyIfTheOwnerSaysSo(t *testing.T) {
	s := settings
	s.AgentServiceAccount = ServiceAccount{"towline", "agent"}
	d := Decide(s, config(t, entry("access_as: {agent: {}}")), nil, job())
	want := grant.Identity{Mode: "agent", User: "system:serviceaccount:towline:agent"}
	if diff := cmp.Diff(want, d.Identity); diff != "" || !d.Allow {
		t.Errorf("allow %v, identity (-want +got):\n%s", d.Allow, diff)
	}
	own := job(func(e *policyapi.Evidence) { e.Job.ProjectPath = "group/agents" })
	if d := Decide(s, config(t, ""), nil, own); !d.Allow || d.Rule != "the implicit entry of the agent's own project" {
		t.Errorf("own project: %+v", d)
	}
}

type refusal struct {
	config               string
	change               func(*policyapi.Evidence)
	reason, remedy, rule string
}

func refusals() map[string]refusal {
	return map[string]refusal{
		"GitLab was not asked": {
			entry(ciJobAccess), func(e *policyapi.Evidence) { e.AllowedAgents = nil },
			"GitLab could not be asked who this job is", "allowed_agents", "evidence",
		},
		"another job": {
			entry(ciJobAccess), func(e *policyapi.Evidence) { e.AllowedAgents.JobID = 1002 },
			"handed out job 1001, but its answer about the job's token speaks of job 1002", "run the job again", "evidence",
		},
		"another project": {
			entry(ciJobAccess), func(e *policyapi.Evidence) { e.AllowedAgents.ProjectID = 151 },
			"job of project 150, but its answer about the job's token speaks of project 151", "run the job again", "evidence",
		},
		"another agent": {
			entry(ciJobAccess), func(e *policyapi.Evidence) {
				e.RequestedAgent = policyapi.Requested{Value: "group/agents:staging", Source: policyapi.FromKubeContext}
			},
			`asks for the agent "group/agents:staging" (KUBE_CONTEXT), and this is the agent "group/agents:prod"`, "set KUBE_CONTEXT to group/agents:prod", "requested agent",
		},
		"no entry": {
			"", nil,
			"no entry of ci_access in config.yaml covers the project group/sub/app", "add to config.yaml under ci_access.projects: - id: group/sub/app", "config.yaml: ci_access",
		},
		"nearest entry": {
			"ci_access:\n  projects:\n  - id: group/sub/ap\n", nil,
			`covers the project group/sub/app; nearest is config.yaml:3: ci_access.projects[0] (id "group/sub/ap")`, `correct the id "group/sub/ap"`, `config.yaml:3: ci_access.projects[0] (id "group/sub/ap")`,
		},
		"unprotected": {
			entry("protected_branches_only: true"), func(e *policyapi.Evidence) { e.Job.RefProtected = new(bool) },
			"and this one is not protected", "protected branch", "config.yaml:3",
		},
		"protection unknown": {
			entry("protected_branches_only: true"), func(e *policyapi.Evidence) { e.Job.RefProtected = nil },
			"GitLab did not say whether this one is protected", "18.3", "config.yaml:3",
		},
		"no environment": {
			entry("environments: [prod]"), func(e *policyapi.Evidence) { e.AllowedAgents.Environment = nil },
			"environments prod only, and GitLab knows no environment for this job", "environment:", "config.yaml:3",
		},
		"name without environment": {
			entry("environments: [prod]"), func(e *policyapi.Evidence) { e.AllowedAgents.Environment, e.EnvironmentName = nil, "prod" },
			"GitLab knows no environment for this job", "environment:", "config.yaml:3",
		},
		"environment not verified": {
			entry("environments: [prod]"), func(e *policyapi.Evidence) { e.EnvironmentName = "" },
			`the name of the environment "prod" could not be verified`, "tunnel may read", "config.yaml:3",
		},
		"other environment": {
			entry("environments: [prod/*, staging]"), func(e *policyapi.Evidence) { e.EnvironmentName = "my-prod" },
			`takes jobs of the environments prod/*, staging only, and this job's environment is "my-prod"`, "add a pattern", "config.yaml:3",
		},
		"agent mode": {
			entry("access_as: {agent: {}}"), nil,
			"does not allow that", "--agent-service-account", "config.yaml:3",
		},
		"no access_as": {
			entry("default_namespace: x"), nil,
			"also what an entry without access_as means", "access_as: {ci_job: {}}", "config.yaml:3",
		},
		"own project": {
			"", func(e *policyapi.Evidence) { e.Job.ProjectPath = "group/agents" },
			"the implicit entry of the agent's own project gives the identity of the agent itself", "list the project under ci_access.projects", "the implicit entry",
		},
		"masters": {
			entry("access_as: {impersonate: {username: u, groups: ['system:masters']}}"), nil,
			`group "system:masters" is one of Kubernetes' own`, "belong to Kubernetes", "config.yaml:3",
		},
		"a ServiceAccount": {
			entry("access_as: {impersonate: {username: 'system:serviceaccount:kube-system:admin'}}"), nil,
			"is one of Kubernetes' own", "belong to Kubernetes", "config.yaml:3",
		},
		"strict project entry before open group": {
			entry("environments: [other]") + "  groups: [{id: group, access_as: {ci_job: {}}}]\n", nil,
			`this job's environment is "prod"`, "add a pattern", "config.yaml:3: ci_access.projects[0]",
		},
	}
}

func TestDeny(t *testing.T) {
	for name, tt := range refusals() {
		t.Run(name, func(t *testing.T) {
			e := job()
			if tt.change != nil {
				tt.change(&e.Evidence)
			}
			d := Decide(settings, config(t, tt.config), nil, e)
			if d.Allow || !cmp.Equal(d.Identity, grant.Identity{}) || d.Namespaces != nil || d.DefaultNamespace != "" || d.Grant != "" {
				t.Fatalf("not a refusal: %+v", d)
			}
			if all := strings.Join(d.Reasons, "\n"); !strings.Contains(all, tt.reason) {
				t.Errorf("reasons %q, want %q", all, tt.reason)
			}
			if !strings.Contains(d.Remedy, tt.remedy) {
				t.Errorf("remedy %q, want %q", d.Remedy, tt.remedy)
			}
			if !strings.HasPrefix(d.Rule, tt.rule) {
				t.Errorf("rule %q, want %q", d.Rule, tt.rule)
			}
		})
	}
}

func TestWithoutAConfiguration(t *testing.T) {
	d := Decide(settings, Config{}, nil, job())
	if d.Allow || d.Reasons[0] != "no configuration of this agent is known" {
		t.Errorf("%+v", d)
	}
	d = Decide(settings, Config{Faults: []string{"f:1:1: x: unknown key"}}, nil, job())
	if d.Allow || !cmp.Equal(d.Reasons, []string{"f:1:1: x: unknown key", "the agent's configuration cannot be used"}) {
		t.Errorf("%+v", d)
	}
	c := config(t, entry(ciJobAccess))
	c.Faults = []string{"f:1:1: x: unknown key"}
	d = Decide(settings, c, nil, job())
	if !d.Allow || len(d.Notices) != 1 || !strings.Contains(d.Notices[0], "last good one stays in force: f:1:1") {
		t.Errorf("%+v", d)
	}
}

func TestNotices(t *testing.T) {
	for name, tt := range map[string]struct {
		config, environment string
		listed              bool
		allow               bool
		want                string
	}{
		"GitLab lets more in":      {entry("environments: ['prod*']\n      " + ciJobAccess), "nonprod", true, false, "GitLab reads the pattern \"prod*\" without anchors and would let the environment \"nonprod\" in"},
		"GitLab lets less in":      {entry("environments: ['(prod*']\n      " + ciJobAccess), "(prod", true, true, "would not let the environment"},
		"not listed, as on Free":   {entry(ciJobAccess), "prod", false, true, "GitLab does not list this agent"},
		"nothing to say":           {entry("environments: ['prod*']\n      " + ciJobAccess), "production", true, true, ""},
		"namespace of the file":    {entry("default_namespace: app\n      " + ciJobAccess), "prod", true, true, ""},
		"readings agree on refuse": {entry("environments: ['prod*']\n      " + ciJobAccess), "dev", true, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := Decide(settings, config(t, tt.config), nil, job(func(e *policyapi.Evidence) {
				e.EnvironmentName = tt.environment
				if !tt.listed {
					e.AllowedAgents.Agents = nil
				}
			}))
			if d.Allow != tt.allow {
				t.Errorf("%+v", d)
			}
			if got := strings.Join(d.Notices, "\n"); (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
				t.Errorf("notices %q, want %q", got, tt.want)
			}
		})
	}
}

func TestNamespacesOnlyNarrow(t *testing.T) {
	for _, tt := range []struct {
		owner        []string
		file         string
		wantDefault  string
		wantNotice   bool
		wantMayUseIn []string
	}{
		{nil, "", "", false, nil},
		{nil, "app", "app", false, nil},
		{[]string{"app", "web"}, "app", "app", false, []string{"app", "web"}},
		{[]string{"app", "web"}, "kube-system", "app", true, []string{"app", "web"}},
		{[]string{"app"}, "kube-system", "app", true, []string{"app"}},
		{[]string{"app"}, "", "app", false, []string{"app"}},
	} {
		s := settings
		s.Namespaces = tt.owner
		d := Decide(s, config(t, entry("default_namespace: '"+tt.file+"'\n      "+ciJobAccess)), nil, job())
		if !d.Allow || d.DefaultNamespace != tt.wantDefault || !cmp.Equal(d.Namespaces, tt.wantMayUseIn) || (len(d.Notices) > 0) != tt.wantNotice {
			t.Errorf("%v with %q: %+v", tt.owner, tt.file, d)
		}
	}
}

// What an author writes must not change who the job is, and the same evidence
// must give the same answer.
func TestAuthorsWordsDoNotMatter(t *testing.T) {
	c := config(t, entry("environments: [prod]\n      "+ciJobAccess))
	first := Decide(settings, c, nil, job())
	second := Decide(settings, c, nil, job(func(e *policyapi.Evidence) {
		e.Job.Name, e.RequestedAgent.Value = "gitlab:ci_job:1", "Group/Agents:prod"
	}))
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("decisions differ:\n%s", diff)
	}
}

// A grant must be signable for whatever is allowed.
func TestAllowedIdentitiesAreValid(t *testing.T) {
	for _, in := range []string{entry(ciJobAccess), entry("access_as: {impersonate: {username: u}}")} {
		if d := Decide(settings, config(t, in), nil, job()); !d.Allow || d.Identity.Validate() != nil {
			t.Errorf("%+v", d)
		}
	}
}
