package rules

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/access"
	"github.com/towline/towline/pkg/grant"
)

// Every fact that rules may speak of, and what it is for the job of claims.
func TestFactsArrive(t *testing.T) {
	t.Parallel()
	for _, e := range []string{
		`job.id == 1001 && job.name == "deploy" && job.pipeline_id == 6`,
		`project.id == 150 && project.path == "acme/shop/app" && project.root == "acme" && project.group_ids == [25, 23]`,
		`groups == ["acme/shop", "acme"]`,
		`user.id == 7 && user.username == "alice" && "maintainer" in user.roles && user.acts_for == 0`,
		`ref.name == "v1.2.3" && ref.slug == "v1-2-3" && ref.type == "tag" && ref.protected`,
		`environment.name == "production" && environment.slug == "prod" && environment.tier == "production"`,
		`image == "alpine:3"`,
		`agent.id == 5 && agent.project == "acme/agents" && agent.name == "prod"`,
		`identity.mode == "ci_job" && identity.user == "gitlab:ci_job:1001" && "gitlab:project:150" in identity.groups`,
		`namespaces == []`,
		`now == timestamp("2026-03-04T12:00:00Z") && now.getHours("Europe/Berlin") == 13 && now.getDayOfWeek() == 3`,
		`id_token.environment_protected && id_token.deployment_tier == "production" && id_token.pipeline_source == "push"`,
		`!has(id_token.user_login) && has(id_token.deployment_tier)`,
		`ref.name.matches("^v[0-9]+\\.") && semver(ref.name, true).major() == 1`,
	} {
		v := parse(t, one("message: m\n    require: '"+e+"'")).Job(claims(), noon)
		if v.Refused() {
			t.Errorf("%s: %s", e, v.Refusals)
		}
	}
	r := access.Request{
		Verb: "create", APIGroup: "apps", APIVersion: "v1", Resource: "deployments", Subresource: "scale", Namespace: "web", Name: "app",
		Path: "/apis/apps/v1/namespaces/web/deployments/app/scale",
	}
	const e = `request.verb == "create" && request.group == "apps" && request.version == "v1" && request.resource == "deployments" && ` +
		`request.subresource == "scale" && request.namespace == "web" && request.name == "app" && request.path.startsWith("/apis/apps/") && user.username == "alice"`
	if err := parse(t, one("stage: request\n    message: m\n    require: '"+e+"'")).Request(claims(), r, noon); err != nil {
		t.Error(err)
	}
}

func TestWithoutEnvironmentOrToken(t *testing.T) {
	t.Parallel()
	bare := func(c *grant.Claims) { c.Facts = grant.Facts{}; c.Job.ProjectPath = "app" }
	for _, e := range []string{
		`environment.name == "" && environment.slug == "" && environment.tier == ""`, `!has(id_token.ref)`, `groups == []`,
		`user.roles == [] && project.group_ids == []`, `ref.name == "" && ref.slug == "" && !ref.protected`, `project.root == "app"`,
	} {
		if v := parse(t, one("message: m\n    require: '"+e+"'")).Job(claims(bare), noon); v.Refused() {
			t.Errorf("%s: %s", e, v.Refusals)
		}
	}
}

type question struct {
	rules  string
	change func(*grant.Claims)
	want   Verdict
}

const owner = ` of the cluster's owner `

