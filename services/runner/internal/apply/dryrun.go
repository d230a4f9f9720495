package apply

import (
	"context"
	"maps"
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/towline/towline/services/runner/internal/apply/transient"
)

// foretell fills in the results of a client-side dry run.
func (r *run) foretell(ctx context.Context) {
	for _, it := range r.items {
		if it.apply {
			it.result.Action = foretold(it)
		}
	}
	r.lookInside(ctx)
	for _, its := range r.deletionOrder() {
		for _, it := range r.doomed(its) {
			it.result.Action = Pruned
		}
	}
}

// foretold is what would become of an object that is applied.
func foretold(it *item) Action {
	if it.live == nil {
		return Created
	}
	return Configured
}

// patchDry tries an apply and compares the object before with the one after: a
// dry run leaves no new resource version to tell by.
func (r *run) patchDry(ctx context.Context, it *item, text []byte, opts metav1.PatchOptions) (after *metav1.PartialObjectMetadata, err error) {
	client := r.engine.dynamic.Resource(it.resource.GroupVersionResource).Namespace(it.ref.Namespace)
	var before, o *unstructured.Unstructured
	if it.live != nil {
		if before, err = client.Get(ctx, it.ref.Name, metav1.GetOptions{}); err != nil {
			return nil, err
		}
	}
	err = transient.Do(ctx, func() error {
		o, err = client.Patch(ctx, it.ref.Name, types.ApplyPatchType, text, opts)
		return err
	})
	if err != nil {
		return nil, err
	}
	if r.opts.KeepObjects {
		it.result.Before, it.result.After = before, o
	}
	after = &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "dry run", ManagedFields: o.GetManagedFields()}}
	if before != nil && maps.EqualFunc(visible(before), visible(o), reflect.DeepEqual) {
		after.ResourceVersion = it.live.version
	}
	return after, nil
}

// visible is an object without what changes with every write.
func visible(o *unstructured.Unstructured) map[string]any {
	out := maps.Clone(o.Object)
	meta, _ := out["metadata"].(map[string]any)
	meta = maps.Clone(meta)
	for _, f := range []string{"managedFields", "resourceVersion", "generation"} {
		delete(meta, f)
	}
	out["metadata"] = meta
	return out
}
