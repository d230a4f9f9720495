package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/services/runner/internal/apply/inventory"
	"github.com/towline/towline/services/runner/internal/apply/objref"
	"github.com/towline/towline/services/runner/internal/apply/order"
	"github.com/towline/towline/services/runner/internal/apply/transient"
)

// deletions are looked after at these pauses.
var deletions = retry.Policy{Min: 50 * time.Millisecond, Max: 2 * time.Second}

// prune deletes what has left the set, in the opposite order, each phase once
// the one before is gone, or has been asked to go if nothing is waited for. What
// may not be deleted now is tracked on.
func (r *run) prune(ctx context.Context) {
	if reason, why := r.mayPrune(); why != "" {
		for _, it := range r.gone {
			if it.result.Action == "" {
				it.result.Action, it.result.Reason, it.result.Message = Skipped, reason, why
			}
		}
		return
	}
	limited := ctx
	if r.opts.Prune.Timeout > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, r.opts.Prune.Timeout)
		defer cancel()
	}
	r.lookInside(limited)
	for _, its := range r.deletionOrder() {
		r.deleteAll(limited, r.doomed(its))
	}
	for _, it := range r.gone {
		if it.result.Action == "" {
			it.result.Action, it.result.Reason, it.result.Message = Skipped, ReasonStopped, "not deleted: what goes before it took too long; the next run goes on"
		}
		if it.result.Action == Kept && it.result.Reason == ReasonAnnotation && r.opts.DryRun == DryRunNone {
			r.release(ctx, it)
		}
	}
}

// doomed are those of the items that are to be deleted.
func (r *run) doomed(its []*item) []*item {
	var out []*item
	for _, it := range its {
		if it.result.Action == "" {
			r.judge(it)
		}
		if it.result.Action == "" {
			out = append(out, it)
		}
	}
	return out
}

// mayPrune says why nothing is deleted in this run.
func (r *run) mayPrune() (Reason, string) {
	switch {
	case r.opts.Prune.Off:
		return ReasonStopped, "pruning is off; the object is still in the inventory"
	case r.blind:
		return ReasonStopped, "not deleted while a manifest cannot be read: it may be the one"
	case r.stopped.Load():
		return ReasonStopped, "not deleted while an object of the set is invalid"
	}
	if !r.opts.Prune.AfterHealthy || r.opts.DryRun != DryRunNone {
		return "", ""
	}
	for _, it := range r.items {
		if it.result.Action == Failed || it.result.Action == Skipped || it.result.Reason == ReasonUnhealthy {
			return ReasonStopped, "not deleted before the new version is healthy (" + it.ref.String() + " is not)"
		}
	}
	return "", ""
}

// deletionOrder is the phases of what has left the set, last one first.
func (r *run) deletionOrder() [][]*item {
	graph, byRef := order.Graph{}, map[objref.Ref]*item{}
	for _, it := range r.gone {
		byRef[it.ref] = it
		graph[it.ref] = nil
		if it.live != nil {
			needs, err := order.Dependencies(it.live.dependsOn)
			if err == nil {
				graph[it.ref] = needs
			}
		}
	}
	phases, _ := graph.Phases()
	var out [][]*item
	for _, it := range r.gone {
		n := phases[it.ref] // of a circle: 0, with the namespaces
		for len(out) <= n {
			out = append(out, nil)
		}
		out[n] = append(out[n], it)
	}
	slices.Reverse(out)
	return out
}

// judge decides about one object that has left the set: a result if it is not to
// be deleted, none if it is.
func (r *run) judge(it *item) {
	keep := func(reason Reason, message string) {
		it.result = Result{Action: Kept, Reason: reason, Message: message}
	}
	switch {
	case it.live == nil && it.unsure == nil:
		it.result = Result{Action: Pruned, Message: "it was gone already"}
		r.forget(it.ref)
	case it.unsure != nil:
		it.result = Result{Action: Failed, Reason: ReasonForbidden, Message: "the identity may not read it, so nobody knows whose it is; allow get and delete"}
	case it.resource.Namespaced && !r.opts.allows(it.ref.Namespace), !it.resource.Namespaced && !r.permitted(it):
		keep(ReasonForbidden, "this entry may not write there any more; delete it by hand")
	case it.live.owner != r.inv.ID && it.live.owner != "" || it.live.owner == "" && r.opts.Policy == MustMatch:
		keep(ReasonNotOwned, "it does not belong to this inventory any more")
		r.forget(it.ref)
	case it.live.keep:
		keep(ReasonAnnotation, "an annotation asks to leave it")
	case it.live.deleting && r.opts.Prune.Timeout <= 0:
		keep(ReasonTerminating, "it is being deleted"+waitsFor(it.live.stays))
	default:
		if inside := r.inside(it); inside != nil {
			it.result = r.holding(it, inside)
		}
	}
}

