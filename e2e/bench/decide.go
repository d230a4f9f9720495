package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/policyapi"
)

// goalDecision is what a decision may take, in ms, with 500 projects, 500 groups
// and 50 rules.
const goalDecision = 1.0

const (
	decisions    = 500 // of each kind
	manyRules    = 50
	ruledProject = "bench" // the rules apply to nobody else's jobs
)

// writeRules makes the rules that policy has during all measurements.
func (s *site) writeRules() (path string, err error) {
	var b strings.Builder
	b.WriteString("rules:\n")
	for i := range manyRules {
		fmt.Fprintf(&b, "  - name: r%d\n    when: project.root == %q\n    require: environment.tier == 'production' && ref.name.matches('^(main|v[0-9]+)$') && 'developer' in user.roles\n    message: not for you\n", i, ruledProject)
	}
	path = filepath.Join(s.dir, "rules.yaml")
	return path, os.WriteFile(path, []byte(b.String()), 0o600)
}

// asked is one kind of question to policy.
type asked struct {
	evidence      policyapi.Evidence
	configuration policyapi.Configuration
	took          []time.Duration
}

// question is about a job of a project that the last of the groups covers.
func question(project, group string, projects, groups int) *asked {
	var b strings.Builder
	b.WriteString("ci_access:\n  projects:\n")
	for i := range projects {
		fmt.Fprintf(&b, "    - {id: acme/team-%d/app, access_as: {ci_job: {}}}\n", i)
	}
	b.WriteString("  groups:\n")
	for i := range groups - 1 {
		fmt.Fprintf(&b, "    - {id: acme/group-%d, access_as: {ci_job: {}}}\n", i)
	}
	fmt.Fprintf(&b, "    - {id: %s, access_as: {ci_job: {}}}\n", group)
	content := []byte(b.String())
	return &asked{
		evidence: policyapi.Evidence{
			Job: policyapi.EvidenceJob{
				ID: 1, ProjectID: 2, ProjectPath: project, UserID: 3, TimeoutSeconds: 3600, Ref: "main", RefType: "branch", PayloadDigest: grant.Digest(nil),
			},
			AllowedAgents: &policyapi.AllowedAgents{
				JobID: 1, ProjectID: 2, GroupIDs: []int64{4}, User: policyapi.User{ID: 3, Username: "u", Roles: []string{"developer"}},
				Environment: &policyapi.Environment{Slug: "prod", Tier: "production"},
			},
			EnvironmentName: "prod",
		},
		configuration: policyapi.Configuration{Source: "bench:config.yaml", Revision: agentconfig.Revision(content), Content: content},
	}
}

// measureDecision asks policy over HTTP, as the tunnel does: once with next to
// nothing to look at, once with the most.
func measureDecision(ctx context.Context, s *site, _ options, r *report) error {
	token, err := os.ReadFile(filepath.Join(s.dir, "towline-tunnel.token"))
	if err != nil {
		return err
	}
	client := policyapi.NewClient(s.rig.Policy.URL, func() (string, error) { return string(token), nil }, nil)
	small, large := question("other/app", "other", 0, 1), question(ruledProject+"/app", ruledProject, agentconfig.MaxEntries, agentconfig.MaxEntries)
	for _, q := range []*asked{small, large} { // policy reads the configuration once
		if _, err := q.ask(ctx, client); err != nil {
			return err
		}
	}
	for range decisions {
		for _, q := range []*asked{small, large} {
			took, err := q.ask(ctx, client)
			if err != nil {
				return err
			}
			q.took = append(q.took, took)
		}
	}
	fmt.Fprintf(r.out, "\ndecisions of policy over HTTP, signature included: %.3f ms with one entry and no rule for the job, %.3f ms with %d projects, %d groups and %d rules; p50 of %d\n",
		ms(small.median()), ms(large.median()), agentconfig.MaxEntries, agentconfig.MaxEntries, manyRules, decisions)
	r.atMost("a decision about the most, ms more than about next to nothing", ms(large.median()-small.median()), goalDecision)
	return nil
}

func (q *asked) ask(ctx context.Context, client *policyapi.Client) (time.Duration, error) {
	began := time.Now()
	d, err := client.Decide(ctx, q.evidence, &q.configuration)
	switch {
	case err != nil:
		return 0, err
	case !d.Allow:
		return 0, fmt.Errorf("policy refuses: %s", strings.Join(d.Reasons, "; "))
	}
	return time.Since(began), nil
}

func (q *asked) median() time.Duration { return slices.Sorted(slices.Values(q.took))[len(q.took)/2] }
