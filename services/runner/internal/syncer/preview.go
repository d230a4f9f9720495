package syncer

import (
	"context"
	"errors"

	"k8s.io/client-go/rest"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/runner/internal/apply"
)

// Preview is what files would change, as the API server has found by trying.
// Its objects hold values of Secrets.
type Preview struct {
	apply.Report

	report syncspec.Report
}

// Concealed is a text without what came out of Secrets of the cluster and of
// encrypted files.
func (p *Preview) Concealed(text string) string { return p.report.Concealed(text) }

// Try says what files would change if they were an entry's next commit, with the
// rights of cluster's credential. It changes nothing. inventory is the id of the
// entry's inventory.
func Try(ctx context.Context, cluster *rest.Config, m agentconfig.Manifests, inventory string, files []syncspec.File) (*Preview, error) {
	if m.Chart != nil {
		return nil, errors.New("what a chart would change is not shown; use helm template or helm upgrade --dry-run=server")
	}
	p := &Preview{}
	set, err := assemble(ctx, cluster, m, files, &p.report)
	if err != nil {
		return nil, err
	}
	engine, err := apply.New(cluster)
	if err != nil {
		return nil, err
	}
	o := options(&Request{Task: syncspec.Task{Entry: m}, Namespaces: m.Namespaces})
	o.Inventory.ID, o.DryRun, o.KeepObjects, o.Invalid = inventory, apply.DryRunServer, true, apply.InvalidSkips
	o.Health, o.Prune.AfterHealthy = apply.Health{}, false
	p.Report, err = engine.Apply(ctx, set, o)
	return p, err
}
