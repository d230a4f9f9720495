package gitlabsim

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// agentsFixture has an agent in ops/agents and jobs in acme/apps/hello.
func agentsFixture(t *testing.T, opts Options, config string) *fixture {
	t.Helper()
	f := newFixture(t, opts)
	_, err := f.CreateProject(ProjectOptions{Path: "acme/ops/agents"})
	f.must(err)
	_, err = f.Push("acme/ops/agents", "", map[string]string{".gitlab/agents/a/config.yaml": config})
	f.must(err)
	_, err = f.CreateAgent("acme/ops/agents", "a")
	f.must(err)
	return f
}

func (f *fixture) agentsOf(yaml, ref string) (*testJob, map[string]any) {
	f.t.Helper()
	_, err := f.Push(f.project, ref, map[string]string{".gitlab-ci.yml": yaml})
	f.must(err)
	_, err = f.RunPipeline(PipelineOptions{Project: f.project, Ref: ref})
	f.must(err)
	j := f.take()
	r := f.send("GET", "/api/v4/job/allowed_agents", map[string]string{"Job-Token": j.token}, nil)
	f.wantStatus(r, http.StatusOK)
	return j, r.json(f.t)
}

func configurations(m map[string]any) string {
	var out []string
	for _, a := range m["allowed_agents"].([]any) {
		out = append(out, fmt.Sprint(a.(map[string]any)["configuration"]))
	}
	return strings.Join(out, ";")
}

func TestAllowedAgentsPrecedence(t *testing.T) {
	const plain = "j:\n  script: [x]\n"
	prod := "j:\n  script: [x]\n  environment: production\n"
	for name, tt := range map[string]struct {
		config, yaml, ref, want string
		opts                    Options
	}{
		"nothing":      {"{}", plain, "main", "", Options{}},
		"project":      {"ci_access: {projects: [{id: Acme/apps/hello, default_namespace: p}]}", plain, "main", "map[default_namespace:p]", Options{}},
		"other":        {"ci_access: {projects: [{id: acme/apps/other}]}", plain, "main", "", Options{}},
		"group":        {"ci_access: {groups: [{id: acme, default_namespace: g}]}", plain, "main", "map[default_namespace:g]", Options{}},
		"inner group":  {"ci_access: {groups: [{id: acme, default_namespace: g}, {id: acme/apps, default_namespace: i}]}", plain, "main", "map[default_namespace:i]", Options{}},
		"project wins": {"ci_access: {groups: [{id: acme, environments: [x]}], projects: [{id: acme/apps/hello}]}", plain, "main", "map[]", Options{}},
		"strict project hides a permissive group": {"ci_access: {groups: [{id: acme}], projects: [{id: acme/apps/hello, environments: [x]}]}", plain, "main", "", Options{}},
		"instance":                  {"ci_access: {instance: {default_namespace: n}}", plain, "main", "map[default_namespace:n]", Options{}},
		"instance, setting off":     {"ci_access: {instance: {}}", plain, "main", "", Options{NoOrganizationAccess: true}},
		"environment":               {"ci_access: {projects: [{id: acme/apps/hello, environments: [production]}]}", prod, "main", "map[environments:[production]]", Options{}},
		"unanchored pattern":        {"ci_access: {projects: [{id: acme/apps/hello, environments: ['duct*']}]}", prod, "main", "map[environments:[duct*]]", Options{}},
		"no star, no substring":     {"ci_access: {projects: [{id: acme/apps/hello, environments: [prod]}]}", prod, "main", "", Options{}},
		"star needs an environment": {"ci_access: {projects: [{id: acme/apps/hello, environments: ['*']}]}", plain, "main", "", Options{}},
		"protected ref":             {"ci_access: {projects: [{id: acme/apps/hello, protected_branches_only: true}]}", plain, "main", "map[protected_branches_only:true]", Options{}},
		"unprotected ref":           {"ci_access: {projects: [{id: acme/apps/hello, protected_branches_only: true}]}", plain, "topic", "", Options{}},
		"free drops ci_job":         {"ci_access: {projects: [{id: acme/apps/hello, access_as: {ci_job: {}}}], groups: [{id: acme}]}", plain, "main", "map[]", Options{Tier: "free"}},
		"free keeps agent":          {"ci_access: {projects: [{id: acme/apps/hello, access_as: {agent: {}}}]}", plain, "main", "map[access_as:map[agent:map[]]]", Options{Tier: "free"}},
		"premium keeps ci_job":      {"ci_access: {projects: [{id: acme/apps/hello, access_as: {ci_job: {}}}]}", plain, "main", "map[access_as:map[ci_job:map[]]]", Options{}},
		"broken file":               {"ci_access: [", plain, "main", "", Options{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := agentsFixture(t, tt.opts, tt.config)
			j, answer := f.agentsOf(tt.yaml, tt.ref)
			if got := configurations(answer); got != tt.want {
				t.Errorf("configurations = %q, want %q", got, tt.want)
			}
			if _, n := j.variable("KUBECONFIG"); (n > 0) != (tt.want != "") {
				t.Errorf("KUBECONFIG occurs %d times", n)
			}
			f.clean()
		})
	}
}