func questions() map[string]question {
	const rule = `rule "r" (rules.yaml:2)`
	asRule := Verdict{Rule: rule, Remedy: "follow the rule, or ask the owner of this cluster to change it"}
	refused := func(text string) Verdict {
		v := asRule
		v.Refusals = []string{rule + owner + text}
		return v
	}
	failed := func(text string, remedy ...string) Verdict {
		v := refused("could not be evaluated and therefore refuses: " + text)
		v.Remedy = "ask the owner of this cluster to repair the rule: what cannot be evaluated refuses"
		if len(remedy) > 0 {
			v.Remedy = remedy[0]
		}
		return v
	}
	const giveOne = "give the job an ID token for Towline under id_tokens in .gitlab-ci.yml; the owner of this cluster knows its audience"
	noToken := func(c *grant.Claims) { c.Facts.IDToken = nil }
	in := func(names ...string) func(*grant.Claims) { return func(c *grant.Claims) { c.Namespaces = names } }
	return map[string]question{
		"no rules":              {"rules: []\n", nil, Verdict{}},
		"deny does not hold":    {one("deny: ref.type == 'branch'\n    message: m"), nil, Verdict{}},
		"deny holds":            {one("deny: ref.type == 'tag'\n    message: no tags"), nil, refused("refuses: no tags")},
		"deny: true":            {one("deny: true\n    message: closed"), nil, refused("refuses: closed")},
		"require holds":         {one("require: ref.type == 'tag'\n    message: m"), nil, Verdict{}},
		"require does not hold": {one("require: ref.type == 'branch'\n    message: branches only"), nil, refused("is not met: branches only")},
		"when does not hold":    {one("when: environment.tier == 'testing'\n    deny: true\n    message: m"), nil, Verdict{}},
		"when holds":            {one("when: environment.tier == 'production'\n    deny: true\n    message: m"), nil, refused("refuses: m")},
		"when fails":            {one("when: id_token.ref == ''\n    deny: false\n    message: m"), noToken, failed("it asks for id_token.ref, and the job has no ID token for Towline", giveOne)},
		"a claim is missing":    {one("require: id_token.ref == ''\n    message: m"), nil, failed("it asks for id_token.ref, and the job's ID token does not say it", "ask the owner of this cluster to let the rule ask with has(id_token.ref) first")},
		"no token, deny":        {one("deny: id_token.pipeline_source == 'push'\n    message: m"), noToken, failed("it asks for id_token.pipeline_source, and the job has no ID token for Towline", giveOne)},
		"unverified name":       {one("deny: environment.name == 'x'\n    message: m"), func(c *grant.Claims) { c.Facts.Environment.Name = "" }, failed("the name of the job's environment could not be verified with GitLab", "run the job again; if that repeats, ask the owner of this cluster whether Towline may read the project's environments")},
		"division by zero":      {one("require: 1 / job.pipeline_id == 1\n    message: m"), func(c *grant.Claims) { c.Job.PipelineID = 0 }, failed("division by zero")},
		"index out of bounds":   {one("require: groups[9] == 'x'\n    message: m"), nil, failed("index out of bounds: 9")},
		"allow holds":           {one("allow: true"), nil, Verdict{Rule: rule, Reasons: []string{rule + owner + "lets the job in"}}},
		"allow does not hold": {one("allow: false\n    message: nobody"), nil, Verdict{
			Refusals: []string{"none of the allow rules of the cluster's owner holds: " + rule + ": nobody"}, Rule: "the allow rules of the cluster's owner", Remedy: asRule.Remedy,
		}},
		"one of two allows holds": {one("allow: false") + "  - name: second\n    allow: ref.protected\n", nil, Verdict{
			Rule: `rule "second" (rules.yaml:4)`, Reasons: []string{`rule "second" (rules.yaml:4)` + owner + "lets the job in"},
		}},
		"an allow that does not apply": {one("when: false\n    allow: false"), nil, Verdict{}},
		"an allow that fails":          {one("allow: id_token.ref == 'x'"), noToken, failed("it asks for id_token.ref, and the job has no ID token for Towline", giveOne)},
		"allow beside a failing one":   {one("allow: id_token.ref == 'x'") + "  - name: second\n    allow: true\n", noToken, Verdict{Rule: `rule "second" (rules.yaml:4)`, Reasons: []string{`rule "second" (rules.yaml:4)` + owner + "lets the job in"}}},
		"deny beats allow":             {one("deny: true\n    message: m") + "  - name: second\n    allow: true\n", nil, refused("refuses: m")},
		"all refusals are told": {one("deny: true\n    message: m") + "  - name: second\n    require: false\n    message: and no\n", nil, Verdict{
			Refusals: []string{rule + owner + "refuses: m", `rule "second" (rules.yaml:5)` + owner + "is not met: and no"}, Rule: rule, Remedy: asRule.Remedy,
		}},
		"namespaces of a job without": {one("namespaces: '[\"web\", \"app\", \"web\"]'"), nil, Verdict{Namespaces: []string{"app", "web"}, Reasons: []string{rule + owner + "keeps the job inside app, web"}}},
		"namespaces narrow":           {one("namespaces: '[\"app\", \"other\"]'"), in("app", "web"), Verdict{Namespaces: []string{"app"}, Reasons: []string{rule + owner + "keeps the job inside app"}}},
		"namespaces leave none": {one("namespaces: '[\"other\"]'\n    message: m"), in("app"), Verdict{
			Refusals: []string{rule + owner + "leaves the job no namespace: it lets it use other, and the job may use app: m"}, Rule: rule, Remedy: asRule.Remedy,
		}},
		"namespaces: none at all": {one("namespaces: 'namespaces.filter(n, false)'"), nil, refused("leaves the job no namespace: it lets it use none")},
		"namespaces of no form":   {one("namespaces: '[\"Web\"]'"), nil, failed(`it lists "Web", which is not the name of a namespace`)},
		"per branch":              {one("namespaces: '[\"review-\" + ref.slug]'"), nil, Verdict{Namespaces: []string{"review-v1-2-3"}, Reasons: []string{rule + owner + "keeps the job inside review-v1-2-3"}}},
		"each sees what was before": {one("require: namespaces == []\n    message: m") + "  - name: second\n    namespaces: '[\"app\", \"web\"]'\n  - name: third\n    namespaces: '[\"app\", \"x\"]'\n", nil, Verdict{
			Namespaces: []string{"app"}, Reasons: []string{`rule "second" (rules.yaml:5)` + owner + "keeps the job inside app, web", `rule "third" (rules.yaml:7)` + owner + "keeps the job inside app"},
		}},
		"rules of the other stage": {one("stage: request\n    deny: true\n    message: m"), nil, Verdict{}},
		"namespaces survive":       {one("deny: false\n    message: m"), in("app"), Verdict{Namespaces: []string{"app"}}},
	}
}

