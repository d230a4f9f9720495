package decide

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/syncspec"
)

func TestWhatARemovedEntryHasLeft(t *testing.T) {
	read := func(towline string) *agentconfig.Config {
		t.Helper()
		cfg, _, err := agentconfig.Files{Name: "config.yaml", Towline: []byte(towline)}.Parse(agentconfig.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	const before = `
gitops:
  charts:
    - {release_name: shop, namespace: web, source: {project: {id: acme/shop}}, on_removal: uninstall}
    - {release_name: kept, namespace: web, source: {project: {id: acme/shop}}}
    - {release_name: agent, namespace: web, source: {project: {id: acme/shop}}, on_removal: uninstall, access_as: {agent: {}}}
    - {release_name: fixed, namespace: web, source: {project: {id: acme/shop}}, on_removal: uninstall, access_as: {impersonate: {username: deployer, groups: [a]}}}
`
	s := Settings{Agent: grant.Agent{ID: 5, Project: "acme/agents", Name: "prod"}, AgentServiceAccount: ServiceAccount{"towline", "agent"}}
	was, gone := Config{Config: read(before)}, Config{Config: read("gitops: {charts: []}")}
	// last is what an entry was allowed before, as evidence and claims.
	last := func(name string) (policyapi.SyncEvidence, *grant.Claims) {
		t.Helper()
		d, m := Sync(s, was, policyapi.SyncEvidence{Entry: name, Commit: "c"})
		if !d.Allow {
			t.Fatalf("%+v", d)
		}
		task, err := json.Marshal(syncspec.Task{Schema: syncspec.Schema, Entry: m, Commit: "c"})
		if err != nil {
			t.Fatal(err)
		}
		return policyapi.SyncEvidence{Entry: name, Commit: "c", PayloadDigest: "d", Removed: &policyapi.Removed{Task: task, Grant: "g"}},
			&grant.Claims{Sync: &grant.Sync{Entry: name, Project: m.Project, Commit: "c"}, Identity: d.Identity, Agent: s.Agent, Namespaces: d.Namespaces, PayloadDigest: grant.Digest(task)}
	}
	for name, user := range map[string]string{"web/shop": "gitlab:gitops:web/shop", "web/agent": "system:serviceaccount:towline:agent", "web/fixed": "deployer"} {
		e, claims := last(name)
		d, m := Removal(s, gone, e, claims, nil)
		if !d.Allow || d.Identity.User != user || d.DefaultNamespace != "web" || m.Name != name || cmp.Diff(claims.Identity, d.Identity) != "" {
			t.Errorf("%s: %+v", name, d)
		}
	}
	narrow, closed := s, s
	narrow.Namespaces = []string{"other"}
	closed.AgentServiceAccount = ServiceAccount{}
	for _, tt := range []struct {
		name   string
		s      Settings
		c      Config
		entry  string
		change func(*policyapi.SyncEvidence, *grant.Claims) error
		want   string
	}{
		{"not opted in", s, gone, "web/kept", nil, "did not say on_removal"},
		{"still there", s, was, "web/shop", nil, `the entry "web/shop" is in config.yaml`},
		{"no configuration", s, Config{}, "web/shop", nil, "no configuration of this agent is known"},
		{"no section", s, Config{Config: read("refine: []")}, "web/shop", nil, "the section gitops is gone as a whole"},
		{"faults", s, Config{Config: gone.Config, Faults: []string{"x"}}, "web/shop", nil, "cannot be used, so nothing is uninstalled"},
		{"namespaces of the owner", narrow, gone, "web/shop", nil, `the default_namespace "web"`},
		{"agent no longer allowed", closed, gone, "web/agent", nil, "the owner of this cluster does not allow that"},
		{"unverified", s, gone, "web/shop", func(*policyapi.SyncEvidence, *grant.Claims) error { return errors.New("signature is wrong") }, "signature is wrong"},
		{"another entry's grant", s, gone, "web/shop", func(_ *policyapi.SyncEvidence, c *grant.Claims) error { c.Sync.Entry = "web/fixed"; return nil }, "of something else"},
		{"a job's grant", s, gone, "web/shop", func(_ *policyapi.SyncEvidence, c *grant.Claims) error { c.Sync = nil; return nil }, "of something else"},
		{"another agent's grant", s, gone, "web/shop", func(_ *policyapi.SyncEvidence, c *grant.Claims) error { c.Agent.Name = "staging"; return nil }, "of something else"},
		{"another task", s, gone, "web/shop", func(e *policyapi.SyncEvidence, _ *grant.Claims) error {
			e.Removed.Task = []byte(strings.ReplaceAll(string(e.Removed.Task), `"keep"`, `"uninstall"`) + " ")
			return nil
		}, "of something else"},
		{"no task", s, gone, "web/shop", func(e *policyapi.SyncEvidence, c *grant.Claims) error {
			e.Removed.Task = []byte("x")
			c.PayloadDigest = grant.Digest(e.Removed.Task)
			return nil
		}, "cannot be read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, claims := last(tt.entry)
			var err error
			if tt.change != nil {
				err = tt.change(&e, claims)
			}
			d, _ := Removal(tt.s, tt.c, e, claims, err)
			if d.Allow || d.Remedy == "" || d.Identity.User != "" || !strings.Contains(strings.Join(d.Reasons, "\n"), tt.want) {
				t.Errorf("%+v", d)
			}
		})
	}
}
