package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/towline/towline/services/runner/internal/apply/fields"
	"github.com/towline/towline/services/runner/internal/apply/inventory"
	"github.com/towline/towline/services/runner/internal/apply/transient"
)

// applyAll applies what has to be, one phase after the other.
func (r *run) applyAll(ctx context.Context) {
	phases := map[int][]*item{}
	for _, it := range r.items {
		phases[it.phase] = append(phases[it.phase], it)
	}
	var numbers []int
	for n := range phases {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		its := slices.DeleteFunc(phases[n], func(it *item) bool { return !it.apply || it.result.Action != "" })
		if !r.ready(ctx, its) {
			return
		}
		each(ctx, r.opts.Workers, its, func(it *item) { r.applyOne(ctx, it) })
		if r.stopped.Load() || ctx.Err() != nil {
			return
		}
	}
}

// applyOne applies one object and writes down what it has become.
func (r *run) applyOne(ctx context.Context, it *item) {
	if it.result.Action != "" {
		return // a dependency failed
	}
	if r.stopped.Load() {
		it.result.Action, it.result.Reason, it.result.Message = Skipped, ReasonStopped, "another object is invalid; it must be repaired first"
		return
	}
	ctx, said := collect(ctx)
	after, err := r.send(ctx, it, r.opts.DryRun == DryRunServer)
	if crd := r.redefined(it); err != nil && crd != nil {
		after, err = r.sendAgain(ctx, it, crd, err)
	}
	it.result.Warnings = said.text
	if errors.Is(err, errUntried) {
		it.result.Action, it.result.Message = foretold(it), err.Error()
		return
	}
	if err != nil {
		r.failed(it, err)
		return
	}
	r.applied(it, after)
}

// failed translates an error into a result.
func (r *run) failed(it *item, err error) {
	it.result.Action = Failed
	it.result.Reason, it.result.Path, it.result.Message = explain(err, it)
	if it.result.Reason == ReasonInvalid && r.opts.Invalid != InvalidSkips {
		r.stopped.Store(true)
	}
}

// applied fills in the result of an apply that worked.
func (r *run) applied(it *item, after *metav1.PartialObjectMetadata) {
	switch {
	case it.result.Action == Replaced:
	case it.live == nil:
		it.result.Action = Created
	case it.live.version == after.ResourceVersion:
		it.result.Action = Unchanged
	default:
		it.result.Action = Configured
	}
	if it.result.Drifted && it.live != nil {
		it.result.Drift = fields.Regained(it.live.managed, after.ManagedFields, Manager)
	}
	if r.opts.DryRun == DryRunNone {
		it.since = time.Now()
		owned := fields.Digest(fields.Own(after.ManagedFields, Manager), it.ignored)
		rec := inventory.Record{Desired: it.digest, Owned: owned, Held: true}
		if r.awaits() {
			rec.Health = inventory.Awaited
		}
		r.record(it.ref, rec)
	}
}

// send applies an object: carefully first, so that conflicts are known, then
// with force, and by making it again if it can only be made.
func (r *run) send(ctx context.Context, it *item, dry bool) (*metav1.PartialObjectMetadata, error) {
	body, err := r.prepareBody(ctx, it, dry)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	after, err := r.patch(ctx, it, text, false, dry)
	if held := fields.Conflicts(err); len(held) > 0 {
		it.result.Conflicts = held
		if r.opts.YieldOnConflict {
			return nil, err
		}
		after, err = r.patch(ctx, it, text, true, dry)
	}
	if err == nil || !r.opts.Replace || it.live == nil || !immutable(err) {
		return after, err
	}
	if it.spared = sparedFor(it); it.spared != "" || dry {
		return nil, err
	}
	if after, err = r.replace(ctx, it, text); err == nil {
		it.result.Action = Replaced
	}
	return after, err
}

func (r *run) patch(ctx context.Context, it *item, text []byte, force, dry bool) (after *metav1.PartialObjectMetadata, err error) {
	opts := metav1.PatchOptions{FieldManager: Manager, Force: &force}
	if dry {
		opts.DryRun = []string{metav1.DryRunAll}
	}
	if opts.FieldValidation = metav1.FieldValidationWarn; r.opts.Strict {
		opts.FieldValidation = metav1.FieldValidationStrict
	}
	if r.opts.DryRun == DryRunServer {
		return r.patchDry(ctx, it, text, opts)
	}
	client := r.engine.meta.Resource(it.resource.GroupVersionResource).Namespace(it.ref.Namespace)
	err = transient.Do(ctx, func() error {
		after, err = client.Patch(ctx, it.ref.Name, types.ApplyPatchType, text, opts)
		return err
	})
	return after, err
}

// prepareBody is what is sent for an item, with the fields that a rule leaves to
// others as they are now, and what predecessors owned made ours first.
func (r *run) prepareBody(ctx context.Context, it *item, dry bool) (map[string]any, error) {
	body := r.body(it)
	if it.live == nil {
		return body, nil
	}
	own := fields.Own(it.live.managed, Manager)
	if own == nil && fields.HasPredecessor(it.live.managed) && !dry {
		if err := r.inherit(ctx, it); err != nil || it.live == nil {
			return body, err
		}
		own = fields.Own(it.live.managed, Manager)
	}
	if len(it.ignored) == 0 {
		return body, nil
	}
	body = (&unstructured.Unstructured{Object: body}).DeepCopy().Object
	if !fields.Owns(own, it.ignored) {
		fields.Strip(body, it.ignored)
		return body, nil
	}
	// Dropping a field that nobody else owns would remove it: it is kept as it
	// is until somebody else takes it.
	o, err := r.engine.dynamic.Resource(it.resource.GroupVersionResource).Namespace(it.ref.Namespace).Get(ctx, it.ref.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read the fields that are left to others: %w", err)
	}
	fields.Keep(body, o.Object, it.ignored)
	return body, nil
}

// inheritances is how often it is tried to take over an object that changes
// meanwhile.
const inheritances = 3

// inherit makes the fields of predecessors ours, so that what has left their
// files since leaves the object, too. An object that changes meanwhile is looked
// at again; when it is gone, there is nothing to inherit.
func (r *run) inherit(ctx context.Context, it *item) error {
	for n := 1; ; n++ {
		err := r.takeOver(ctx, it)
		if !apierrors.IsConflict(err) || n == inheritances {
			return err
		}
		if err := r.look(ctx, it); err != nil {
			return err
		}
		switch {
		case it.live == nil:
			return it.unsure
		case r.foreign(it, r.recordOf(it.ref).Held) != "" || it.live.deleting:
			return errors.New("somebody has taken it over or deleted it meanwhile")
		case fields.Own(it.live.managed, Manager) != nil || !fields.HasPredecessor(it.live.managed):
			return nil
		}
	}
}

func (r *run) takeOver(ctx context.Context, it *item) error {
	entries, err := fields.Inherit(it.live.managed, Manager)
	if err != nil {
		return err
	}
	type op struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value"`
	}
	text, err := json.Marshal([]op{
		{"replace", "/metadata/managedFields", entries},
		{"replace", "/metadata/resourceVersion", it.live.version},
	})
	if err != nil {
		return err
	}
	client := r.engine.meta.Resource(it.resource.GroupVersionResource).Namespace(it.ref.Namespace)
	after, err := client.Patch(ctx, it.ref.Name, types.JSONPatchType, text, metav1.PatchOptions{FieldManager: Manager})
	if err != nil {
		return fmt.Errorf("take over the managed fields: %w", err)
	}
	it.live.managed = after.ManagedFields
	return nil
}
