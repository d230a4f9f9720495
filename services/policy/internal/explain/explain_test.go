package explain

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/policy/internal/decide"
	"github.com/towline/towline/services/policy/internal/records"
)

const (
	config = `ci_access:
  projects:
    - id: acme/shop/app
      environments: [production]
      access_as: {ci_job: {}}
  groups:
    - id: acme
      protected_branches_only: true
      default_namespace: acme
      access_as: {impersonate: {username: deployer}}
  instance: {}
`
)

// policy decides with two files, as the service does.
func policy(t *testing.T) *Policy {
	t.Helper()
	f := agentconfig.Files{Name: "dir/config.yaml", Content: []byte(config), Towline: []byte("refine: [{for: {environments: [production]}, except: {refs: [hotfix]}, refs: [main], namespaces: [shop]}]\n")}
	loaded, _, err := f.Parse(agentconfig.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := decide.Config{Config: loaded, Revision: f.Revision(), Source: "local"}
	s := decide.Settings{Agent: grant.Agent{Project: "acme/agents", Name: "prod"}}
	return &Policy{
		Decide:   func(e decide.Evidence) (policyapi.Decision, error) { return decide.Decide(s, c, nil, e), nil },
		Config:   func() (decide.Config, error) { return c, nil },
		Rules:    func() []string { return []string{`rule "x" (rules.yaml:2), asked for each job`} },
		Settings: []service.Setting{{Name: "agent", Value: "acme/agents:prod", Origin: "--agent"}, {Name: "namespaces"}},
		Records:  &records.Ring{},
	}
}

// run asks on the command line.
func run(t *testing.T, socket string, p *Policy, what string, args ...string) (out string, status int, message string) {
	t.Helper()
	c := Command{Socket: socket, Offline: func() (*Policy, error) {
		if p == nil {
			return nil, errors.New("nothing runs")
		}
		return p, nil
	}}
	b := service.NewSettings("policy "+what, func(string) string { return "" }, os.Stdout)
	do := c.Show
	if what == "explain" {
		c.Bind(b)
		do = c.Explain
	} else {
		c.BindFormat(b)
	}
	if err := b.Parse(args); err != nil {
		t.Fatal(err)
	}
	var w strings.Builder
	err := do(t.Context(), &w)
	var s service.Status
	if err != nil && !errors.As(err, &s) {
		t.Fatalf("error is %T: %v", err, err)
	}
	if s.Err != nil {
		message = s.Err.Error()
	}
	return w.String(), s.Code, message
}

// serve answers on a socket, as the running service does.
func serve(t *testing.T, p *Policy) string {
	t.Helper()
	address := filepath.Join(t.TempDir(), "s")
	l, err := Listen(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: p.Handler(), ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() { _ = srv.Serve(l); close(done) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	return address
}

const allowed = `A job of acme/shop/app, branch main (protected), environment production (production), run by alice (maintainer)

Let in by dir/config.yaml:3: ci_access.projects[0] (id "acme/shop/app")

  acts as     gitlab:ci_job:<job id> (ci_job)
  in groups   gitlab:ci_job
              gitlab:group:<id of acme/shop>
              gitlab:group_env_tier:<id of acme/shop>:production
              gitlab:group:<id of acme>
              gitlab:group_env_tier:<id of acme>:production
              gitlab:project:<id of acme/shop/app>
              gitlab:project_env:<id of acme/shop/app>:production
              gitlab:project_env_tier:<id of acme/shop/app>:production
  namespaces  shop; begins in shop

Why
  - the environment "production" matches "production"
  - access_as.ci_job: the job acts as itself, gitlab:ci_job:<job id>
  - dir/towline.yaml:1: refine[0] leaves the namespaces shop
  - dir/config.yaml:3: ci_access.projects[0] (id "acme/shop/app") lets jobs of acme/shop/app in

Configuration
  dir/config.yaml and dir/towline.yaml
  from local, revision REVISION
`

const refused = `A job of acme/other, tag v1 (not protected), no environment, run by somebody (developer)

Refused by dir/config.yaml:7: ci_access.groups[0] (id "acme")

Why
  - dir/config.yaml:7: ci_access.groups[0] (id "acme") takes jobs of protected branches and tags only, and this one is not protected

What to do
  - run the job on a protected branch or tag, or protect this one in the project's repository settings

Configuration
  dir/config.yaml and dir/towline.yaml
  from local, revision REVISION
`

const overview = `Settings
  agent       acme/agents:prod  --agent
  namespaces  -                 default

Configuration
  dir/config.yaml and dir/towline.yaml
  from local, revision REVISION

Who is let in (the first that fits; nothing is merged)
  config.yaml:3 ci_access.projects[0]  project acme/shop/app    as ci_job; environments production
  not in a file                        the agent's own project  as agent, so refused: --agent-service-account is not set
  config.yaml:7 ci_access.groups[0]    group acme               as deployer; protected branches and tags only; begins in acme
  config.yaml:11 ci_access.instance    every project            as agent, so refused: --agent-service-account is not set

What narrows it (all that fit)
  towline.yaml:1 refine[0]  environments production except refs hotfix  refs main; namespaces shop

Rules of the cluster's owner
  - rule "x" (rules.yaml:2), asked for each job
`

// The running service and the files alone give the same answers.
func TestAnswers(t *testing.T) {
	p := policy(t)
	c, _ := p.Config()
	socket := serve(t, p)
	for name, tt := range map[string]struct {
		what   string
		args   []string
		status int
		want   string
	}{
		"allowed": {"explain", []string{"--project=acme/shop/app", "--ref=main", "--protected", "--environment=production", "--user=alice", "--role=maintainer"}, 0, allowed},
		"refused": {"explain", []string{"--project=acme/other", "--tag=v1"}, 1, refused},
		"show":    {"show", nil, 0, overview},
	} {
		for _, from := range []string{"", socket} {
			out, status, message := run(t, from, p, tt.what, tt.args...)
			want := strings.ReplaceAll(tt.want, "REVISION", c.Revision[:shortRevision])
			if diff := cmp.Diff(want, out); status != tt.status || message != "" || diff != "" {
				t.Errorf("%s from %q: status %d, %s\n%s", name, from, status, message, diff)
			}
		}
	}
}

func TestAnswersAsJSON(t *testing.T) {
	p := policy(t)
	out, status, _ := run(t, "", p, "explain", "--project=acme/other", "--tag=v1", "--format=json")
	var a Answer
	if err := json.Unmarshal([]byte(out), &a); err != nil || status != 1 || a.Decision.Allow || a.Config.From != "local" {
		t.Errorf("status %d, %v in %s", status, err, out)
	}
	out, status, _ = run(t, "", p, "show", "--format=json")
	var o Overview
	if err := json.Unmarshal([]byte(out), &o); err != nil || status != 0 || len(o.Entries) != 4 {
		t.Errorf("status %d, %v in %s", status, err, out)
	}
}

func TestWhatIsWrongWithAQuestion(t *testing.T) {
	p := policy(t)
	broken := serve(t, &Policy{
		Config: func() (decide.Config, error) {
			return decide.Config{}, errors.New("the local configuration cannot be used")
		},
		Rules: func() []string { return nil },
	})
	for name, tt := range map[string]struct {
		from, what string
		args       []string
		want       string
	}{
		"nothing":       {"", "explain", nil, "--project=: want the full path of a project, for example group/app\n--ref or --tag is missing"},
		"both refs":     {"", "explain", []string{"--project=a/b", "--ref=x", "--tag=y"}, "--ref and --tag are both given"},
		"role":          {"", "explain", []string{"--project=a/b", "--ref=x", "--role=admin"}, "--role=admin: use one of guest, planner"},
		"tier":          {"", "explain", []string{"--project=a/b", "--ref=x", "--tier=prod"}, "--tier=prod: use one of production"},
		"format":        {"", "explain", []string{"--format=xml"}, "--format=xml: use text or json"},
		"format, show":  {"", "show", []string{"--format=xml"}, "--format=xml: use text or json"},
		"nobody there":  {filepath.Join(t.TempDir(), "none"), "show", nil, "the running policy does not answer; run this in its pod, as its user"},
		"unusable":      {broken, "explain", []string{"--project=a/b", "--ref=x"}, "the local configuration cannot be used"},
		"unknown job":   {serve(t, p), "explain", []string{"--job=5"}, "this replica remembers no decision about job 5"},
		"no log":        {"", "explain", []string{"--job=5", "--log=/does/not/exist"}, "no such file"},
		"nothing known": {"", "explain", []string{"--job=5"}, "no running policy is known here"},
	} {
		out, status, message := run(t, tt.from, p, tt.what, tt.args...)
		if status != ExitUnknown || out != "" || !strings.Contains(message, tt.want) {
			t.Errorf("%s: status %d, %q, out %q", name, status, message, out)
		}
	}
	if out, status, _ := run(t, broken, nil, "show"); status != 0 || !strings.Contains(out, "It cannot be used\n  - the local configuration cannot be used") {
		t.Errorf("show: %d %s", status, out)
	}
}

const decided = `Job 9 of acme/app, branch main (protected), environment prod, run by alice for user 8
Decided 2026-11-28T12:00:00Z, configuration 0123456789ab

Let in by config.yaml:3: ci_access.projects[0]

  acts as     gitlab:ci_job:9 (ci_job)
  namespaces  app; begins in app

Why
  - because

To know
  - a notice

---
Job 9 of acme/app, ref not known, no environment, run by user 7
Decided 2026-11-28T11:00:00Z, configuration 0123456789ab

Refused by evidence

Why
  - GitLab could not be asked

What to do
  - check it
`

// What the running service remembers and what its log holds read the same.
func TestDecisionsThatWereMade(t *testing.T) {
	at := time.Date(2026, 11, 28, 11, 0, 0, 0, time.UTC)
	first := records.Record{
		Time: at, JobID: 9, Project: "acme/app", UserID: 7, Rule: "evidence", Reasons: []string{"GitLab could not be asked"}, Remedy: "check it", ConfigRevision: "0123456789abcdef",
	}
	second := records.Record{
		Time: at.Add(time.Hour), JobID: 9, Project: "acme/app", UserID: 7, ScopedUserID: 8, Username: "alice", Ref: "main", RefType: "branch", RefProtected: true,
		Environment: "prod", Allow: true, Rule: "config.yaml:3: ci_access.projects[0]", IdentityMode: "ci_job", IdentityUser: "gitlab:ci_job:9",
		Namespaces: []string{"app"}, DefaultNamespace: "app", Reasons: []string{"because"}, Notices: []string{"a notice"}, ConfigRevision: "0123456789abcdef",
	}
	p := policy(t)
	lines := []string{"not a line of JSON", "{broken", `{"msg":"policy starts","job_id":9}`}
	for _, r := range []records.Record{first, second, {JobID: 10}} {
		p.Records.Add(r)
		b, err := json.Marshal(struct {
			Message string `json:"msg"`
			records.Record
		}{"decision", r})
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, "[pod/towline-policy-0/policy] "+string(b))
	}
	log := filepath.Join(t.TempDir(), "log")
	slices.Reverse(lines) // logs of several replicas come in any order
	if err := os.WriteFile(log, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		socket string
		args   []string
	}{
		"remembered": {serve(t, p), []string{"--job=9"}},
		"in the log": {"", []string{"--job=9", "--log=" + log}},
	} {
		out, status, message := run(t, tt.socket, nil, "explain", tt.args...)
		if diff := cmp.Diff(decided, out); status != 0 || message != "" || diff != "" {
			t.Errorf("%s: status %d, %s\n%s", name, status, message, diff)
		}
	}
	if _, status, message := run(t, "", nil, "explain", "--job=11", "--log="+log); status != ExitUnknown || !strings.Contains(message, "the log holds no decision about job 11") {
		t.Errorf("%d %s", status, message)
	}
}

func TestAnAbstractSocketNeedsNoFile(t *testing.T) {
	name := "@towline-test-" + strings.ReplaceAll(t.TempDir(), "/", "-")
	l, err := Listen(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := Listen(t.Context(), name); err == nil || !strings.Contains(err.Error(), "--explain-socket=@towline-test") {
		t.Errorf("taken: %v", err)
	}
	got := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_ = c.Close()
		}
		got <- err
	}()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "unix", name)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// A connection whose other end cannot be known is nobody's.
func TestStrangersGetNoAnswer(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if mine(a) {
		t.Error("a pipe has no user")
	}
}

// What GitLab makes of these names.
func TestSlugAndTier(t *testing.T) {
	for name, want := range map[string]struct{ slug, tier string }{
		"production": {"production", "production"}, "staging": {"staging", "staging"}, "qa": {"qa", "testing"}, "blue": {"blue", "other"},
	} {
		if got := slug(name); got != want.slug {
			t.Errorf("%s: slug %q", name, got)
		}
		if got := (Question{Environment: name}).tier(); got != want.tier {
			t.Errorf("%s: tier %q", name, got)
		}
	}
	for _, name := range []string{"review/x", "Production", "a-very-long-name-of-an-environment", "1", "x--y"} {
		got := slug(name)
		if len(got) > maxSlug || !grant.IsNamespace(got) || got == slug(name+"!") {
			t.Errorf("%s: slug %q", name, got)
		}
	}
}
