package apply

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/services/runner/internal/apply/health"
	"github.com/towline/towline/services/runner/internal/apply/kinds"
	"github.com/towline/towline/services/runner/internal/apply/objref"
)

const (
	// dependencyTimeout is how long a dependency may take to become healthy when
	// the run has no timeout of its own.
	dependencyTimeout = 5 * time.Minute
	// definitionTimeout is how long a new kind may take to be served.
	definitionTimeout = time.Minute
)

// serving waits for a new kind at these pauses.
var serving = retry.Policy{Min: 20 * time.Millisecond, Max: time.Second}

// tryAll has the API server try everything that is to be applied. It says
// whether nothing was refused as invalid; the refusals are in the results.
func (r *run) tryAll(ctx context.Context) bool {
	var its []*item
	for _, it := range r.items {
		if it.apply && !r.premature(it) {
			its = append(its, it)
		}
	}
	trial := make([]Result, len(its))
	numbers := make([]int, len(its))
	for i := range its {
		numbers[i] = i
	}
	each(ctx, r.opts.Workers, numbers, func(i int) {
		it := *its[i] // the result of a trial is none
		if it.live != nil {
			l := *it.live
			it.live = &l
		}
		if _, err := r.send(ctx, &it, true); err != nil {
			trial[i].Action = Failed
			trial[i].Reason, trial[i].Path, trial[i].Message = explain(err, &it)
		}
	})
	ok := true
	for i, it := range its {
		if trial[i].Reason == ReasonInvalid && r.redefined(it) == nil {
			it.result, ok = trial[i], false
		}
	}
	return ok
}

// premature says whether an object cannot be tried yet: its namespace or its
// kind comes with the set.
func (r *run) premature(it *item) bool {
	ns := r.byRef[objref.Ref{Kind: "Namespace", Name: it.ref.Namespace}]
	return it.resource.Promised || it.ref.Namespace != "" && ns != nil && ns.live == nil
}

// ground makes the namespace of a new inventory if it is in the set.
func (r *run) ground(ctx context.Context) error {
	cm := r.inv.ConfigMap()
	ns := r.byRef[objref.Ref{Kind: "Namespace", Name: cm.Namespace}]
	if r.inv.Exists() || ns == nil || !ns.apply {
		return nil
	}
	r.applyOne(ctx, ns)
	if ns.result.Action == Failed {
		return fmt.Errorf("namespace %s of the inventory: %s", cm.Namespace, ns.result.Message)
	}
	return nil
}

// ready waits until what the objects of a phase need is there, and marks those
// whose needs have failed. It says whether the run can go on.
func (r *run) ready(ctx context.Context, its []*item) bool {
	waited := map[objref.Ref]bool{}
	var targets []health.Target
	var promised []*item
	for _, it := range its {
		if r.opts.DryRun == DryRunServer {
			if r.premature(it) {
				it.result.Action, it.result.Message = foretold(it), "not tried: its namespace or kind comes with the set"
			}
			continue
		}
		for _, need := range it.needs {
			if dep := r.byRef[need]; dep != nil && !waited[need] && usable(dep) {
				waited[need] = true
				targets = append(targets, health.Target{Ref: need, Resource: dep.resource.GroupVersionResource})
			}
		}
		if it.resource.Promised {
			promised = append(promised, it)
		}
	}
	r.serve(ctx, promised)
	states, err := r.health(ctx, targets, dependencyTimeout)
	for _, it := range its {
		r.checkNeeds(it, states, err)
	}
	return ctx.Err() == nil
}

// checkNeeds skips an object whose needs are not met.
func (r *run) checkNeeds(it *item, states map[objref.Ref]health.Status, err error) {
	if r.opts.DryRun == DryRunServer {
		return
	}
	for _, need := range it.needs {
		dep := r.byRef[need]
		switch {
		case dep == nil || !usable(dep):
			r.skip(it, need, "was not applied")
		case err != nil:
			r.skip(it, need, "cannot be looked at: "+shorten(err.Error()))
		case states[need].State != "" && states[need].State != health.Healthy:
			r.skip(it, need, "is "+string(states[need].State)+": "+states[need].Message)
		}
	}
}

func usable(it *item) bool {
	switch it.result.Action {
	case Created, Configured, Replaced, Unchanged:
		return true
	default:
		return false
	}
}

func (r *run) skip(it *item, need objref.Ref, why string) {
	if it.result.Action == "" {
		it.result.Action, it.result.Reason, it.result.Message = Skipped, ReasonDependency, "it depends on "+need.String()+", which "+why
	}
}

// serve waits until the API server serves the kinds that were promised.
func (r *run) serve(ctx context.Context, its []*item) {
	asked := map[kinds.Resource]error{}
	ctx, cancel := context.WithTimeout(ctx, definitionTimeout)
	defer cancel()
	for _, it := range its {
		err, known := asked[it.resource]
		if !known {
			if err = r.defined(it); err == nil {
				err = r.served(ctx, it)
			}
			asked[it.resource] = err
		}
		if err != nil && it.result.Action == "" {
			it.result.Action, it.result.Reason, it.result.Message = Skipped, ReasonDependency, "its kind is not served: "+err.Error()
		}
	}
}

// defined says whether the definition of a promised kind has been applied.
func (r *run) defined(it *item) error {
	crd := r.definition(it)
	if crd == nil || !usable(crd) {
		return errors.New("its CustomResourceDefinition was not applied")
	}
	return nil
}

func (r *run) served(ctx context.Context, it *item) (err error) {
	ok := serving.Loop(ctx, func(ctx context.Context) retry.Result {
		_, err = r.engine.meta.Resource(it.resource.GroupVersionResource).Namespace(it.ref.Namespace).Get(ctx, it.ref.Name, metav1.GetOptions{})
		if err != nil && missingKind(err) {
			return retry.Result{Outcome: retry.Failed}
		}
		return retry.Result{Outcome: retry.Done}
	})
	if ok {
		return nil // other errors are those of the object
	}
	return fmt.Errorf("the CustomResourceDefinition is not established within %v: %w", definitionTimeout, err)
}

// missingKind says whether the API server does not know the resource, as
// opposed to the object.
func missingKind(err error) bool {
	status, ok := err.(apierrors.APIStatus)
	if !ok || !apierrors.IsNotFound(err) {
		return false
	}
	d := status.Status().Details
	return d == nil || d.Name == "" || hasCause(status.Status(), metav1.CauseTypeUnexpectedServerResponse)
}
