package repository

import (
	"slices"
	"testing"
)

// Whoever adds a module must also decide whether it belongs to the workspace.
func TestTheRepositorysOwnModules(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	modules, err := Modules(root)
	if err != nil {
		t.Fatal(err)
	}
	dirs := make([]string, 0, len(modules))
	for _, m := range modules {
		dirs = append(dirs, m.Dir)
		if want := ModulePrefix + m.Dir; m.File.Module.Mod.Path != want {
			t.Errorf("%s/go.mod declares %s, want %s", m.Dir, m.File.Module.Mod.Path, want)
		}
	}
	want := []string{"e2e", "e2e/chart/suites", "e2e/cluster/controlplane", "e2e/node/dns", "e2e/node/policies", "pkg"}
	for _, s := range []string{"policy", "runner", "tunnel"} {
		want = append(want, "services/"+s)
	}
	want = append(want, "tools")
	if !slices.Equal(dirs, want) {
		t.Errorf("modules = %v, want %v", dirs, want)
	}
	work, err := Workspace(root)
	if err != nil {
		t.Fatal(err)
	}
	// The control plane replaces all of k8s.io, the chart's suites, the node's
	// programs and the tools need nothing of the product: in the workspace they would change its versions.
	outside := []string{"e2e/chart/suites", "e2e/cluster/controlplane", "e2e/node/dns", "e2e/node/policies", "tools"}
	if got := len(work.Use); got != len(want)-len(outside) {
		t.Errorf("go.work uses %d modules, want %d", got, len(want)-len(outside))
	}
	for _, u := range work.Use {
		if slices.Contains(outside, u.Path[len("./"):]) {
			t.Errorf("go.work uses %s, which must stay outside", u.Path)
		}
	}
}