func TestJob(t *testing.T) {
	t.Parallel()
	for name, tt := range questions() {
		c := claims()
		if tt.change != nil {
			tt.change(c)
		}
		if diff := cmp.Diff(tt.want, parse(t, tt.rules).Job(c, noon)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	var none *Set
	if v := none.Job(claims(), noon); v.Refused() || none.Request(claims(), access.Request{}, noon) != nil || none.Len() != 0 {
		t.Errorf("a nil Set refuses: %+v", v)
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	s := parse(t, `rules:
  - {name: no-secrets, stage: request, deny: request.resource == 'secrets', message: secrets are not for jobs}
  - {name: no-exec, stage: request, when: environment.tier == 'production', require: "!(request.subresource in ['exec', 'attach'])", message: no shells in production}
  - {name: reads, stage: request, allow: "request.verb in ['get', 'list', 'watch']"}
  - {name: own, stage: request, allow: "request.namespace == project.path.split('/')[2]"}
  - {name: job, deny: true, message: not for requests}
`)
	for name, tt := range map[string]struct {
		r    access.Request
		want string
	}{
		"read":            {access.Request{Verb: "get", Resource: "pods", Namespace: "x"}, ""},
		"own namespace":   {access.Request{Verb: "create", Resource: "pods", Namespace: "app"}, ""},
		"secret":          {access.Request{Verb: "get", Resource: "secrets", Namespace: "app"}, `rule "no-secrets" (rules.yaml:2) of the cluster's owner refuses: secrets are not for jobs`},
		"exec":            {access.Request{Verb: "create", Resource: "pods", Subresource: "exec", Namespace: "app"}, `rule "no-exec" (rules.yaml:3) of the cluster's owner is not met: no shells in production`},
		"other namespace": {access.Request{Verb: "create", Resource: "pods", Namespace: "x"}, `none of the allow rules of the cluster's owner holds: rule "reads" (rules.yaml:4); rule "own" (rules.yaml:5)`},
	} {
		got := ""
		if err := s.Request(claims(), tt.r, noon); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// What a text costs is not known before it is there: such a rule is let in and
// stopped when it is asked.
func TestCostsAreLimited(t *testing.T) {
	t.Parallel()
	long := claims(func(c *grant.Claims) { c.Facts.Image = strings.Repeat("a", 2<<20) })
	v := parse(t, one("deny: image.contains('bbbb')\n    message: m")).Job(long, noon)
	if !v.Refused() || !strings.Contains(v.Refusals[0], "could not be evaluated and therefore refuses: operation cancelled: actual cost limit exceeded") {
		t.Errorf("%+v", v)
	}
	var b strings.Builder
	b.WriteString("rules:\n")
	for i := range MaxRules {
		b.WriteString("  - {name: r" + strings.Repeat("x", i%50) + string(rune('a'+i/50)) + ", deny: \"image.contains('bbbb')\", message: m}\n")
	}
	half := claims(func(c *grant.Claims) { c.Facts.Image = strings.Repeat("a", 200<<10) })
	v = parse(t, b.String()).Job(half, noon)
	if !v.Refused() || !strings.Contains(v.Refusals[0], "have spent what all may cost together") || len(v.Refusals) != maxRefusals {
		t.Errorf("%d refusals: %+v", len(v.Refusals), v)
	}
}
