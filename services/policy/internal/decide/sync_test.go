package decide

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/policyapi"
)

func TestSyncs(t *testing.T) {
	const entries = `
gitops:
  manifest_projects:
    - {id: acme/apps/shop}
    - {name: agent, id: acme/apps/shop, access_as: {agent: {}}}
    - {name: fixed, id: acme/apps/shop, access_as: {impersonate: {username: deployer, groups: [a]}}}
    - {name: reserved, id: acme/apps/shop, access_as: {impersonate: {username: "system:admin"}}}
    - {name: asleep, id: acme/apps/shop, suspend: true}
    - {name: narrow, id: acme/apps/shop, default_namespace: web, namespaces: [web]}
    - {name: outside, id: acme/apps/shop, default_namespace: web, namespaces: [web, kube-system]}
    - {name: elsewhere, id: acme/apps/shop, default_namespace: other}
`
	cfg, _, err := agentconfig.Files{Name: "config.yaml", Towline: []byte(entries)}.Parse(agentconfig.Options{})
	if err != nil {
		t.Fatal(err)
	}
	open := Settings{Agent: grant.Agent{ID: 5, Project: "acme/agents", Name: "prod"}}
	closed := open
	closed.Namespaces, closed.AgentServiceAccount = []string{"web"}, ServiceAccount{"towline", "agent"}
	decide := func(s Settings, entry string) policyapi.Decision {
		d, _ := Sync(s, Config{Config: cfg}, policyapi.SyncEvidence{Entry: entry, Commit: "c"})
		return d
	}
	itself := grant.Identity{
		Mode: grant.ModeGitOps, User: "gitlab:gitops:acme/apps/shop", Extra: map[string][]string{"agent.gitlab.com/id": {"5"}},
		Groups: []string{"gitlab:gitops", "gitlab:gitops_project:acme/apps/shop", "gitlab:gitops_group:acme/apps", "gitlab:gitops_group:acme"},
	}
	if d := decide(open, "acme/apps/shop"); !d.Allow || cmp.Diff(itself, d.Identity) != "" || d.Namespaces != nil || d.DefaultNamespace != "default" {
		t.Errorf("%+v", d)
	}
	if d := decide(closed, "narrow"); !d.Allow || cmp.Diff([]string{"web"}, d.Namespaces) != "" || d.DefaultNamespace != "web" {
		t.Errorf("%+v", d)
	}
	if d := decide(open, "fixed"); !d.Allow || d.Identity.User != "deployer" {
		t.Errorf("%+v", d)
	}
	for _, tt := range []struct {
		s           Settings
		entry, want string
	}{
		{open, "agent", "the owner of this cluster does not allow that"},
		{open, "reserved", "cannot be granted"},
		{open, "asleep", "is suspended"},
		{open, "nobody", `no entry of gitops in config.yaml has the name "nobody"`},
		{closed, "outside", `the namespace "kube-system"`},
		{closed, "elsewhere", `the default_namespace "other"`},
	} {
		d := decide(tt.s, tt.entry)
		if d.Allow || d.Remedy == "" || d.Identity.User != "" || !strings.Contains(strings.Join(d.Reasons, "\n"), tt.want) {
			t.Errorf("%s: %+v", tt.entry, d)
		}
	}
	d := decide(closed, "agent")
	if d.Allow { // its default namespace is outside
		t.Errorf("%+v", d)
	}
	if d, _ := Sync(open, Config{}, policyapi.SyncEvidence{Entry: "x"}); d.Allow {
		t.Errorf("without a configuration: %+v", d)
	}
}
