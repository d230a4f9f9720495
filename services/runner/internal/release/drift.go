package release

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"helm.sh/helm/v3/pkg/kube"
	helmrelease "helm.sh/helm/v3/pkg/release"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/towline/towline/services/runner/internal/apply/fields"
)

// The annotations by which Helm knows the objects of a release.
const (
	ownerName      = "meta.helm.sh/release-name"
	ownerNamespace = "meta.helm.sh/release-namespace"
)

// comparers is how many objects of a release are compared at a time.
const comparers = 8

// watchDrift compares the deployed objects with the cluster, and puts right what
// others have changed, without a new revision.
func (r *run) watchDrift(ctx context.Context) error {
	last := r.history.last()
	fresh := r.done[ActionInstall] || r.done[ActionUpgrade] || r.done[ActionRollback]
	if r.spec.Drift.Mode == DriftOff || last == nil || last.status != helmrelease.StatusDeployed || fresh {
		return nil
	}
	objects, err := r.deployedObjects(last.revision)
	if err != nil {
		return r.failure(ActionCorrect, err)
	}
	r.result.Objects = len(objects)
	changes, err := r.compareAll(ctx, objects)
	for _, c := range changes {
		r.result.Drift = append(r.result.Drift, c)
		if c.Corrected && !slices.Contains(r.result.Actions, ActionCorrect) {
			r.result.Actions = append(r.result.Actions, ActionCorrect)
		}
	}
	if err != nil {
		return r.failure(ActionCorrect, err)
	}
	return nil
}

// deployedObjects are the objects of a revision as they were sent.
func (r *run) deployedObjects(revision int) (kube.ResourceList, error) {
	rel, err := r.config.Releases.Get(r.spec.Name, revision)
	if err != nil {
		return nil, fmt.Errorf("read the record of revision %d: %w", revision, err)
	}
	if len(rel.Manifest) > maxManifest {
		return nil, fmt.Errorf("%w: the record's manifest is larger than %d MiB", ErrLimit, maxManifest>>20)
	}
	objects, err := r.config.KubeClient.Build(bytes.NewBufferString(rel.Manifest), false)
	if isNewKind(err) {
		r.conn.forget() // a kind that is newer than what we know
		objects, err = r.config.KubeClient.Build(bytes.NewBufferString(rel.Manifest), false)
	}
	if err != nil {
		return nil, fmt.Errorf("the objects of revision %d: %w", revision, err)
	}
	for _, object := range objects {
		if err := own(object, rel.Name, rel.Namespace); err != nil {
			return nil, err
		}
	}
	return objects, nil
}

// own sets what Helm sets on all objects of a release.
func own(object *resource.Info, name, namespace string) error {
	accessor, err := meta.Accessor(object.Object)
	if err != nil {
		return err
	}
	labels := maps.Clone(accessor.GetLabels())
	if labels == nil {
		labels = map[string]string{}
	}
	labels["app.kubernetes.io/managed-by"] = "Helm"
	accessor.SetLabels(labels)
	annotations := maps.Clone(accessor.GetAnnotations())
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[ownerName], annotations[ownerNamespace] = name, namespace
	accessor.SetAnnotations(annotations)
	return nil
}

// compareAll compares objects, several at a time. The changes are in the order
// of the objects.
func (r *run) compareAll(ctx context.Context, objects kube.ResourceList) ([]Change, error) {
	ignores, err := fields.Compile(r.spec.Drift.Ignore)
	if err != nil {
		return nil, err
	}
	c := &comparison{ignores: ignores, correct: r.spec.Drift.Mode == DriftCorrect, seen: &r.engine.seen}
	changes, errs := make([]*Change, len(objects)), make([]error, len(objects))
	abreast(len(objects), func(i int) {
		if errs[i] = context.Cause(ctx); errs[i] == nil {
			changes[i], errs[i] = c.compare(objects[i])
		}
	})
	var found []Change
	for _, change := range changes {
		if change != nil {
			found = append(found, *change)
		}
	}
	return found, errors.Join(errs...)
}

// abreast calls f with each number below n, comparers at a time, and returns when
// all have.
func abreast(n int, f func(i int)) {
	slots := make(chan struct{}, comparers)
	var wg sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			f(i)
		})
	}
	wg.Wait()
}
