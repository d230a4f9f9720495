package decide

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/rules"
)

// minCases is how many cases the decision table has at least.
const minCases = 150

// tableCase is one line of the decision table. What is left out of a job is that
// of job(): group/sub/app, environment prod, protected branch main, by root.
type tableCase struct {
	Name    string
	Config  string // config.yaml; the file's default when left out
	Towline string // towline.yaml
	Rules   string // of the cluster's owner
	Owner   struct {
		Namespaces []string
		Account    string // namespace/name of jobs with access_as: agent
		UnknownID  bool   `yaml:"unknown_id"`
	}
	Job  tableJob
	Now  time.Time
	Want tableWant
}

type tableJob struct {
	Project, Name, Image *string
	Ref, Tag             *string
	Protected            *string // yes, no, unknown
	Environment          *string // "" is none
	Tier, Slug           *string
	Unverified           bool // GitLab knows the environment, and its name is not known
	User                 *string
	UserID               *int64 `yaml:"user_id"` // by the payload
	Roles                []string
	ActsFor              *int64         `yaml:"acts_for"`
	Agent                string         // the agent that the job asks for
	Namespace            string         // the namespace that it asks for
	Unlisted             bool           // GitLab would not offer the agent
	AnotherJob           bool           `yaml:"another_job"`
	AnotherProject       bool           `yaml:"another_project"`
	Unasked              bool           // GitLab could not be asked
	NoGroups             bool           `yaml:"no_groups"`
	Token                *grant.IDToken // what an ID token says
	BadToken             string         `yaml:"bad_token"`
}

type tableWant struct {
	Allow      bool
	Rule       string   // begins with
	Reason     string   // is said
	Remedy     string   // is said
	Notice     string   // is said; without it there is no notice at all
	User       string   // as whom the job acts
	Groups     []string // are among the identity's
	NoGroups   []string `yaml:"no_groups"` // are not
	Namespaces []string
	Namespace  string // where it begins
}

type table struct {
	Config string // of cases without one
	Cases  []tableCase
}

func tables(t testing.TB) map[string]table {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "decisions", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no decision tables: %v", err)
	}
	all := map[string]table{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		dec := yaml.NewDecoder(bytes.NewReader(content))
		dec.KnownFields(true)
		var one table
		if err := dec.Decode(&one); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[strings.TrimSuffix(filepath.Base(file), ".yaml")] = one
	}
	return all
}

func TestDecisionTable(t *testing.T) {
	t.Parallel()
	count := 0
	for file, one := range tables(t) {
		names := map[string]bool{}
		for _, c := range one.Cases {
			count++
			if c.Config == "" {
				c.Config = one.Config
			}
			if names[c.Name] || c.Name == "" {
				t.Errorf("%s: the name %q is empty or given twice", file, c.Name)
			}
			names[c.Name] = true
			t.Run(file+"/"+c.Name, func(t *testing.T) { c.check(t, c.decide(t)) })
		}
	}
	if count < minCases {
		t.Errorf("%d cases, want at least %d", count, minCases)
	}
	t.Logf("%d cases", count)
}

