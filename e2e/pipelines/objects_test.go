package pipelines

import (
	"context"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/yaml"
)

// unwatched are kinds that the cluster makes by itself.
var unwatched = []string{
	"Event", "Endpoints", "EndpointSlice", "ReplicaSet", "Pod", "ControllerRevision", "Lease", "PodMetrics", "Binding",
	"LocalSubjectAccessReview", "PodTemplate", "Job",
}

// defaults are values that the API server fills in, wherever they stand.
var defaults = map[string][]any{
	"progressDeadlineSeconds": {int64(600)}, "revisionHistoryLimit": {int64(10)}, "dnsPolicy": {"ClusterFirst"},
	"restartPolicy": {"Always"}, "schedulerName": {"default-scheduler"}, "terminationGracePeriodSeconds": {int64(30)},
	"terminationMessagePath": {"/dev/termination-log"}, "terminationMessagePolicy": {"File"}, "protocol": {"TCP"},
	"sessionAffinity": {"None"}, "internalTrafficPolicy": {"Cluster"}, "ipFamilyPolicy": {"SingleStack"}, "defaultMode": {int64(420)},
	"podManagementPolicy": {"OrderedReady"}, "successfulJobsHistoryLimit": {int64(3)}, "failedJobsHistoryLimit": {int64(1)},
	"imagePullPolicy": {"IfNotPresent", "Always"}, "scheme": {"HTTP"}, "successThreshold": {int64(1)}, "failureThreshold": {int64(3)},
	"periodSeconds": {int64(10)}, "timeoutSeconds": {int64(1)},
}

// dropped are keys that say nothing of what the pipeline did.
var dropped = []string{"clusterIP", "clusterIPs", "ipFamilies", "updateStrategy", "strategy", "persistentVolumeClaimRetentionPolicy", "status", "nodePort"}

// objects answers what is in the project's namespaces, reduced to what its
// pipelines decide.
func (s *site) objects(t *testing.T, d description, namespace string) string {
	t.Helper()
	lists, err := discovery.ServerPreferredNamespacedResources(s.discovery)
	must(t, err)
	var all []*unstructured.Unstructured
	for _, l := range lists {
		gv, err := schema.ParseGroupVersion(l.GroupVersion)
		must(t, err)
		for _, r := range l.APIResources {
			if slices.Contains(unwatched, r.Kind) || !slices.Contains(r.Verbs, "list") {
				continue
			}
			for _, suffix := range d.Namespaces {
				found, err := s.dynamic.Resource(gv.WithResource(r.Name)).Namespace(namespace+suffix).List(context.Background(), metav1.ListOptions{})
				if err != nil {
					continue // a definition that another project is removing
				}
				for i := range found.Items {
					all = append(all, &found.Items[i])
				}
			}
		}
	}
	all = slices.DeleteFunc(all, func(o *unstructured.Unstructured) bool {
		return o.GetName() == "kube-root-ca.crt" || o.GetKind() == "ServiceAccount" && o.GetName() == "default" ||
			strings.HasPrefix(o.GetName(), "towline-")
	})
	slices.SortFunc(all, func(a, b *unstructured.Unstructured) int { return strings.Compare(key(a), key(b)) })
	var out strings.Builder
	for _, o := range all {
		text, err := yaml.Marshal(reduce(o))
		must(t, err)
		out.WriteString("---\n")
		out.Write(text)
	}
	return out.String()
}

func key(o *unstructured.Unstructured) string {
	return o.GetNamespace() + "/" + o.GetKind() + "/" + o.GetName()
}

// reduce keeps kind, name, labels, own annotations and what was written.
func reduce(o *unstructured.Unstructured) map[string]any {
	labels, notes := o.GetLabels(), o.GetAnnotations()
	delete(notes, "kubectl.kubernetes.io/last-applied-configuration")
	delete(notes, "deployment.kubernetes.io/revision")
	delete(labels, "modifiedAt")
	meta := map[string]any{"name": o.GetName(), "namespace": o.GetNamespace()}
	if len(labels) > 0 {
		meta["labels"] = labels
	}
	if len(notes) > 0 {
		meta["annotations"] = notes
	}
	out := map[string]any{}
	release := strings.HasPrefix(o.GetName(), "sh.helm.release.v1.")
	for k, v := range o.Object {
		if k != "metadata" && !slices.Contains(dropped, k) && (k != "data" || !release) {
			out[k] = pruned(v)
		}
	}
	out["metadata"] = meta
	return out
}

// pruned leaves out the API server's defaults.
func pruned(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, item := range v {
			if m, ok := item.(map[string]any); ok && len(m) == 0 && (k == "resources" || k == "securityContext") ||
				slices.Contains(defaults[k], item) || slices.Contains(dropped, k) {
				continue
			}
			out[k] = pruned(item)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = pruned(item)
		}
		return out
	}
	return v
}
