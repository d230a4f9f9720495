package decide

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/rules"
)

// rounds is how often each property is tried, every time with a configuration,
// rules and jobs of its own.
const rounds = 150

// dice makes random configurations, rules and jobs out of few words, so that
// they often have to do with each other.
type dice struct{ *rand.Rand }

func (r dice) pick(of ...string) string { return of[r.IntN(len(of))] }

func (r dice) subset(of ...string) []string {
	return slices.DeleteFunc(slices.Clone(of), func(string) bool { return r.IntN(2) == 0 })
}

func (r dice) project() string {
	return r.pick("group/sub/app", "group/sub/web", "group/app", "other/app", "group/agents", "other/deep/er/app")
}

func (r dice) entry(kind agentconfig.Kind, id string) agentconfig.Entry {
	e := agentconfig.Entry{Kind: kind, ID: id, File: "config.yaml", AccessAs: agentconfig.AccessAs{Mode: agentconfig.AsCIJob}, ProtectedBranchesOnly: r.IntN(4) == 0}
	switch r.IntN(5) {
	case 0:
		e.AccessAs.Mode = agentconfig.AsAgent
	case 1:
		e.AccessAs = agentconfig.AccessAs{Mode: agentconfig.AsImpersonate, Impersonate: &agentconfig.Impersonate{Username: "d"}}
	}
	if r.IntN(2) == 0 {
		e.Environments = r.subset("prod", "review/*", "*", "dev")
	}
	e.DefaultNamespace = r.pick("", "app", "web")
	return e
}

// config has projects and groups without repetition, as a parsed one has.
func (r dice) config() *agentconfig.Config {
	c := &agentconfig.Config{File: "config.yaml"}
	for _, id := range r.subset("group/sub/app", "group/sub/web", "group/app", "other/app", "group/agents") {
		c.CIAccess.Projects = append(c.CIAccess.Projects, r.entry(agentconfig.ProjectEntry, id))
	}
	for _, id := range r.subset("group", "group/sub", "other", "other/deep") {
		c.CIAccess.Groups = append(c.CIAccess.Groups, r.entry(agentconfig.GroupEntry, id))
	}
	if r.IntN(3) == 0 {
		e := r.entry(agentconfig.InstanceEntry, "")
		c.CIAccess.Instance = &e
	}
	for i := range c.CIAccess.Projects {
		c.CIAccess.Projects[i].Line, c.CIAccess.Projects[i].Key = 10, "ci_access.projects[x]"
	}
	return c
}

func (r dice) condition() string {
	return r.pick("true", "false", "ref.protected", "environment.name == 'prod'", "environment.tier == 'production'", "project.root == 'group'",
		"'maintainer' in user.roles", "ref.type == 'tag'", "namespaces == []", "'app' in namespaces", "1 / job.pipeline_id == 0", "id_token.ref == 'main'", "identity.mode == 'agent'")
}

// rule is a line of a rules file; kinds says which to choose from.
func (r dice) rule(name string, kinds ...string) string {
	kind := r.pick(kinds...)
	body := r.condition()
	if kind == "namespaces" {
		body = r.pick("['app']", "['app', 'web']", "['review-' + ref.slug]", "namespaces.filter(n, n != 'web')")
	}
	line := fmt.Sprintf("  - {name: %s, message: mm, %s: %q", name, kind, body)
	if r.IntN(3) == 0 {
		line += fmt.Sprintf(", when: %q", r.condition())
	}
	return line + "}\n"
}

func (r dice) rules() []string {
	var out []string
	for i := range r.IntN(4) {
		out = append(out, r.rule(fmt.Sprintf("r%d", i), "allow", "deny", "require", "namespaces"))
	}
	return out
}

func owners(t testing.TB, lines []string) *rules.Set {
	t.Helper()
	content := "rules:\n" + strings.Join(lines, "")
	if len(lines) == 0 {
		content = "rules: []\n"
	}
	s, err := rules.Parse(rules.File{Name: "rules.yaml", Content: []byte(content)})
	if err != nil {
		t.Fatalf("%v\n%s", err, content)
	}
	return s
}