// deleteAll deletes the objects of a phase and then waits until they are gone, so
// that one which does not go keeps no other one from being deleted.
func (r *run) deleteAll(ctx context.Context, its []*item) {
	each(ctx, r.opts.Workers, its, func(it *item) { r.deleteOne(ctx, it) })
	its = slices.DeleteFunc(its, func(it *item) bool { return it.result.Action != deleting })
	left := r.awaitDeletions(ctx, its, r.opts.Prune.Timeout <= 0)
	for _, it := range its {
		it.result.Action = Pruned
		switch {
		case !slices.Contains(left, it):
			r.forget(it.ref)
		case r.opts.Prune.Timeout <= 0 && it.unseen == nil:
			it.result.Message = "its deletion is not waited for" + waitsFor(it.live.stays)
		default:
			it.result = Result{Action: Failed, Reason: ReasonTerminating, Message: r.notGone(ctx, it).Error()}
		}
	}
}

// deleting is the action of an object whose deletion has been accepted.
const deleting Action = "deleting"

// deleteOne has an object deleted.
func (r *run) deleteOne(ctx context.Context, it *item) {
	opts := metav1.DeleteOptions{PropagationPolicy: &r.opts.Prune.Propagation, Preconditions: &metav1.Preconditions{UID: &it.live.uid}}
	if r.opts.DryRun == DryRunServer {
		opts.DryRun = []string{metav1.DryRunAll}
	}
	client := r.engine.meta.Resource(it.resource.GroupVersionResource).Namespace(it.ref.Namespace)
	err := transient.Do(ctx, func() error { return client.Delete(ctx, it.ref.Name, opts) })
	switch {
	case apierrors.IsNotFound(err):
		it.result.Action = Pruned
		r.forget(it.ref)
	case apierrors.IsConflict(err):
		it.result = Result{Action: Failed, Reason: ReasonAPI, Message: "somebody has made it anew meanwhile; it is looked at again by the next run"}
	case err != nil:
		it.result.Action = Failed
		it.result.Reason, it.result.Path, it.result.Message = explain(err, it)
	case r.opts.DryRun == DryRunServer:
		it.result.Action = Pruned
	default:
		it.result.Action = deleting
	}
}

// awaitDeletions returns when the objects are gone, when ctx ends, or after the
// first look; left are those that may still be there.
func (r *run) awaitDeletions(ctx context.Context, its []*item, once bool) (left []*item) {
	left = slices.Clone(its)
	var blind []*item
	deletions.Loop(ctx, func(ctx context.Context) retry.Result {
		var mu sync.Mutex
		var still []*item
		each(ctx, r.opts.Workers, left, func(it *item) {
			gone := r.isGone(ctx, it)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case it.unseen != nil:
				blind = append(blind, it)
			case !gone:
				still = append(still, it)
			}
		})
		if ctx.Err() != nil {
			return retry.Result{Outcome: retry.Failed} // not all have been looked at
		}
		if left = still; len(left) == 0 || once {
			return retry.Result{Outcome: retry.Done}
		}
		return retry.Result{Outcome: retry.Failed}
	})
	return append(left, blind...)
}

// isGone looks whether a deleted object is gone.
func (r *run) isGone(ctx context.Context, it *item) bool {
	o, err := r.engine.meta.Resource(it.resource.GroupVersionResource).Namespace(it.ref.Namespace).Get(ctx, it.ref.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err), err == nil && o.UID != it.live.uid:
		return true
	case apierrors.IsForbidden(err):
		it.unseen = err
	case err == nil:
		it.live.stays = o.Finalizers
	}
	return false
}

// notGone says why a deletion has not come to its end.
func (r *run) notGone(ctx context.Context, it *item) error {
	switch {
	case it.unseen != nil:
		return fmt.Errorf("it was deleted, but the identity may not see whether it is gone: %w", it.unseen)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("its deletion was not done within %v%s; it stays in the inventory", r.deletionTimeout(), waitsFor(it.live.stays))
	}
	return fmt.Errorf("the run was stopped while it was being deleted%s; it stays in the inventory", waitsFor(it.live.stays))
}

// release takes our marks off an object that stays, and forgets it.
func (r *run) release(ctx context.Context, it *item) {
	text, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid":         it.live.uid,
		"annotations": map[string]any{inventory.AnnotationOwner: nil},
		"labels":      map[string]any{inventory.LabelPartOf: nil},
	}})
	if err != nil {
		return
	}
	client := r.engine.meta.Resource(it.resource.GroupVersionResource).Namespace(it.ref.Namespace)
	err = transient.Do(ctx, func() error {
		_, err := client.Patch(ctx, it.ref.Name, types.MergePatchType, text, metav1.PatchOptions{FieldManager: Manager})
		return err
	})
	if err != nil && !apierrors.IsNotFound(err) {
		it.result.Message += "; its marks could not be removed: " + shorten(err.Error())
		return
	}
	r.forget(it.ref)
}
