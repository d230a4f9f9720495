package syncer

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/rest"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/runner/internal/release"
)

// installChart makes a release what the entry says.
func installChart(ctx context.Context, cluster *rest.Config, req *Request, files []syncspec.File, report *syncspec.Report) error {
	m := req.Task.Entry
	root := filepath.Join(req.Dir, "repository")
	if err := unpackTo(root, files); err != nil {
		return err
	}
	values, err := chartValues(m.Chart, files)
	if err != nil {
		return err
	}
	engine, err := release.New(cluster, release.Options{})
	if err != nil {
		return err
	}
	result, err := engine.Reconcile(ctx, release.Spec{
		Name: m.Chart.Release, Namespace: m.DefaultNamespace, Values: values, MaxHistory: m.Chart.MaxHistory, Namespaces: req.Namespaces,
		Chart: release.Chart{Directory: &release.Directory{Root: root, Path: m.Chart.Path}},
	})
	report.Objects, report.Counts = result.Objects, map[string]int{}
	for _, a := range result.Actions {
		report.Counts[string(a)]++
	}
	for _, d := range result.Drift {
		report.Drifted++
		warn(report, d.Object+" was not as the release says")
	}
	for _, w := range result.Warnings {
		warn(report, w)
	}
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

// chartValues are the sources of values in their order.
func chartValues(c *agentconfig.Chart, files []syncspec.File) ([]release.Values, error) {
	var out []release.Values
	for i, v := range c.Values {
		if v.File == "" {
			out = append(out, release.Values{Source: fmt.Sprintf("values[%d] (inline)", i), Text: []byte(v.Inline)})
			continue
		}
		found := false
		for _, f := range files {
			if f.Path == v.File {
				found = true
				out = append(out, release.Values{Source: fmt.Sprintf("values[%d] (%s)", i, v.File), Text: f.Content})
			}
		}
		if !found {
			return nil, fmt.Errorf("values[%d]: the repository has no file %s", i, v.File)
		}
	}
	return out, nil
}
