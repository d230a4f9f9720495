package release

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"helm.sh/helm/v3/pkg/kube"
	helmrelease "helm.sh/helm/v3/pkg/release"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/services/runner/internal/apply/objref"
	"github.com/towline/towline/services/runner/internal/toolbox/helm/library"
)

// maxTried bounds the objects of a chart that are tried, and its hooks.
const maxTried = 5000

// Preview is what a run would do. Its objects hold values of Secrets.
type Preview struct {
	Chart, Version string
	// Action is ActionInstall, ActionUpgrade, ActionTest, or "" when the release has
	// this content. Revision is the one that it would then have.
	Action   Action
	Revision int
	// Unchanged counts objects that were not tried, because nothing would be sent.
	Unchanged int
	Trials    []Trial
	Hooks     []Hook

	secrets *blacking
}

// Trial is what would become of one object.
type Trial struct {
	Ref  objref.Ref
	File string // in the chart; "" for what has left it
	// Before is the object as it is, nil if it does not exist; After as the server
	// says it would be, nil if it would be deleted. They are the same if nothing
	// would change.
	Before, After *unstructured.Unstructured
	// Kept says that it has left the chart, and stays.
	Kept bool
	// Err is why it cannot be known, or why it would fail.
	Err error
}

// Hook is an object that would be run.
type Hook struct {
	Event  string // pre-upgrade
	Object string // Job shop/migrate
	File   string
	Err    error // why it would not
}

// Hide takes out of a text what came out of Secrets.
func (p *Preview) Hide(text string) string { return p.secrets.hide(text) }

// Preview says what Reconcile would do with spec, as the API server has found by
// trying with the rights of the engine's credential. It changes nothing. Limits
// and errors are those of Reconcile.
func (e *Engine) Preview(ctx context.Context, spec Spec) (*Preview, error) {
	defer library.WithoutWarnings()()
	full, err := spec.complete()
	if err != nil {
		return nil, err
	}
	r, end, err := e.run(ctx, full)
	if err != nil {
		return nil, err
	}
	defer end()
	p := &Preview{secrets: &r.secrets}
	if err := r.preview(ctx, p); err != nil {
		return nil, r.blacken(err)
	}
	for i := range p.Trials {
		p.Trials[i].Err = r.blacken(p.Trials[i].Err)
	}
	return p, nil
}

func (r *run) preview(ctx context.Context, p *Preview) error {
	if err := r.prepare(ctx); err != nil {
		return err
	}
	if err := r.look(ctx); err != nil {
		return err
	}
	p.Chart, p.Version, p.Revision = r.result.Chart, r.result.Version, r.result.Revision
	s := situation{history: r.history, want: r.digest, spec: r.spec}
	d := decide(s)
	if d.err != nil {
		return fmt.Errorf("release %s: chart %s: %w", r.spec.ID(), r.chartName(), d.err)
	}
	switch d.action {
	case "", ActionTest:
		p.Action = d.action
		return r.previewDeployed(ctx, p)
	case ActionInstall, ActionUpgrade:
	default: // comes first, and then this
		d = s.deploy()
	}
	p.Action = d.action
	p.Revision++
	if err := r.previewChange(ctx, p); err != nil {
		return fmt.Errorf("release %s: %s of chart %s: %w", r.spec.ID(), d.action, r.chartName(), err)
	}
	return nil
}

// previewDeployed is about a release that has the wanted content: only what
// others have changed would be put right.
func (r *run) previewDeployed(ctx context.Context, p *Preview) error {
	last := r.history.last()
	if p.Action == ActionTest {
		rel, err := r.config.Releases.Get(r.spec.Name, last.revision)
		if err != nil {
			return fmt.Errorf("read the record of revision %d: %w", last.revision, err)
		}
		if err := r.hooks(p, rel, helmrelease.HookTest); err != nil {
			return err
		}
	}
	objects, err := r.deployedObjects(last.revision)
	if err != nil {
		return err
	}
	if r.spec.Drift.Mode != DriftCorrect {
		p.Unchanged = len(objects)
		return nil
	}
	t := &trier{run: r, drift: true}
	for _, object := range objects {
		t.add(object, object, "")
	}
	p.Trials, err = t.all(ctx)
	return err
}

