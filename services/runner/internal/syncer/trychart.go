package syncer

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/runner/internal/apply"
	"github.com/towline/towline/services/runner/internal/apply/manifests"
	"github.com/towline/towline/services/runner/internal/release"
)

// tryChart says what would become of a release. What has to be written for that
// is gone at the end.
func tryChart(ctx context.Context, cluster *rest.Config, m agentconfig.Manifests, files []syncspec.File, out Outside) (*Preview, error) {
	if err := comparableInJob(m.Chart); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "towline-diff-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	req := &Request{
		Task: syncspec.Task{Entry: m}, Namespaces: m.Namespaces, OutsideCA: out.CA, Dir: dir, Temp: filepath.Join(dir, "tmp"), way: out.Proxy,
	}
	if err := os.MkdirAll(req.charts(), dirMode); err != nil {
		return nil, err
	}
	spec, err := releaseSpec(ctx, cluster, req, files)
	if err != nil {
		return nil, err
	}
	engine, err := release.New(cluster, release.Options{Proxy: req.proxy(), Cache: req.charts()})
	if err != nil {
		return nil, err
	}
	found, err := engine.Preview(ctx, *spec)
	if err != nil {
		return nil, err
	}
	return previewOf(m.Chart, spec.ID(), found), nil
}

// comparableInJob refuses values that a job cannot have. With others in their place
// the comparison would be of something else.
func comparableInJob(c *agentconfig.Chart) error {
	for i, v := range c.Values {
		switch {
		case v.URL != nil:
			return fmt.Errorf("values[%d]: jobs are not told the addresses of values, so this release cannot be compared", i)
		case v.File != "" && v.Elsewhere():
			return fmt.Errorf("values[%d]: %s is of another project or ref and not in this working tree, so this release cannot be compared", i, v.File)
		}
	}
	return nil
}

// previewOf is what was found, in the words of manifests.
func previewOf(c *agentconfig.Chart, id string, found *release.Preview) *Preview {
	p := &Preview{hide: found.Hide, Unchanged: found.Unchanged}
	switch found.Action {
	case release.ActionInstall, release.ActionUpgrade:
		p.Release = fmt.Sprintf("release %s: %s of chart %s %s, which makes revision %d", id, found.Action, found.Chart, found.Version, found.Revision)
	case release.ActionTest:
		p.Release = fmt.Sprintf("release %s: tests of revision %d", id, found.Revision)
	default:
	}
	place := func(file string) string {
		switch {
		case file == "":
			return ""
		case c.Repository != nil:
			return path.Join(found.Chart+"-"+found.Version, file)
		}
		return path.Join(c.Path, file)
	}
	for i := range found.Trials {
		p.Results = append(p.Results, resultOf(&found.Trials[i], place))
	}
	for _, h := range found.Hooks {
		at := place(h.File)
		p.Hooks = append(p.Hooks, Hook{Text: fmt.Sprintf("%s would run, as hook %s (%s)", h.Object, h.Event, at), File: at})
		if h.Err != nil {
			p.Faults = append(p.Faults, manifests.Fault{Origin: manifests.Origin{File: at, Line: 1}, Problem: "hook " + h.Object + ": " + h.Err.Error()})
		}
	}
	return p
}

func resultOf(t *release.Trial, place func(string) string) apply.Result {
	r := apply.Result{Object: t.Ref, Before: t.Before, After: t.After}
	if t.File != "" {
		r.Origin = manifests.Origin{File: place(t.File), Line: 1}
	}
	switch {
	case t.Err != nil:
		r.Action, r.Reason, r.Message = apply.Failed, apply.ReasonAPI, t.Err.Error()
		if apierrors.IsForbidden(t.Err) {
			r.Reason = apply.ReasonForbidden
		}
	case t.Kept:
		r.Action = apply.Kept
	case t.After == nil && t.Before != nil:
		r.Action = apply.Pruned
	case t.Before == nil && t.After != nil:
		r.Action = apply.Created
	case t.Before == t.After: // also what has gone by itself
		r.Action = apply.Unchanged
	default:
		r.Action = apply.Configured
	}
	return r
}
