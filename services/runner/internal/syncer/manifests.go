package syncer

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/runner/internal/apply"
	"github.com/towline/towline/services/runner/internal/apply/fields"
	"github.com/towline/towline/services/runner/internal/apply/health"
	"github.com/towline/towline/services/runner/internal/apply/inventory"
	"github.com/towline/towline/services/runner/internal/apply/manifests"
)

// applyManifests makes the cluster hold what the files say.
func applyManifests(ctx context.Context, cluster *rest.Config, req *Request, files []syncspec.File, report *syncspec.Report) error {
	set, err := assemble(ctx, cluster, req.Task.Entry, req.Task.Variables, files, report)
	if err != nil {
		return err
	}
	engine, err := apply.New(cluster)
	if err != nil {
		return err
	}
	result, err := engine.Apply(ctx, set, options(req))
	describe(&result, report)
	switch problem := result.Err(); {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("stopped before its end: %w", err)
	case err != nil:
		return err
	case problem != nil && report.State == syncspec.Succeeded:
		return problem
	}
	return nil
}

// assemble makes objects of an entry's files. What came out of Secrets and of
// GitLab's variables is kept out of the report.
func assemble(ctx context.Context, cluster *rest.Config, m agentconfig.Manifests, variables map[string]string, files []syncspec.File, report *syncspec.Report) (apply.Set, error) {
	files, err := decrypted(ctx, cluster, m, files, report)
	if err != nil {
		return apply.Set{}, err
	}
	var values map[string]string
	wanted := m.Substitutes()
	if wanted {
		if values, err = substitutes(ctx, cluster, m, variables, report); err != nil {
			return apply.Set{}, err
		}
		if m.Kustomize != "" {
			files = prepare(files, values)
		}
	}
	texts, err := render(m, files)
	if err != nil {
		return apply.Set{}, err
	}
	var faults []manifests.Fault
	if wanted {
		texts, faults = substitute(texts, values)
	}
	objects, wrong := manifests.Decode(texts, manifests.Limits{})
	return apply.Set{Objects: objects, Faults: append(faults, wrong...)}, nil
}

// options are the entry's words for the engine.
func options(req *Request) apply.Options {
	m := req.Task.Entry
	o := apply.Options{
		DefaultNamespace: m.DefaultNamespace, Namespaces: req.Namespaces,
		Inventory: inventory.Place{ID: req.Task.InventoryID(req.AgentID), Namespace: m.DefaultNamespace, Entry: m.Name},
		Policy:    apply.Policy(m.InventoryPolicy), Invalid: apply.InvalidPolicy(m.OnInvalid), YieldOnConflict: m.OnConflict == "fail",
		Replace: m.Replace, DryRun: apply.DryRun(m.DryRun), Health: apply.Health{Timeout: m.ReconcileTimeout},
		Prune: apply.Prune{Off: !m.Prune, Propagation: propagation(m.PrunePropagation), Timeout: m.PruneTimeout, AfterHealthy: m.PruneWhen == "healthy"},
	}
	for _, i := range m.Ignore {
		o.Ignore = append(o.Ignore, fields.Rule(i))
	}
	for _, h := range m.Health {
		o.Health.Rules = append(o.Health.Rules, health.Rule(h))
	}
	return o
}

func propagation(word string) metav1.DeletionPropagation {
	switch word {
	case "orphan":
		return metav1.DeletePropagationOrphan
	case "background":
		return metav1.DeletePropagationBackground
	}
	return metav1.DeletePropagationForeground
}

// describe takes what the engine says over into the report.
func describe(result *apply.Report, report *syncspec.Report) {
	report.Inventory, report.Drifted, report.Counts = result.Inventory, result.Drifted(), map[string]int{}
	for i := range result.Faults {
		report.Add(result.Faults[i].Error())
	}
	for i := range result.Results {
		r := &result.Results[i]
		report.Counts[string(r.Action)]++
		if r.Origin.File != "" {
			report.Objects++
		}
		if r.Action == apply.Failed || r.Reason == apply.ReasonUnhealthy || r.Action == apply.Skipped && r.Reason != apply.ReasonStopped {
			report.Add(r.Line())
		}
		for _, w := range r.Warnings {
			warn(report, r.Object.String()+": "+w)
		}
	}
}

func warn(report *syncspec.Report, text string) {
	text = report.Concealed(text)
	if len(report.Warnings) < syncspec.MaxProblems && len(text) <= syncspec.MaxText {
		report.Warnings = append(report.Warnings, text)
	}
}

// render makes manifests of the files.
func render(m agentconfig.Manifests, files []syncspec.File) ([]manifests.File, error) {
	if m.Kustomize != "" {
		return build(m.Kustomize, files)
	}
	out := make([]manifests.File, len(files))
	for i, f := range files {
		out[i] = manifests.File{Path: f.Path, Content: f.Content}
	}
	if len(out) == 0 {
		return nil, errors.New("the bundle holds no files")
	}
	return out, nil
}