func (r dice) job() Evidence {
	env := r.pick("prod", "review/x", "dev", "")
	ref := r.pick("main", "Topic/1", "v1")
	j := tableJob{
		Project: new(r.project()), Environment: &env, Ref: &ref, Protected: new(r.pick("yes", "no", "unknown")),
		Roles: r.subset("developer", "maintainer"), Unlisted: r.IntN(2) == 0, Namespace: r.pick("", "app", "web", "x"),
	}
	if env == "prod" {
		j.Tier = new("production")
	}
	if r.IntN(4) == 0 {
		j.Tag, j.Ref = &ref, nil
	}
	e := j.evidence()
	e.Now = time.Date(2026, 3, 4, r.IntN(24), 0, 0, 0, time.UTC)
	return e
}

func (r dice) settings() Settings {
	s := Settings{Agent: settings.Agent, Namespaces: r.subset("app", "web")}
	if r.IntN(2) == 0 {
		s.AgentServiceAccount = ServiceAccount{"towline", "agent"}
	}
	return s
}

// try runs a property many times.
func try(t *testing.T, property func(t *testing.T, r dice)) {
	t.Helper()
	t.Parallel()
	for i := range uint64(rounds) {
		property(t, dice{rand.New(rand.NewPCG(i, 7))})
		if t.Failed() {
			t.Fatalf("in round %d", i)
		}
	}
}

func TestAddingADenyNeverAllowsMore(t *testing.T) {
	try(t, func(t *testing.T, r dice) {
		lines, s, c := r.rules(), r.settings(), Config{Config: r.config()}
		more := slices.Insert(slices.Clone(lines), r.IntN(len(lines)+1), r.rule("added", "deny", "require", "namespaces"))
		before, after := owners(t, lines), owners(t, more)
		for range 10 {
			e := r.job()
			a, b := Decide(s, c, before, e), Decide(s, c, after, e)
			if !noMore(a, b) {
				t.Errorf("%s allows more\nbefore %+v\nafter %+v", strings.Join(more, ""), a, b)
			}
		}
	})
}

// Rules only narrow: with any of them a job gets no more than without.
func TestRulesNeverAllowMoreThanNone(t *testing.T) {
	try(t, func(t *testing.T, r dice) {
		s, c, owner := r.settings(), Config{Config: r.config()}, owners(t, r.rules())
		for range 10 {
			e := r.job()
			if a, b := Decide(s, c, nil, e), Decide(s, c, owner, e); !noMore(a, b) {
				t.Errorf("rules allow more\nwithout %+v\nwith %+v", a, b)
			}
		}
	})
}

// without is a configuration in which one entry is gone: the nth, counting
// projects, groups and the instance.
func without(c *agentconfig.Config, n int) (smaller *agentconfig.Config, gone agentconfig.Entry) {
	out := *c
	projects, groups := len(c.CIAccess.Projects), len(c.CIAccess.Groups)
	switch {
	case n < projects:
		out.CIAccess.Projects = slices.Delete(slices.Clone(c.CIAccess.Projects), n, n+1)
		return &out, c.CIAccess.Projects[n]
	case n < projects+groups:
		out.CIAccess.Groups = slices.Delete(slices.Clone(c.CIAccess.Groups), n-projects, n-projects+1)
		return &out, c.CIAccess.Groups[n-projects]
	default:
		out.CIAccess.Instance = nil
		return &out, *c.CIAccess.Instance
	}
}

func entries(c *agentconfig.Config) int {
	n := len(c.CIAccess.Projects) + len(c.CIAccess.Groups)
	if c.CIAccess.Instance != nil {
		n++
	}
	return n
}

// Removing an entry changes nothing for jobs that another entry decides, and
// gives nothing of its own to those that it decided: they fall, as in GitLab, to
// the next entry that covers them, and get what that one alone would give. So
// the sum of what the entries give never grows.
func TestRemovingAnEntryNeverAllowsMore(t *testing.T) {
	try(t, func(t *testing.T, r dice) {
		c, s, owner := r.config(), r.settings(), owners(t, r.rules())
		n := entries(c)
		if n == 0 {
			return
		}
		smaller, gone := without(c, r.IntN(n))
		for range 10 {
			e := r.job()
			subject := agentconfig.Subject{Project: e.Job.ProjectPath, ConfigProject: s.Agent.Project}
			before, after := Decide(s, Config{Config: c}, owner, e), Decide(s, Config{Config: smaller}, owner, e)
			decided, found := c.Match(subject)
			switch next, covered := smaller.Match(subject); {
			case !found || decided.Kind != gone.Kind || decided.ID != gone.ID:
				if !noMore(before, after) || !noMore(after, before) {
					t.Errorf("an entry that does not decide matters: %+v\nbefore %+v\nafter %+v", gone, before, after)
				}
			case !covered && after.Allow:
				t.Errorf("no entry covers the job any more, and it is let in: %+v", after)
			case covered && after.Allow:
				if alone := Decide(s, Config{Config: only(next)}, owner, e); !noMore(alone, after) {
					t.Errorf("more than the next entry alone gives: %+v\nalone %+v\nafter %+v", next, alone, after)
				}
			}
		}
	})
}