func TestImplicitAuthorizationOfTheConfigProject(t *testing.T) {
	f := agentsFixture(t, Options{Tier: "free"}, "ci_access: {projects: [{id: acme/ops/agents, access_as: {ci_job: {}}}]}")
	f.project = "acme/ops/agents"
	_, answer := f.agentsOf(simpleYAML, "main")
	if got := configurations(answer); got != "map[]" {
		t.Errorf("configurations = %q", got)
	}
	f = agentsFixture(t, Options{NoOrganizationAccess: true}, "ci_access: {projects: [{id: zoo/app}]}")
	f.project = "zoo/app"
	_, err := f.CreateProject(ProjectOptions{Path: f.project})
	f.must(err)
	if _, answer = f.agentsOf(simpleYAML, "main"); configurations(answer) != "" {
		t.Errorf("another root group is authorized: %v", answer)
	}
}

func TestAllowedAgentsShape(t *testing.T) {
	f := agentsFixture(t, Options{}, "ci_access: {groups: [{id: acme, access_as: {ci_job: {}}}]}")
	_, err := f.CreateUser("alice")
	f.must(err)
	f.must(f.AddMember("acme/apps", "alice", Developer))
	_, err = f.Push(f.project, "main", map[string]string{".gitlab-ci.yml": "j:\n  script: [x]\n  environment: {name: Production EU}\n"})
	f.must(err)
	_, err = f.RunPipeline(PipelineOptions{Project: f.project, User: "alice"})
	f.must(err)
	j := f.take()
	r := f.send("GET", "/api/v4/job/allowed_agents", map[string]string{"JOB-TOKEN": j.token}, nil)
	m := r.json(t)
	if fmt.Sprint(m["user"]) != "map[id:2 roles_in_project:[guest reporter developer] username:alice]" {
		t.Errorf("user = %v", m["user"])
	}
	if fmt.Sprint(m["project"]) != "map[groups:[map[id:71] map[id:70]] id:20]" || m["job"].(map[string]any)["id"].(float64) != float64(j.id) {
		t.Errorf("project = %v, job = %v", m["project"], m["job"])
	}
	env := m["environment"].(map[string]any)
	if env["tier"] != "production" || !strings.HasPrefix(env["slug"].(string), "production-eu-") || len(env) != 2 {
		t.Errorf("environment = %v", env)
	}
	agent := m["allowed_agents"].([]any)[0].(map[string]any)
	if agent["config_project"].(map[string]any)["id"].(float64) != 21 || agent["id"].(float64) != 5 {
		t.Errorf("agent = %v", agent)
	}
	f.clean()
	r = f.send("GET", "/api/v4/job", map[string]string{"JOB-TOKEN": j.token}, nil)
	if m := r.json(t); m["id"].(float64) != float64(j.id) || m["pipeline"].(map[string]any)["project_id"].(float64) != 20 {
		t.Errorf("job = %v", m)
	}
	f.wantStatus(f.send("GET", "/api/v4/job/allowed_agents", map[string]string{"JOB-TOKEN": "x"}, nil), http.StatusUnauthorized)
	pat, err := f.CreateAccessToken(AccessTokenOptions{Scopes: []string{"api"}})
	f.must(err)
	f.wantStatus(f.send("GET", "/api/v4/job/allowed_agents", map[string]string{"PRIVATE-TOKEN": pat}, nil), http.StatusNotFound)
	j.log("x")
	j.finish("success", nil)
	f.wantStatus(f.send("GET", "/api/v4/job/allowed_agents", map[string]string{"JOB-TOKEN": j.token}, nil), http.StatusUnauthorized)
}

