package release

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"helm.sh/helm/v3/pkg/kube"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/cli-runtime/pkg/resource"
)

// crdTimeout is how long the server may take to serve new kinds.
const crdTimeout = time.Minute

// applyCRDs makes the kinds in the chart's crds directory known before anything
// is rendered: before an installation and, unlike helm, before an upgrade.
func (r *run) applyCRDs(ctx context.Context) error {
	crds := r.chart.CRDObjects()
	if r.spec.CRDs == CRDSkip || len(crds) == 0 {
		return nil
	}
	var made kube.ResourceList
	for _, crd := range crds {
		if err := ctx.Err(); err != nil {
			return err
		}
		objects, err := r.config.KubeClient.Build(bytes.NewReader(crd.File.Data), false)
		if err != nil {
			return fmt.Errorf("CRD %s: %w", crd.Filename, err)
		}
		for _, object := range objects {
			changed, err := r.applyCRD(object)
			if err != nil {
				return fmt.Errorf("CRD %s: %s: %w", crd.Filename, object.Name, err)
			}
			if changed {
				made = append(made, object)
			}
		}
	}
	if len(made) == 0 {
		return nil
	}
	if err := r.config.KubeClient.Wait(made, crdTimeout); err != nil {
		return fmt.Errorf("wait for %d CRDs: %w", len(made), err)
	}
	r.conn.forget()
	return nil
}

// applyCRD creates one, or replaces it if that is allowed.
func (r *run) applyCRD(object *resource.Info) (changed bool, err error) {
	helper := resource.NewHelper(object.Client, object.Mapping).WithFieldManager(kube.ManagedFieldsManager)
	made, err := helper.Create(object.Namespace, true, object.Object)
	if apierrors.IsAlreadyExists(err) {
		if r.spec.CRDs != CRDCreateReplace {
			return false, nil
		}
		made, err = helper.Replace(object.Namespace, object.Name, true, object.Object)
	}
	if err != nil {
		return false, err
	}
	return true, object.Refresh(made, true)
}