// only is a configuration with one entry.
func only(e agentconfig.Entry) *agentconfig.Config {
	c := &agentconfig.Config{File: "config.yaml"}
	switch e.Kind {
	case agentconfig.ProjectEntry:
		c.CIAccess.Projects = []agentconfig.Entry{e}
	case agentconfig.GroupEntry:
		c.CIAccess.Groups = []agentconfig.Entry{e}
	case agentconfig.InstanceEntry:
		c.CIAccess.Instance = &e
	case agentconfig.ImplicitEntry: // needs no entry
	}
	return c
}

// The order in which entries and rules are written says nothing but which
// refusal is named first; entries that do not cover the job say nothing at all.
func TestOrderDoesNotMatter(t *testing.T) {
	try(t, func(t *testing.T, r dice) {
		c, s, lines := r.config(), r.settings(), r.rules()
		shuffled := *c
		shuffled.CIAccess.Projects, shuffled.CIAccess.Groups = slices.Clone(c.CIAccess.Projects), slices.Clone(c.CIAccess.Groups)
		shuffle(r, shuffled.CIAccess.Projects)
		shuffle(r, shuffled.CIAccess.Groups)
		shuffled.CIAccess.Projects = append(shuffled.CIAccess.Projects, r.entry(agentconfig.ProjectEntry, "unrelated/project"))
		shuffled.CIAccess.Groups = slices.Insert(shuffled.CIAccess.Groups, 0, r.entry(agentconfig.GroupEntry, "unrelated"))
		before := owners(t, lines)
		shuffle(r, lines)
		after := owners(t, lines)
		for range 10 {
			e := r.job()
			a, b := Decide(s, Config{Config: c}, before, e), Decide(s, Config{Config: &shuffled}, after, e)
			if !noMore(a, b) || !noMore(b, a) || a.DefaultNamespace != b.DefaultNamespace {
				t.Errorf("the order matters\nbefore %+v\nafter %+v", a, b)
			}
		}
	})
}

func shuffle[T any](r dice, list []T) {
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
}

// BenchmarkDecide is the largest decision: 500 projects, 500 groups, 50 rules,
// and a job that the last group covers. At most 1 ms is promised.
func BenchmarkDecide(b *testing.B) {
	var file, lines strings.Builder
	file.WriteString("ci_access:\n  projects:\n")
	for i := range agentconfig.MaxEntries {
		fmt.Fprintf(&file, "    - {id: acme/team-%d/app, access_as: {ci_job: {}}}\n", i)
	}
	file.WriteString("  groups:\n")
	for i := range agentconfig.MaxEntries - 1 {
		fmt.Fprintf(&file, "    - {id: acme/group-%d, access_as: {ci_job: {}}}\n", i)
	}
	file.WriteString("    - {id: group, access_as: {ci_job: {}}, environments: [dev, 'review/*', prod]}\n")
	lines.WriteString("rules:\n")
	for i := range 50 {
		fmt.Fprintf(&lines, "  - {name: r%d, when: \"environment.tier == 'production'\", require: \"ref.protected && ref.name.matches('^(main|v[0-9]+)$') && 'developer' in user.roles\", message: mm}\n", i)
	}
	f := agentconfig.Files{Name: "config.yaml", Content: []byte(file.String())}
	c, _, err := f.Parse(agentconfig.Options{})
	if err != nil {
		b.Fatal(err)
	}
	owner, err := rules.Parse(rules.File{Name: "rules.yaml", Content: []byte(lines.String())})
	if err != nil {
		b.Fatal(err)
	}
	for name, change := range map[string]func(*policyapi.Evidence){
		"allowed": func(*policyapi.Evidence) {},
		"nearest": func(e *policyapi.Evidence) { e.Job.ProjectPath = "acmee/team-x/some/deep/app" },
	} {
		e := tableJob{}.evidence()
		change(&e.Evidence)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if d := Decide(settings, Config{Config: c}, owner, e); d.Allow != (name == "allowed") {
					b.Fatalf("%+v", d)
				}
			}
		})
	}
}