func TestEnvironmentsAPI(t *testing.T) {
	f := agentsFixture(t, Options{}, "user_access: {access_as: {agent: {}}, groups: [{id: acme}]}")
	yaml := `
deploy:
  script: [x]
  environment:
    name: review/a
    url: https://a.example.com
    kubernetes: {agent: "$AGENT_PROJECT:a", namespace: ns-$CI_ENVIRONMENT_SLUG}
  variables: {AGENT_PROJECT: acme/ops/agents}
`
	j, _ := f.agentsOf(yaml, "main")
	auth := map[string]string{"JOB-TOKEN": j.token}
	list := func(query string) string {
		r := f.send("GET", "/api/v4/projects/20/environments"+query, auth, nil)
		return fmt.Sprint(r.status) + " " + string(r.body)
	}
	if got := list("?name=review/a"); !strings.Contains(got, `"state":"available"`) || strings.Contains(got, "cluster_agent") {
		t.Errorf("before the deployment: %s", got)
	}
	if got := list("?search=xyz"); got != "200 []\n" {
		t.Errorf("search: %s", got)
	}
	if got := list("?search=x"); !strings.HasPrefix(got, "400") {
		t.Errorf("short search: %s", got)
	}
	if got := list("?states=bogus"); !strings.HasPrefix(got, "400") {
		t.Errorf("states: %s", got)
	}
	f.clean()
	j.log("x")
	j.finish("success", nil)
	pat, err := f.CreateAccessToken(AccessTokenOptions{Scopes: []string{"read_api"}})
	f.must(err)
	r := f.send("GET", "/api/v4/projects/acme%2Fapps%2Fhello/environments/300", map[string]string{"PRIVATE-TOKEN": pat}, nil)
	f.wantStatus(r, http.StatusOK)
	m := r.json(t)
	if m["cluster_agent"].(map[string]any)["name"] != "a" || !strings.HasPrefix(m["kubernetes_namespace"].(string), "ns-review-a-") || m["last_deployment"] == nil {
		t.Errorf("environment = %s", r.body)
	}
	f.wantStatus(f.send("GET", "/api/v4/projects/20/environments/1", map[string]string{"PRIVATE-TOKEN": pat}, nil), http.StatusNotFound)
	f.wantStatus(f.send("GET", "/api/v4/projects/acme%2Fapps%2Fhello", map[string]string{"PRIVATE-TOKEN": pat}, nil), http.StatusOK)
	envs, err := f.Environments(f.project)
	if err != nil || len(envs) != 1 || envs[0].AgentID != 5 {
		t.Errorf("%+v %v", envs, err)
	}
	f.pipeline("stop:\n  script: [x]\n  environment: {name: review/a, action: stop}\n")
	k := f.take()
	k.log("x")
	k.finish("success", nil)
	if envs, _ = f.Environments(f.project); envs[0].State != "stopped" {
		t.Errorf("state = %s", envs[0].State)
	}
}

func TestEnvironmentSlug(t *testing.T) {
	for name, want := range map[string]string{
		"production": "production", "Production": "production-", "review/x": "review-x-", "1st": "env-1st-",
		"a-very-long-environment-name-indeed": "a-very-long-envir-",
	} {
		got := environmentSlug(name)
		if !strings.HasPrefix(got, want) || len(got) > 24 || want == "production" && got != want {
			t.Errorf("slug of %q = %q", name, got)
		}
	}
}
