package syncer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/runner/internal/apply/fields"
	"github.com/towline/towline/services/runner/internal/release"
)

// leavesCluster says whether an entry needs what is neither in its repository
// nor in the cluster.
func leavesCluster(m agentconfig.Manifests) bool {
	c := m.Chart
	return c != nil && (c.Repository != nil || slices.ContainsFunc(c.Values, func(v agentconfig.ChartValues) bool { return v.URL != nil }))
}

// fetchesChart says whether a task needs a chart of a repository.
func fetchesChart(t *syncspec.Task) bool {
	return !t.Remove && t.Entry.Chart != nil && t.Entry.Chart.Repository != nil
}

// installChart makes a release what the entry says.
func installChart(ctx context.Context, cluster *rest.Config, req *Request, files []syncspec.File, report *syncspec.Report) error {
	spec, err := releaseSpec(ctx, cluster, req, files)
	if err != nil || spec.Chart.Repository == nil {
		req.fetches.tell()
	}
	if err != nil {
		return err
	}
	var options release.Options
	if spec.Chart.Repository != nil {
		options.Proxy, options.Cache = req.proxy(), req.charts()
		options.Patience, options.Fetched = req.fetches.left(), func(f release.Fetch) { req.fetches.chart(spec.Chart.Repository.URL, f) }
	}
	engine, err := release.New(cluster, options)
	if err != nil {
		return err
	}
	result, err := engine.Reconcile(ctx, *spec)
	report.Objects, report.Counts = result.Objects, map[string]int{}
	report.Release = fmt.Sprintf("%s %s, revision %d %s", result.Chart, result.Version, result.Revision, result.Status)
	for _, a := range result.Actions {
		report.Counts[string(a)]++
	}
	for _, d := range result.Drift {
		report.Drifted++
		warn(report, d.String())
	}
	for _, w := range result.Warnings {
		warn(report, w)
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("stopped before its end: %w", err)
	}
	return err
}

// releaseSpec is the entry in the engine's words, with all that has to be read
// for it. CRDs in a chart's directory are made by whoever may make them: an entry
// that is kept in namespaces may not.
func releaseSpec(ctx context.Context, cluster *rest.Config, req *Request, files []syncspec.File) (*release.Spec, error) {
	m, c := req.Task.Entry, req.Task.Entry.Chart
	spec := &release.Spec{
		Name: c.Release, Namespace: m.DefaultNamespace, Namespaces: req.Namespaces, MaxHistory: c.MaxHistory,
		CreateNamespace: c.CreateNamespace, Wait: c.Wait, WaitForJobs: c.WaitForJobs, Atomic: c.Atomic, Timeout: c.Timeout,
		CRDs: release.CRDPolicy(c.CRDs), Force: c.Force, Install: remedy(c.Install), Upgrade: remedy(c.Upgrade),
		Drift: release.Drift{Mode: release.DriftMode(c.Drift)},
		Test:  release.Test{Enabled: c.Tests == "report" || c.Tests == "require", Tolerate: c.Tests == "report"},
	}
	for _, i := range m.Ignore {
		spec.Drift.Ignore = append(spec.Drift.Ignore, fields.Rule(i))
	}
	for _, p := range c.Patches {
		spec.Patches = append(spec.Patches, release.Patch(p))
	}
	var err error
	if spec.Values, err = chartValues(ctx, req, files); err != nil {
		return nil, err
	}
	if c.Repository != nil {
		spec.Chart.Repository, err = chartRepository(ctx, cluster, req)
		return spec, err
	}
	root := filepath.Join(req.Dir, "repository")
	spec.Chart.Directory = &release.Directory{Root: root, Path: c.Path}
	ofChart := slices.DeleteFunc(slices.Clone(files), func(f syncspec.File) bool { return strings.HasPrefix(f.Path, agentconfig.ValuesPrefix) })
	return spec, unpackTo(root, ofChart)
}

func remedy(r agentconfig.ChartRemedy) release.Remedy {
	return release.Remedy{OnFailure: release.RemedyAction(r.OnFailure), Attempts: r.Attempts}
}

// removeChart uninstalls the release of an entry that is gone.
func removeChart(ctx context.Context, cluster *rest.Config, req *Request, report *syncspec.Report) error {
	m := req.Task.Entry
	if m.Chart == nil {
		return errors.New("only releases are removed")
	}
	engine, err := release.New(cluster, release.Options{})
	if err != nil {
		return err
	}
	c := m.Chart
	_, err = engine.Uninstall(ctx, release.Removal{Name: c.Release, Namespace: m.DefaultNamespace, Wait: c.Wait || c.Atomic, Timeout: c.Timeout})
	report.Release = "release " + c.Release + " uninstalled"
	return err
}

// unpackTo writes files below a directory that does not exist yet. Their paths
// are clean, and none is a link.
func unpackTo(root string, files []syncspec.File) error {
	if err := os.Mkdir(root, dirMode); err != nil {
		return err
	}
	dir, err := os.OpenRoot(root)
	if err != nil {
		return err
	}
	defer dir.Close()
	for _, f := range files {
		if err := dir.MkdirAll(filepath.Dir(f.Path), dirMode); err != nil {
			return err
		}
		if err := dir.WriteFile(f.Path, f.Content, fileMode); err != nil {
			return err
		}
	}
	return nil
}

// errNoWay is a fault of ours: the process was not told of the way out.
var errNoWay = errors.New("the way to other servers is not known")
