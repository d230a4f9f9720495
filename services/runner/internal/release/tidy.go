package release

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"helm.sh/helm/v3/pkg/kube"
	helmrelease "helm.sh/helm/v3/pkg/release"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/resource"
)

const (
	leastHistory = 2  // as in helm, which keeps the revision before the deployed one in any case
	mostFailed   = 10 // records of failed content, kept until what they made is swept away
)

// tidy removes what failed revisions have left in the cluster, once one has
// succeeded, and the records that are not to be kept. Helm itself compares only
// with the revision that was deployed before, so what a failed or interrupted one
// had made would stay for ever.
func (r *run) tidy(ctx context.Context) error {
	if last := r.history.last(); last != nil && last.status == helmrelease.StatusDeployed && last.digest != "" {
		for i := range r.history {
			if rec := &r.history[i]; rec.status == helmrelease.StatusFailed && rec.digest != "" && !rec.swept {
				if err := r.sweep(ctx, rec, last); err != nil {
					return fmt.Errorf("remove what revision %d has left: %w", rec.revision, err)
				}
			}
		}
	}
	for _, rec := range r.history.surplus(r.spec.MaxHistory) {
		if _, err := r.config.Releases.Delete(r.spec.Name, rec.revision); err != nil {
			return fmt.Errorf("remove the record of revision %d: %w", rec.revision, err)
		}
	}
	return nil
}

// surplus is the records that need not be kept. Those of failed content are, as
// long as what it has made may be there.
func (h history) surplus(most int) []record {
	var out []record
	kept := max(most, leastHistory)
	failed := map[string]bool{}
	deployed := h.deployed()
	for i, rec := range h {
		waits := rec.status == helmrelease.StatusFailed && rec.digest != "" && !rec.swept && !failed[rec.digest] && len(failed) < mostFailed
		if waits {
			failed[rec.digest] = true
		}
		if i >= kept && !waits && (deployed == nil || rec.revision != deployed.revision) {
			out = append(out, rec)
		}
	}
	return out
}

// sweep deletes the objects of a failed revision that the deployed one does not
// have and that still belong to the release.
func (r *run) sweep(ctx context.Context, failed, deployed *record) error {
	left, err := r.objectsOf(failed.revision)
	if err != nil {
		return err
	}
	wanted, err := r.objectsOf(deployed.revision)
	if err != nil {
		return err
	}
	for _, object := range left.Difference(wanted) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.deleteOwned(object); err != nil {
			return fmt.Errorf("%s: %w", objectName(object), err)
		}
	}
	name := fmt.Sprintf("%s%s.v%d", recordPrefix, r.spec.Name, failed.revision)
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:"true"}}}`, labelSwept)
	_, err = r.metadata.Resource(corev1.SchemeGroupVersion.WithResource("secrets")).Namespace(r.spec.Namespace).
		Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	failed.swept = err == nil
	return err
}

// objectsOf are the objects of a revision.
func (r *run) objectsOf(revision int) (kube.ResourceList, error) {
	rel, err := r.config.Releases.Get(r.spec.Name, revision)
	if err != nil {
		return nil, err
	}
	return r.config.KubeClient.Build(bytes.NewBufferString(rel.Manifest), false)
}

// deleteOwned deletes an object if it is the release's and need not be kept.
func (r *run) deleteOwned(object *resource.Info) error {
	helper := resource.NewHelper(object.Client, object.Mapping)
	live, err := helper.Get(object.Namespace, object.Name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	accessor, err := meta.Accessor(live)
	if err != nil {
		return err
	}
	annotations := accessor.GetAnnotations()
	if annotations[ownerName] != r.spec.Name || annotations[ownerNamespace] != r.spec.Namespace || annotations[kube.ResourcePolicyAnno] == kube.KeepPolicy {
		return nil
	}
	propagation, uid := metav1.DeletePropagationBackground, accessor.GetUID()
	_, err = helper.DeleteWithOptions(object.Namespace, object.Name, &metav1.DeleteOptions{
		PropagationPolicy: &propagation, Preconditions: &metav1.Preconditions{UID: &uid},
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err == nil && !slices.Contains(r.result.Actions, ActionSweep) {
		r.result.Actions = append(r.result.Actions, ActionSweep)
	}
	return err
}
