package release

import (
	"context"
	"errors"
	"fmt"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/metadata"
)

// maxSteps is more than any run needs: each kind of action comes once.
const maxSteps = 10

// run is one reconciliation.
type run struct {
	engine   *Engine
	spec     *Spec
	conn     *connection
	config   *action.Configuration
	metadata metadata.Interface
	log      logLines
	secrets  blacking
	// confidential are the values that come from Secrets.
	confidential map[string]any

	chart   *chart.Chart
	values  map[string]any
	digest  string
	history history
	done    map[Action]bool
	result  Result
}

// prepare reads the chart and the values.
func (r *run) prepare(ctx context.Context) error {
	files, err := r.fetch(ctx)
	if err != nil {
		return err
	}
	if r.chart, err = files.load(); err != nil {
		return fmt.Errorf("release %s: chart %s: %w", r.spec.ID(), r.chartName(), err)
	}
	r.result.Chart, r.result.Version, r.result.AppVersion = r.chart.Name(), r.chart.Metadata.Version, r.chart.Metadata.AppVersion
	if r.values, err = r.mergeValues(ctx); err != nil {
		return err
	}
	if r.digest, err = digest(files, r.values, r.spec.Patches); err != nil {
		return err
	}
	r.result.Digest = r.digest
	return nil
}

// chartName is the chart for people.
func (r *run) chartName() string {
	if r.chart != nil {
		return r.chart.Name() + " " + r.chart.Metadata.Version
	}
	return r.spec.Chart.String()
}

// String is the place of the chart for people.
func (c Chart) String() string {
	switch {
	case c.Directory != nil && c.Directory.Path != "":
		return c.Directory.Path
	case c.Directory != nil:
		return "."
	case c.Repository != nil:
		return c.Repository.Chart + " of " + redactURL(c.Repository.URL)
	}
	return "(none)"
}

// advance chooses and carries out actions until there is nothing to do.
func (r *run) advance(ctx context.Context) error {
	var failure *Failure
	for range maxSteps {
		if err := r.look(ctx); err != nil {
			return errors.Join(asError(failure), r.blacken(err))
		}
		d := decide(situation{history: r.history, want: r.digest, spec: r.spec, done: r.done, now: time.Now()})
		if d.err != nil && failure == nil {
			return fmt.Errorf("release %s: chart %s: %w", r.spec.ID(), r.chartName(), d.err)
		}
		if d.err != nil || d.action == "" || r.done[d.action] {
			break
		}
		r.done[d.action] = true
		r.result.Actions = append(r.result.Actions, d.action)
		err := r.guard(ctx, func() error { return r.perform(ctx, d.action) })
		switch {
		case failure != nil:
			failure.Remedy = remedyText(d.action, r.blacken(err))
		case err != nil:
			failure = r.failure(d.action, err)
			if ctx.Err() == nil { // else it was interrupted
				r.warn(r.count(d.action))
			}
		}
		if ctx.Err() != nil || failure != nil && failure.Remedy != "" {
			_ = r.look(ctx) // only for the result
			break
		}
	}
	if err := r.tidy(ctx); ctx.Err() == nil {
		r.warn(err)
	}
	if failure != nil {
		return failure
	}
	return r.watchDrift(ctx)
}

// warn notes what went wrong beside the release itself.
func (r *run) warn(err error) {
	if err != nil {
		r.result.Warnings = append(r.result.Warnings, r.secrets.hide(err.Error()))
	}
}

// asError keeps a nil failure nil.
func asError(f *Failure) error {
	if f == nil {
		return nil
	}
	return f
}

// look brings what is known of the release up to date.
func (r *run) look(ctx context.Context) error {
	h, err := observe(ctx, r.metadata, r.spec.Namespace, r.spec.Name)
	if err != nil {
		return err
	}
	r.history = h
	if last := h.last(); last != nil {
		r.result.Revision, r.result.Status = last.revision, last.status.String()
	} else {
		r.result.Revision, r.result.Status = 0, ""
	}
	return nil
}

// guard runs an action of the library, which takes no context: the connection
// ends it when the run ends. What then still computes is left behind.
func (r *run) guard(ctx context.Context, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	t := time.NewTimer(recordGrace)
	defer t.Stop()
	select {
	case err := <-done:
		if err == nil {
			return nil
		}
		return fmt.Errorf("%w: %w", context.Cause(ctx), err)
	case <-t.C:
		return fmt.Errorf("%w: %w", context.Cause(ctx), errUnending)
	}
}

func (r *run) failure(a Action, err error) *Failure {
	if apierrors.IsNotFound(err) && a == ActionInstall {
		err = fmt.Errorf("%w; namespaces are not made unless create_namespace says so", err)
	}
	f := &Failure{Release: r.spec.ID(), Chart: r.chartName(), Action: a, Err: r.blacken(err)}
	for _, line := range r.log.last() {
		f.Log = append(f.Log, r.secrets.hide(line))
	}
	return f
}

func remedyText(a Action, err error) string {
	what := map[Action]string{
		ActionRollback: "rolled back to the revision before", ActionUninstall: "uninstalled",
	}[a]
	if what == "" {
		what = string(a)
	}
	if err != nil {
		return fmt.Sprintf("it could not be undone (%s): %v", a, err)
	}
	return what
}
