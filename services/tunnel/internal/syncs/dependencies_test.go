package syncs

import (
	"testing"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/syncspec"
)

// An entry waits for those that it depends on at each commit of a ref that both
// follow, and for any success of others.
func TestDependenciesOrderACommit(t *testing.T) {
	base, elsewhere, app := shop, shop, shop
	base.Name, elsewhere.Name, elsewhere.Project = "base", "elsewhere", "acme/elsewhere"
	app.DependsOn = []string{"base", "elsewhere"}
	b := open(t, base)
	b.world.heads = map[string]string{"acme/elsewhere": "e1"}
	b.config.Entries = func() (agentconfig.GitOps, *policyapi.Configuration) {
		return agentconfig.GitOps{Manifests: []agentconfig.Manifests{base, elsewhere, app}}, nil
	}
	of := func(m agentconfig.Manifests) *follower {
		f := b.follower("t1")
		f.entry = m
		return f
	}
	followers := map[string]*follower{"base": of(base), "elsewhere": of(elsewhere)}
	succeed := func(name string) {
		t.Helper()
		followers[name].step(t.Context())
		serial, task := b.claim(name)
		b.finish(name, serial, syncspec.Report{State: syncspec.Succeeded, Commit: task.Commit, Entry: name})
		followers[name].step(t.Context())
	}
	f := of(app)
	waits := func(when string) {
		t.Helper()
		f.step(t.Context())
		if n := b.wanted(); n != 0 || !f.outlook.blocked {
			t.Errorf("%s: wanted %d times, blocked is %t", when, n, f.outlook.blocked)
		}
	}
	succeed("base")
	waits("another project has not succeeded")
	succeed("elsewhere")
	b.world.head = "c2"
	waits("the dependency stands at the commit before")
	succeed("base")
	b.world.head = "c3"
	succeed("base") // it is ahead of what this entry has seen
	b.world.head = "c2"
	f.step(t.Context())
	if _, task := b.claim("shop"); task.Commit != "c2" {
		t.Errorf("%+v", task)
	}
}