// previewChange is about a new revision.
func (r *run) previewChange(ctx context.Context, p *Preview) error {
	if c, ok := r.config.KubeClient.(*client); ok {
		c.tolerant = true // of kinds whose CRDs this chart brings
	}
	rel, err := r.dryRun(ctx, p.Action)
	if err != nil {
		return err
	}
	if len(rel.Manifest) > maxManifest {
		return fmt.Errorf("%w: the chart renders to more than %d MiB", ErrLimit, maxManifest>>20)
	}
	before, err := r.baseline(p.Action)
	if err != nil {
		return err
	}
	t := &trier{run: r}
	if err := t.crds(); err != nil {
		return err
	}
	if err := t.manifest(rel.Manifest, before); err != nil {
		return err
	}
	if p.Trials, err = t.all(ctx); err != nil {
		return err
	}
	events := []helmrelease.HookEvent{helmrelease.HookPreUpgrade, helmrelease.HookPostUpgrade}
	if p.Action == ActionInstall {
		events = []helmrelease.HookEvent{helmrelease.HookPreInstall, helmrelease.HookPostInstall}
	}
	if r.spec.Test.Enabled {
		events = append(events, helmrelease.HookTest)
	}
	return r.hooks(p, rel, events...)
}

// dryRun lets the library render the chart and look for conflicts.
func (r *run) dryRun(ctx context.Context, a Action) (*helmrelease.Release, error) {
	const server = "server" // templates may look things up
	var rel *helmrelease.Release
	err := r.guard(ctx, func() (err error) {
		if a == ActionInstall {
			i := r.installation()
			i.DryRun, i.DryRunOption = true, server
			rel, err = i.RunWithContext(ctx, r.chart, r.values)
			return err
		}
		u := r.upgrading()
		u.DryRun, u.DryRunOption = true, server
		rel, err = u.RunWithContext(ctx, r.spec.Name, r.chart, r.values)
		return err
	})
	if err != nil {
		return nil, err // what still computes may write to rel
	}
	return rel, nil
}

// baseline are the objects that Helm compares a new revision with. Values of the
// revision that stand where a Secret's do now are kept out of texts, too.
func (r *run) baseline(a Action) (kube.ResourceList, error) {
	from := r.history.deployed()
	if from == nil {
		from = r.history.last()
	}
	if from == nil {
		return nil, nil
	}
	rel, err := r.config.Releases.Get(r.spec.Name, from.revision)
	if err != nil {
		return nil, fmt.Errorf("read the record of revision %d: %w", from.revision, err)
	}
	r.secrets.learnBefore(r.confidential, rel.Config)
	if a == ActionInstall {
		return nil, nil
	}
	parts, err := r.parts(rel.Manifest)
	if err != nil {
		return nil, fmt.Errorf("revision %d: %w", from.revision, err)
	}
	var objects kube.ResourceList
	for _, part := range parts {
		objects = append(objects, part.objects...) // what cannot be read any more is not touched
	}
	return objects, nil
}

// hooks lists those of a revision that events run, in their order.
func (r *run) hooks(p *Preview, rel *helmrelease.Release, events ...helmrelease.HookEvent) error {
	for _, event := range events {
		var now []*helmrelease.Hook
		for _, h := range rel.Hooks {
			if slices.Contains(h.Events, event) {
				now = append(now, h)
			}
		}
		slices.SortStableFunc(now, func(a, b *helmrelease.Hook) int { return a.Weight - b.Weight })
		for _, h := range now {
			if len(p.Hooks) == maxTried {
				return fmt.Errorf("%w: more than %d hooks", ErrLimit, maxTried)
			}
			p.Hooks = append(p.Hooks, r.hook(h, event))
		}
	}
	return nil
}

func (r *run) hook(h *helmrelease.Hook, event helmrelease.HookEvent) Hook {
	out := Hook{Event: string(event), Object: h.Kind + " " + h.Name, File: inChart(h.Path)}
	parts, err := r.parts(h.Manifest)
	switch {
	case err != nil:
		out.Err = err
	case len(parts) == 1 && parts[0].err != nil:
		out.Err = parts[0].err
	case len(parts) == 1 && len(parts[0].objects) == 1:
		out.Object = refOf(parts[0].objects[0]).String()
	}
	out.Err, out.Object = r.blacken(out.Err), r.secrets.hide(out.Object)
	return out
}

// errNewKind is why an object cannot be tried.
var errNewKind = errors.New("it cannot be compared: the cluster does not know its kind yet")
