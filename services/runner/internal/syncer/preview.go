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
	// Release says what would become of the entry's release, "" if nothing would or
	// the entry has none. Hooks are what would run besides, in their order.
	Release string
	Hooks   []Hook
	// Unchanged counts objects beside those of the report.
	Unchanged int

	hide func(text string) string
}

// Hook is one hook of a chart.
type Hook struct{ Text, File string }

// Concealed is a text without what came out of Secrets of the cluster, of
// encrypted files and of GitLab's variables.
func (p *Preview) Concealed(text string) string { return p.hide(text) }

// Outside is the way to other servers: a proxy's address with credentials, ""
// for none, and PEM to trust beside the system's.
type Outside struct{ Proxy, CA string }

// Candidate is what could be an entry's next commit.
type Candidate struct {
	Entry     agentconfig.Manifests
	Inventory string            // the id of the entry's inventory
	Variables map[string]string // values of GitLab's variables that the entry names
	Files     []syncspec.File
}

// Try says what a candidate would change, with the rights of cluster's
// credential. It changes nothing.
func Try(ctx context.Context, cluster *rest.Config, c Candidate, out Outside) (*Preview, error) {
	m := c.Entry
	if m.Chart != nil {
		return tryChart(ctx, cluster, m, c.Files, out)
	}
	report := &syncspec.Report{}
	set, err := assemble(ctx, cluster, m, c.Variables, c.Files, report)
	if err != nil {
		return nil, concealed(report, err)
	}
	engine, err := apply.New(cluster)
	if err != nil {
		return nil, err
	}
	o := options(&Request{Task: syncspec.Task{Entry: m}, Namespaces: m.Namespaces})
	o.Inventory.ID, o.DryRun, o.KeepObjects, o.Invalid = c.Inventory, apply.DryRunServer, true, apply.InvalidSkips
	o.Health, o.Prune.AfterHealthy = apply.Health{}, false
	p := &Preview{hide: report.Concealed}
	p.Report, err = engine.Apply(ctx, set, o)
	return p, concealed(report, err)
}

// concealed is an error without the secrets; one without any stays what it is.
func concealed(report *syncspec.Report, err error) error {
	if err == nil {
		return nil
	}
	if text := err.Error(); report.Concealed(text) != text {
		return errors.New(report.Concealed(text))
	}
	return err
}
