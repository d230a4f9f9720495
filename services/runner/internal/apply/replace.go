package apply

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

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
	err := r.patiently(ctx, func() error { return client.Delete(ctx, it.ref.Name, opts) })
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("delete it to make it again: %w", err)
	}
	wait, cancel := context.WithTimeout(ctx, r.opts.Prune.Timeout)
	defer cancel()
	if err := r.awaitDeletion(wait, it); err != nil {
		return nil, fmt.Errorf("it was to be made again: %w", err)
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
