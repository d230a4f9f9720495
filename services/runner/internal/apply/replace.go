package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/towline/towline/services/runner/internal/apply/kinds"
	"github.com/towline/towline/services/runner/internal/apply/transient"
)

// AnnotationReplace with the value allow, on an object of a set, has Options.Replace
// count for it although others would go with it.
const AnnotationReplace = "towline.dev/replace"

// replaceTimeout is how long the deletion of an object that is to be made again
// may take when the run waits for no deletion.
const replaceTimeout = 5 * time.Minute

// deletionTimeout is how long a deletion that is waited for may take.
func (r *run) deletionTimeout() time.Duration {
	if r.opts.Prune.Timeout > 0 {
		return r.opts.Prune.Timeout
	}
	return replaceTimeout
}

// precious are kinds whose objects take others, or data, with them.
var precious = []schema.GroupKind{namespaces, kinds.Definition, {Kind: "PersistentVolume"}, {Kind: "PersistentVolumeClaim"}}

// sparedFor says why an object is not deleted to be made again, empty if it may
// be.
func sparedFor(it *item) string {
	notes := it.object.Body.GetAnnotations()
	switch {
	case it.live.keep || kept(notes):
		return "it is not deleted to be made again, for an annotation asks to leave it"
	case slices.Contains(precious, it.ref.GroupKind()) && notes[AnnotationReplace] != "allow":
		return "it is not deleted to be made again, for what it holds would be lost; undo the change, or give it the annotation " + AnnotationReplace + ": allow"
	}
	return ""
}

// replace deletes an object that cannot be changed in place and makes it again.
// It deletes nothing before the API server has said that the new one is valid.
// A run that dies in between is finished by the next one: the object is in the
// inventory, and missing.
func (r *run) replace(ctx context.Context, it *item, text []byte) (*metav1.PartialObjectMetadata, error) {
	if err := r.wouldBeValid(ctx, it, text); err != nil {
		return nil, err
	}
	client := r.engine.meta.Resource(it.resource.GroupVersionResource).Namespace(it.ref.Namespace)
	opts := metav1.DeleteOptions{PropagationPolicy: &r.opts.Prune.Propagation, Preconditions: &metav1.Preconditions{UID: &it.live.uid}}
	err := transient.Do(ctx, func() error { return client.Delete(ctx, it.ref.Name, opts) })
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("delete it to make it again: %w", err)
	}
	wait, cancel := context.WithTimeout(ctx, r.deletionTimeout())
	defer cancel()
	if left := r.awaitDeletions(wait, []*item{it}, false); len(left) > 0 {
		return nil, fmt.Errorf("it was to be made again: %w", r.notGone(wait, it))
	}
	return r.patch(ctx, it, text, true, false)
}

// wouldBeValid tries to make the object beside the old one: the API server
// checks a new object before it sees that the name is taken.
func (r *run) wouldBeValid(ctx context.Context, it *item, text []byte) error {
	o := &unstructured.Unstructured{}
	if err := json.Unmarshal(text, &o.Object); err != nil {
		return err
	}
	client := r.engine.dynamic.Resource(it.resource.GroupVersionResource).Namespace(it.ref.Namespace)
	_, err := client.Create(ctx, o, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: Manager})
	if err == nil || apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}
