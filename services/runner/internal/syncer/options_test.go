package syncer

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/runner/internal/apply"
	"github.com/towline/towline/services/runner/internal/apply/fields"
	"github.com/towline/towline/services/runner/internal/apply/inventory"
)

// TestEachKeyReachesTheEngine: what the configuration may say, in its own words.
func TestEachKeyReachesTheEngine(t *testing.T) {
	req := &Request{AgentID: 7, Namespaces: []string{"shop"}, Task: syncspec.Task{ProjectID: 42, Entry: agentconfig.Manifests{
		Name: "acme/shop", Project: "acme/shop", DefaultNamespace: "shop", InventoryPolicy: "adopt_all", OnInvalid: "check-first", OnConflict: "fail",
		Replace: true, DryRun: "server", ReconcileTimeout: time.Minute, Prune: true, PrunePropagation: "orphan", PruneTimeout: time.Hour, PruneWhen: "healthy",
		Ignore: []agentconfig.Ignore{{Kind: "Deployment", Paths: []string{"/spec/replicas"}}},
	}}}
	want := apply.Options{
		DefaultNamespace: "shop", Namespaces: []string{"shop"}, Inventory: inventory.Place{ID: "7-42", Namespace: "shop", Entry: "acme/shop"},
		Policy: apply.AdoptAll, Invalid: apply.InvalidStopsAll, YieldOnConflict: true, Replace: true, DryRun: apply.DryRunServer,
		Health: apply.Health{Timeout: time.Minute},
		Prune:  apply.Prune{Propagation: metav1.DeletePropagationOrphan, Timeout: time.Hour, AfterHealthy: true},
		Ignore: []fields.Rule{{Kind: "Deployment", Paths: []string{"/spec/replicas"}}},
	}
	if diff := cmp.Diff(want, options(req)); diff != "" {
		t.Error(diff)
	}
	entry := &req.Task.Entry
	for word, policy := range map[string]metav1.DeletionPropagation{
		"foreground": metav1.DeletePropagationForeground, "background": metav1.DeletePropagationBackground, "orphan": metav1.DeletePropagationOrphan,
	} {
		entry.PrunePropagation = word
		if got := options(req).Prune.Propagation; got != policy {
			t.Errorf("prune_propagation_policy %s is %s", word, got)
		}
	}
	for word, policy := range map[string]apply.Policy{"must_match": apply.MustMatch, "adopt_if_no_inventory": apply.AdoptIfNoInventory, "adopt_all": apply.AdoptAll} {
		entry.InventoryPolicy = word
		if got := options(req).Policy; got != policy {
			t.Errorf("inventory_policy %s is %s", word, got)
		}
	}
	for word, policy := range map[string]apply.InvalidPolicy{"stop": apply.InvalidStops, "check-first": apply.InvalidStopsAll, "skip": apply.InvalidSkips} {
		entry.OnInvalid = word
		if got := options(req).Invalid; got != policy {
			t.Errorf("on_invalid %s is %s", word, got)
		}
	}
	for word, dry := range map[string]apply.DryRun{"none": apply.DryRunNone, "client": apply.DryRunClient, "server": apply.DryRunServer} {
		entry.DryRun = word
		if got := options(req).DryRun; got != dry {
			t.Errorf("dry_run_strategy %s is %s", word, got)
		}
	}
	if entry.Prune = false; !options(req).Prune.Off {
		t.Error("prune: false prunes")
	}
}
