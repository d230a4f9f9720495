package decide

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/policyapi"
)

// refined lets the job in as config.yaml and narrows it by an entry of refine.
func refined(t testing.TB, refine string) Config {
	t.Helper()
	f := agentconfig.Files{Name: "config.yaml", Content: []byte(entry(ciJobAccess)), Towline: []byte("refine:\n" + refine)}
	c, _, err := f.Parse(agentconfig.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return Config{Config: c, Revision: f.Revision()}
}

func onBranch(name string) func(*policyapi.Evidence) {
	return func(e *policyapi.Evidence) { e.Job.Ref, e.Job.RefType = name, "branch" }
}

func withTag(name string) func(*policyapi.Evidence) {
	return func(e *policyapi.Evidence) { e.Job.Ref, e.Job.RefType = name, "tag" }
}

func in(environment, slug string) func(*policyapi.Evidence) {
	return func(e *policyapi.Evidence) {
		e.EnvironmentName, e.AllowedAgents.Environment = environment, &policyapi.Environment{Slug: slug, Tier: "other"}
		if slug == "" {
			e.AllowedAgents.Environment = nil
		}
	}
}

func by(user string, roles ...string) func(*policyapi.Evidence) {
	return func(e *policyapi.Evidence) { e.AllowedAgents.User.Username, e.AllowedAgents.User.Roles = user, roles }
}

var anyNamespace = Settings{Agent: settings.Agent}

// The first case of each kind is the one that people ask GitLab for.
func TestRefine(t *testing.T) {
	const production = "  - {for: {environments: [prod]}, refs: [main], roles: [maintainer]}\n"
	const perBranch = "  - {for: {refs: [main]}, namespaces: [app]}\n  - {except: {refs: [main]}, namespaces: ['dev-{ref_slug}']}\n"
	for name, tt := range map[string]struct {
		refine string
		job    []func(*policyapi.Evidence)
		want   string // what the namespaces are, or what the reason of the refusal says
	}{
		"production from main":       {production, []func(*policyapi.Evidence){onBranch("main"), by("a", "developer", "maintainer")}, "any"},
		"production from elsewhere":  {production, []func(*policyapi.Evidence){onBranch("x"), by("a", "developer", "maintainer")}, `towline.yaml:2: refine[0] takes jobs of the branches main only, and this job is for the branch "x"`},
		"production by a developer":  {production, []func(*policyapi.Evidence){onBranch("main"), by("a", "guest", "developer")}, `towline.yaml:2: refine[0] takes jobs of users with the role maintainer only, and "a" is developer here`},
		"review from elsewhere":      {production, []func(*policyapi.Evidence){onBranch("x"), in("review/x", "review-x")}, "any"},
		"a tag called main":          {production, []func(*policyapi.Evidence){withTag("main"), by("a", "maintainer")}, `this job is for the tag "main"`},
		"no role known":              {production, []func(*policyapi.Evidence){onBranch("main"), by("a")}, `GitLab names no role of "a" in this project`},
		"ref is not known":           {production, nil, "GitLab did not say which branch or tag this job is for"},
		"another type of ref":        {production, []func(*policyapi.Evidence){func(e *policyapi.Evidence) { e.Job.Ref, e.Job.RefType = "main", "odd" }}, "GitLab did not say which branch or tag"},
		"environment is not known":   {"  - {for: {environments: [other]}, refs: [main]}\n", []func(*policyapi.Evidence){onBranch("x"), in("", "prod")}, "takes jobs of the branches main only"},
		"excepted if it was known":   {"  - {except: {environments: [prod]}, refs: [main]}\n", []func(*policyapi.Evidence){onBranch("x"), in("", "prod")}, "takes jobs of the branches main only"},
		"no environment is excepted": {"  - {except: {environments: [prod]}, refs: [main]}\n", []func(*policyapi.Evidence){onBranch("x"), in("", "")}, "takes jobs of the branches main only"},
		"excepted":                   {"  - {except: {environments: [prod]}, refs: [main]}\n", []func(*policyapi.Evidence){onBranch("x")}, "any"},
		"tags only":                  {"  - {tags: ['v*']}\n", []func(*policyapi.Evidence){withTag("v1.0")}, "any"},
		"tags and not branches":      {"  - {tags: ['v*']}\n", []func(*policyapi.Evidence){onBranch("v1.0")}, `takes jobs of the tags v* only, and this job is for the branch "v1.0"`},
		"branch or tag":              {"  - {tags: ['v*'], refs: [main]}\n", []func(*policyapi.Evidence){withTag("w")}, `takes jobs of the branches main and the tags v* only`},
		"environments":               {"  - {environments: ['review/*']}\n", []func(*policyapi.Evidence){in("review/a/b", "review-a-b")}, "any"},
		"other environment":          {"  - {environments: ['review/*']}\n", nil, `takes jobs of the environments review/* only, and this job's environment is "prod"`},
		"none of the environments":   {"  - {environments: ['*']}\n", []func(*policyapi.Evidence){in("", "")}, "GitLab knows no environment for this job"},
		"unverified environment":     {"  - {environments: ['*']}\n", []func(*policyapi.Evidence){in("", "prod")}, `the name of the environment "prod" could not be verified`},
		"user":                       {"  - {users: [Root]}\n", nil, "any"},
		"other user":                 {"  - {users: [alice, bob]}\n", nil, `takes jobs of alice, bob only, and this one is of "root"`},
		"other project":              {"  - {for: {projects: [group/other]}, users: [alice]}\n", nil, "any"},
		"this project":               {"  - {for: {projects: [Group/Sub/App]}, users: [alice]}\n", nil, "takes jobs of alice only"},
		"its group":                  {"  - {for: {groups: [group]}, users: [alice]}\n", nil, "takes jobs of alice only"},
		"per branch, main":           {perBranch, []func(*policyapi.Evidence){onBranch("main")}, "app"},
		"per branch, other":          {perBranch, []func(*policyapi.Evidence){onBranch("Feature/X")}, "dev-feature-x"},
		"per branch, unknown":        {perBranch, nil, "of these the job may use none otherwise, only app"},
		"per environment":            {"  - {namespaces: ['{environment_slug}-{project_id}']}\n", []func(*policyapi.Evidence){in("review/x", "review-x-abc")}, "review-x-abc-150"},
		"no environment to fill in":  {"  - {namespaces: ['{environment_slug}']}\n", []func(*policyapi.Evidence){in("", "")}, "no namespace can be made of these for this job"},
		"what is filled in is wrong": {"  - {namespaces: ['{environment_slug}']}\n", []func(*policyapi.Evidence){in("x", "../x")}, "no namespace can be made of these for this job"},
		"two entries":                {"  - {namespaces: [a, b, c]}\n  - {namespaces: [c, b, d]}\n", nil, "c, b"},
		"two entries without one":    {"  - {namespaces: [a]}\n  - {namespaces: [b]}\n", nil, `towline.yaml:3: refine[1] leaves the namespaces b only, and of these the job may use none otherwise, only a`},
	} {
		t.Run(name, func(t *testing.T) {
			d := Decide(anyNamespace, refined(t, tt.refine), nil, job(tt.job...))
			if !d.Allow {
				if !strings.Contains(d.Reasons[len(d.Reasons)-1], tt.want) || !strings.HasPrefix(d.Rule, "towline.yaml:") || d.Remedy == "" ||
					d.Identity.User != "" || d.Namespaces != nil || d.DefaultNamespace != "" {
					t.Errorf("want %q: %+v", tt.want, d)
				}
				return
			}
			got := "any"
			if len(d.Namespaces) > 0 {
				got = list(d.Namespaces)
			}
			if got != tt.want {
				t.Errorf("namespaces %s, want %s: %+v", got, tt.want, d)
			}
		})
	}
}

func TestRefineStaysInsideWhatTheOwnerAllows(t *testing.T) {
	s := anyNamespace
	s.Namespaces = []string{"app", "review"}
	d := Decide(s, refined(t, "  - {namespaces: [review, kube-system]}\n"), nil, job())
	if !d.Allow || !slices.Equal(d.Namespaces, []string{"review"}) || d.DefaultNamespace != "review" {
		t.Errorf("%+v", d)
	}
	if d := Decide(s, refined(t, "  - {namespaces: [kube-system]}\n"), nil, job()); d.Allow {
		t.Errorf("%+v", d)
	}
	if !slices.Equal(s.Namespaces, []string{"app", "review"}) {
		t.Errorf("the settings have changed: %v", s.Namespaces)
	}
}

func TestRefineChangesTheDefaultNamespace(t *testing.T) {
	c := refined(t, "  - {namespaces: [a, b]}\n")
	c.CIAccess.Projects[0].DefaultNamespace = "x"
	d := Decide(anyNamespace, c, nil, job())
	want := []string{`default_namespace "x" of config.yaml:3: ci_access.projects[0] (id "group/sub/app") is not among the namespaces that this job may use (a, b) and is left out`}
	if diff := cmp.Diff(want, d.Notices); !d.Allow || d.DefaultNamespace != "a" || diff != "" {
		t.Errorf("%+v\n%s", d, diff)
	}
}

// noMore compares decisions: whether b lets in no more than a.
func noMore(a, b policyapi.Decision) bool {
	switch {
	case !b.Allow:
		return true
	case !a.Allow || !cmp.Equal(a.Identity, b.Identity):
		return false
	case len(a.Namespaces) == 0:
		return true
	case len(b.Namespaces) == 0:
		return false
	}
	return !slices.ContainsFunc(b.Namespaces, func(n string) bool { return !slices.Contains(a.Namespaces, n) })
}

// TestAnotherEntryNeverAllowsMore is the promise of towline.yaml: each further
// entry, wherever it stands, allows the same or less.
func TestAnotherEntryNeverAllowsMore(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) []string {
		var out []string
		for _, s := range of {
			if r.IntN(3) == 0 {
				out = append(out, s)
			}
		}
		return out
	}
	scope := func() agentconfig.Scope {
		if r.IntN(2) == 0 {
			return agentconfig.Scope{}
		}
		return agentconfig.Scope{
			Projects: pick("group/sub/app", "x/y"), Groups: pick("group", "z"), Environments: pick("prod", "review/*"), Refs: pick("main", "*"), Tags: pick("v*"),
		}
	}
	refinement := func() agentconfig.Refinement {
		return agentconfig.Refinement{
			For: scope(), Except: scope(), Environments: pick("prod", "*"), Refs: pick("main", "x*", "*"), Tags: pick("v*"),
			Roles: pick("developer"), Users: pick("root", "bob"), Namespaces: pick("app", "dev", "{ref_slug}", "{environment_slug}"),
		}
	}
	c := refined(t, "  []\n")
	jobs := []Evidence{
		job(), job(onBranch("main"), by("root", "developer")), job(withTag("v1")), job(onBranch("x"), in("review/x", "review-x")),
		job(onBranch("main"), in("", ""), by("bob")), job(in("", "prod")),
	}
	for range 3000 {
		var entries []agentconfig.Refinement
		for range r.IntN(3) {
			entries = append(entries, refinement())
		}
		s := Settings{Agent: settings.Agent, Namespaces: pick("app", "dev", "main")}
		before, after := *c.Config, *c.Config
		before.Towline.Refine = entries
		after.Towline.Refine = slices.Insert(slices.Clone(entries), r.IntN(len(entries)+1), refinement())
		for _, j := range jobs {
			a, b := Decide(s, Config{Config: &before}, nil, j), Decide(s, Config{Config: &after}, nil, j)
			if !noMore(a, b) {
				t.Fatalf("%+v allows more than without it\nbefore %+v\nafter %+v", after.Towline.Refine, a, b)
			}
		}
	}
}
