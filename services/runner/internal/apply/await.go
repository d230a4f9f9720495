package apply

import (
	"context"
	"fmt"
	"time"

	"github.com/towline/towline/services/runner/internal/apply/health"
	"github.com/towline/towline/services/runner/internal/apply/inventory"
	"github.com/towline/towline/services/runner/internal/apply/objref"
)

// lookTimeout is how long one look at the health of objects may take.
const lookTimeout = time.Minute

// health waits for targets, for the run's timeout or the given one.
func (r *run) health(ctx context.Context, targets []health.Target, otherwise time.Duration) (map[objref.Ref]health.Status, error) {
	if len(targets) == 0 {
		return nil, nil
	}
	timeout := r.opts.Health.Timeout
	if timeout <= 0 {
		timeout = otherwise
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return r.checks.Wait(ctx, r.engine.dynamic, targets, r.members())
}

// lookAt looks at targets once.
func (r *run) lookAt(ctx context.Context, targets []health.Target) (map[objref.Ref]health.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return r.checks.Look(ctx, r.engine.dynamic, targets, r.members())
}

// members selects the objects of this inventory.
func (r *run) members() string { return inventory.LabelPartOf + "=" + r.inv.ApplySet() }

// awaits says whether it matters to the run that objects are healthy.
func (r *run) awaits() bool {
	return r.opts.DryRun == DryRunNone && (r.opts.Health.Timeout > 0 || r.opts.Prune.AfterHealthy)
}

// await waits until what was applied is healthy, by this run or by an earlier one
// that did not see it so. A run that has applied nothing new looks once at what
// was waited for in vain: it must not hold up drift for another timeout.
func (r *run) await(ctx context.Context) error {
	if !r.awaits() || r.stopped.Load() {
		return nil // what stopped the run is said at once; what it applied stays awaited
	}
	targets, news := r.unsettled()
	if len(targets) == 0 {
		return nil
	}
	wait := r.lookAt
	late := "still not healthy, after an earlier run has waited for it: "
	if news && r.opts.Health.Timeout > 0 {
		wait = func(ctx context.Context, targets []health.Target) (map[objref.Ref]health.Status, error) {
			return r.health(ctx, targets, 0)
		}
		late = "not healthy within " + r.opts.Health.Timeout.String() + ": "
	} else if news {
		late = "not healthy yet: "
	}
	states, err := wait(ctx, targets)
	if err != nil {
		return fmt.Errorf("wait for health: %w", err)
	}
	if ctx.Err() != nil {
		late = "not healthy when the run was stopped: "
	}
	for _, it := range r.items {
		if s, looked := states[it.ref]; looked {
			r.seen(it, s, late, ctx.Err() == nil)
		}
	}
	return nil
}

// unsettled are the objects whose health is not known; news says whether any of
// them has not been waited for to the end.
func (r *run) unsettled() (targets []health.Target, news bool) {
	for _, it := range r.items {
		rec := r.inv.Records[it.ref]
		if !usable(it) || !it.apply && rec.Health == "" {
			continue
		}
		targets = append(targets, health.Target{Ref: it.ref, Resource: it.resource.GroupVersionResource})
		news = news || it.apply || rec.Health == inventory.Awaited
	}
	return targets, news
}

// seen writes down what a wait has found. One that did not come to its end says
// nothing of objects that are not healthy yet.
func (r *run) seen(it *item, s health.Status, late string, ended bool) {
	it.result.Health = s
	rec := r.inv.Records[it.ref]
	switch {
	case s.State == health.Healthy:
		rec.Health = ""
	case ended:
		rec.Health = inventory.Overdue
	}
	r.inv.Records[it.ref] = rec
	if s.State == health.Healthy {
		return
	}
	it.result.Reason, it.result.Message = ReasonUnhealthy, "it is "+string(s.State)+": "+s.Message
	if s.State == health.Progressing {
		it.result.Message = late + s.Message
	}
}
