package rules

import (
	"testing"
	"time"

	"github.com/towline/towline/pkg/grant"
)

// noon is a Wednesday.
var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// claims are of a job of acme/shop/app in production, from the protected tag
// v1.2.3.
func claims(change ...func(*grant.Claims)) *grant.Claims {
	yes := true
	c := &grant.Claims{
		Job:      grant.Job{ID: 1001, PipelineID: 6, ProjectID: 150, ProjectPath: "acme/shop/app"},
		Agent:    grant.Agent{ID: 5, Project: "acme/agents", Name: "prod"},
		Identity: grant.Identity{Mode: "ci_job", User: "gitlab:ci_job:1001", Groups: []string{"gitlab:ci_job", "gitlab:project:150"}},
		Facts: grant.Facts{
			JobName: "deploy", Image: "alpine:3", GroupIDs: []int64{25, 23},
			User:        grant.User{ID: 7, Username: "alice", Roles: []string{"developer", "maintainer"}},
			Ref:         grant.Ref{Name: "v1.2.3", Type: "tag", Protected: true},
			Environment: &grant.Environment{Name: "production", Slug: "prod", Tier: "production"},
			IDToken:     &grant.IDToken{EnvironmentProtected: &yes, DeploymentTier: "production", PipelineSource: "push"},
		},
	}
	for _, f := range change {
		f(c)
	}
	return c
}

func parse(t testing.TB, content string) *Set {
	t.Helper()
	s, err := Parse(File{"rules.yaml", []byte(content)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// one is a file with one rule.
func one(lines string) string { return "rules:\n  - name: r\n    " + lines + "\n" }
