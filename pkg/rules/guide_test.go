package rules

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/pkg/access"
	"github.com/towline/towline/pkg/grant"
)

var block = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// example is what becomes of a job or a request under one of the guide's
// examples, which is known by the name of its first rule.
type example struct {
	rule   string
	change func(*grant.Claims)
	at     time.Time
	ask    *access.Request // nil: the stage "job"
	want   string          // of the refusal; "" passes
	in     []string        // namespaces
}

func examples() []example {
	staging := func(c *grant.Claims) {
		c.Facts.Environment = &grant.Environment{Name: "staging", Slug: "staging", Tier: "staging"}
		c.Facts.Ref = grant.Ref{Name: "topic", Type: "branch"}
	}
	branch := func(c *grant.Claims) { c.Facts.Ref = grant.Ref{Name: "main", Type: "branch", Protected: true} }
	review := func(c *grant.Claims) {
		c.Facts.Environment.Name, c.Facts.Environment.Tier = "review/x", "development"
		c.Facts.Ref = grant.Ref{Name: "Feature/ABC-" + strings.Repeat("x", 99), Type: "branch"}
	}
	no := false
	pods := func(verb, sub string) *access.Request {
		return &access.Request{Verb: verb, Resource: "pods", Subresource: sub, Namespace: "app", Name: "p"}
	}
	return []example{
		{rule: "production-from-tags"},
		{rule: "production-from-tags", change: branch, want: "is not met: production is deployed from protected tags only"},
		{rule: "production-from-version-tags"},
		{rule: "production-from-version-tags", change: staging},
		{rule: "production-from-version-tags", change: func(c *grant.Claims) { c.Facts.Ref.Name = "v1.2" }, want: "protected tags like v1.2.3"},
		{rule: "production-by-maintainers"},
		{rule: "production-by-maintainers", change: func(c *grant.Claims) { c.Facts.User.Roles = []string{"developer"} }, want: "ask a maintainer"},
		{rule: "production-in-office-hours"},
		{rule: "production-in-office-hours", at: time.Date(2026, 3, 4, 16, 0, 0, 0, time.UTC), want: "production is open from Monday"},
		{rule: "production-in-office-hours", at: time.Date(2026, 3, 7, 12, 0, 0, 0, time.UTC), want: "production is open from Monday"},
		{rule: "freeze"},
		{rule: "freeze", at: time.Date(2026, 12, 24, 12, 0, 0, 0, time.UTC), want: "frozen until 7 January"},
		{rule: "review-namespaces"},
		{rule: "review-namespaces", change: review, in: []string{"review-feature-abc-" + strings.Repeat("x", 38)}},
		{rule: "production-is-protected"},
		{rule: "production-is-protected", change: func(c *grant.Claims) { c.Facts.IDToken = nil }, want: "has no ID token for Towline"},
		{rule: "production-is-protected", change: func(c *grant.Claims) { c.Facts.IDToken.EnvironmentProtected = &no }, want: "protect the environment in GitLab"},
		{rule: "production-is-protected", change: func(c *grant.Claims) { c.Facts.Environment, c.Facts.IDToken = nil, nil }},
		{rule: "shop"},
		{rule: "shop", change: func(c *grant.Claims) { c.Job.ProjectPath = "acme/billing/app" }},
		{rule: "shop", change: func(c *grant.Claims) { c.Job.ProjectPath = "acme/billing/other" }, want: "none of the allow rules of the cluster's owner holds"},
		{rule: "people-only"},
		{rule: "people-only", change: func(c *grant.Claims) { c.Facts.User.ActsFor = 9 }, want: "run the job as yourself"},
		{rule: "no-secrets", ask: &access.Request{Verb: "get", Resource: "secrets", Namespace: "app", Name: "s"}},
		{rule: "no-secrets", ask: &access.Request{Verb: "list", Resource: "secrets", Namespace: "app"}, want: "read a Secret by its name"},
		{rule: "no-secrets", ask: pods("create", "exec"), want: "no shells in production"},
		{rule: "no-secrets", ask: pods("create", ""), change: staging, want: "may read only"},
		{rule: "no-secrets", ask: pods("get", ""), change: staging},
		{rule: "no-secrets", ask: pods("create", "exec"), change: func(c *grant.Claims) { c.Facts.Environment.Tier = "staging" }},
	}
}

func TestExamplesOfTheGuide(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile(filepath.Join("..", "..", "docs", "guide", "rules.md"))
	if err != nil {
		t.Fatal(err)
	}
	sets := map[string]*Set{}
	for _, m := range block.FindAllStringSubmatch(string(guide), -1) {
		s := parse(t, m[1])
		name := regexp.MustCompile(`name: (\S+)`).FindStringSubmatch(m[1])[1]
		sets[name] = s
	}
	tested := map[string]bool{}
	for _, e := range examples() {
		s := sets[e.rule]
		if s == nil {
			t.Fatalf("the guide has no example that starts with %s", e.rule)
		}
		tested[e.rule] = true
		c := claims()
		if e.change != nil {
			e.change(c)
		}
		if e.at.IsZero() {
			e.at = noon
		}
		got := ""
		if e.ask != nil {
			if err := s.Request(c, *e.ask, e.at); err != nil {
				got = err.Error()
			}
		} else {
			v := s.Job(c, e.at)
			got = strings.Join(v.Refusals, "\n")
			if strings.Join(v.Namespaces, " ") != strings.Join(e.in, " ") {
				t.Errorf("%s: namespaces %q, want %q", e.rule, v.Namespaces, e.in)
			}
		}
		if (got == "") != (e.want == "") || !strings.Contains(got, e.want) {
			t.Errorf("%s: %q, want %q", e.rule, got, e.want)
		}
	}
	for name := range sets {
		if !tested[name] {
			t.Errorf("the example that starts with %s is not tested", name)
		}
	}
}