func (c tableCase) decide(t *testing.T) policyapi.Decision {
	t.Helper()
	s := Settings{Agent: settings.Agent, Namespaces: c.Owner.Namespaces}
	if c.Owner.UnknownID {
		s.Agent.ID = 0
	}
	if ns, name, ok := strings.Cut(c.Owner.Account, "/"); ok {
		s.AgentServiceAccount = ServiceAccount{ns, name}
	}
	f := agentconfig.Files{Name: "config.yaml", Content: []byte(c.Config), Towline: []byte(c.Towline)}
	conf, _, err := f.Parse(agentconfig.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var owner *rules.Set
	if c.Rules != "" {
		if owner, err = rules.Parse(rules.File{Name: "rules.yaml", Content: []byte(c.Rules)}); err != nil {
			t.Fatal(err)
		}
	}
	e := c.Job.evidence()
	e.Now = c.Now
	return Decide(s, Config{Config: conf, Revision: f.Revision()}, owner, e)
}

func set[T any](to *T, value *T) {
	if value != nil {
		*to = *value
	}
}

func (j tableJob) evidence() Evidence {
	main := "main"
	e := job(func(e *policyapi.Evidence) {
		e.Job.Ref, e.Job.RefType = main, "branch"
		e.AllowedAgents.User.Roles = []string{"guest", "reporter", "developer"}
	})
	a := e.AllowedAgents
	set(&e.Job.ProjectPath, j.Project)
	set(&e.Job.Name, j.Name)
	set(&e.Job.Image, j.Image)
	set(&e.Job.Ref, j.Ref)
	if j.Tag != nil {
		e.Job.Ref, e.Job.RefType = *j.Tag, "tag"
	}
	if j.Protected != nil {
		protected := *j.Protected == "yes"
		e.Job.RefProtected = &protected
		if *j.Protected == "unknown" {
			e.Job.RefProtected = nil
		}
	}
	j.setEnvironment(&e)
	set(&a.User.Username, j.User)
	set(&e.Job.UserID, j.UserID)
	if j.Roles != nil {
		a.User.Roles = j.Roles
	}
	e.Job.ScopedUserID = j.ActsFor
	e.RequestedAgent = policyapi.Requested{Value: j.Agent, Source: policyapi.FromKubeContext}
	e.RequestedNamespace = policyapi.Requested{Value: j.Namespace, Source: policyapi.FromKubeNamespace}
	if j.Unlisted {
		a.Agents = nil
	}
	if j.NoGroups {
		a.GroupIDs = nil
	}
	if j.AnotherJob {
		a.JobID++
	}
	if j.AnotherProject {
		a.ProjectID++
	}
	if j.Unasked {
		e.AllowedAgents = nil
	}
	e.IDToken, e.IDTokenFault = tokenOf(j.Token), j.BadToken
	return e
}

func (j tableJob) setEnvironment(e *Evidence) {
	if j.Environment != nil {
		e.EnvironmentName = *j.Environment
		e.AllowedAgents.Environment = nil
		if *j.Environment != "" {
			e.AllowedAgents.Environment = &policyapi.Environment{Slug: agentconfig.RefSlug(*j.Environment), Tier: "other"}
		}
	}
	if env := e.AllowedAgents.Environment; env != nil {
		set(&env.Tier, j.Tier)
		set(&env.Slug, j.Slug)
	}
	if j.Unverified {
		e.EnvironmentName = ""
	}
}

func tokenOf(f *grant.IDToken) *IDToken {
	if f == nil {
		return nil
	}
	t := &IDToken{
		Ref: f.Ref, RefType: f.RefType, Environment: f.Environment, EnvironmentAction: f.EnvironmentAction, DeploymentTier: f.DeploymentTier,
		PipelineSource: f.PipelineSource, ProjectPath: f.ProjectPath, JobProjectPath: f.JobProjectPath, UserLogin: f.UserLogin, UserAccessLevel: f.UserAccessLevel,
	}
	set(&t.RefProtected, f.RefProtected)
	set(&t.EnvironmentProtected, f.EnvironmentProtected)
	return t
}

func (c tableCase) check(t *testing.T, d policyapi.Decision) {
	t.Helper()
	w := c.Want
	if d.Allow != w.Allow {
		t.Fatalf("allow %v\n%+v", d.Allow, d)
	}
	if !strings.HasPrefix(d.Rule, w.Rule) || w.Rule == "" {
		t.Errorf("rule %q, want %q", d.Rule, w.Rule)
	}
	if all := strings.Join(d.Reasons, "\n"); !strings.Contains(all, w.Reason) || w.Reason == "" {
		t.Errorf("reasons %q, want %q", all, w.Reason)
	}
	if !strings.Contains(d.Remedy, w.Remedy) || !w.Allow && w.Remedy == "" {
		t.Errorf("remedy %q, want %q", d.Remedy, w.Remedy)
	}
	if all := strings.Join(d.Notices, "\n"); !strings.Contains(all, w.Notice) || w.Notice == "" && all != "" {
		t.Errorf("notices %q, want %q", all, w.Notice)
	}
	if !w.Allow {
		if !cmp.Equal(d.Identity, grant.Identity{}) || d.Namespaces != nil || d.DefaultNamespace != "" {
			t.Errorf("a refused job is given something: %+v", d)
		}
		return
	}
	if w.User != "" && d.Identity.User != w.User {
		t.Errorf("acts as %q, want %q", d.Identity.User, w.User)
	}
	for _, g := range w.Groups {
		if !slices.Contains(d.Identity.Groups, g) {
			t.Errorf("groups %q, want %q among them", d.Identity.Groups, g)
		}
	}
	for _, g := range w.NoGroups {
		if slices.Contains(d.Identity.Groups, g) {
			t.Errorf("groups %q, %q is among them", d.Identity.Groups, g)
		}
	}
	if !slices.Equal(d.Namespaces, w.Namespaces) || d.DefaultNamespace != w.Namespace {
		t.Errorf("namespaces %q beginning in %q, want %q and %q", d.Namespaces, d.DefaultNamespace, w.Namespaces, w.Namespace)
	}
	if err := d.Identity.Validate(); err != nil {
		t.Errorf("the identity cannot be signed: %v", err)
	}
}
