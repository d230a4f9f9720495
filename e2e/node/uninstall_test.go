//go:build linux && node

package node_test

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/action"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// stays are the objects of the namespace that are not the release's.
var stays = []string{
	"secrets/" + credentials,
	"configmaps/kube-root-ca.crt",
	"serviceaccounts/default",
}

// checkPod is what `helm test` has left: Helm removes no hooks.
const checkPod = "pods/" + releaseName + "-selfcheck"

// uninstall is what the guide says: the runner's pods go first, which loses no
// job, then `helm uninstall`, and the command beside it. What is left is the
// user's.
func uninstall(s *site) {
	r := s.r
	job := s.startLong("uninstall")
	_, err := r.kube.AppsV1().Deployments(namespace).Patch(r.t.Context(), releaseName+"-runner", types.MergePatchType, []byte(`{"spec":{"replicas":0}}`), metav1.PatchOptions{})
	r.must(err)
	r.eventually(rolledWithin, func(context.Context) error {
		if live := r.pods("runner"); len(live) > 0 {
			return fmt.Errorf("%d runners are not told to end", len(live))
		}
		return nil
	})
	job.end()
	r.eventually(rolledWithin, func(ctx context.Context) error {
		l, err := r.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=runner"})
		if err == nil && len(l.Items) > 0 {
			err = fmt.Errorf("%d runners have not ended, although no job runs", len(l.Items))
		}
		return err
	})
	made := r.objects()
	if len(made) < 20 {
		r.t.Errorf("the release has only %d objects: are all found? %v", len(made), made)
	}
	run := action.NewUninstall(r.helm)
	_, err = run.Run(releaseName)
	r.must(err)
	r.eventually(rolledWithin, func(context.Context) error {
		if left := r.objects(); !slices.Equal(left, []string{checkPod}) {
			return fmt.Errorf("helm uninstall leaves %s, want %s alone", strings.Join(left, ", "), checkPod)
		}
		return nil
	})
	_, name, _ := strings.Cut(checkPod, "/")
	r.must(r.kube.CoreV1().Pods(namespace).Delete(r.t.Context(), name, metav1.DeleteOptions{}))
}

// objects are the release's: all in its namespace but what stays, and those of
// the cluster that carry its label.
func (r *release) objects() []string {
	r.t.Helper()
	lists, err := r.kube.Discovery().ServerPreferredResources()
	r.must(err)
	objects, err := dynamic.NewForConfig(r.api)
	r.must(err)
	var found []string
	for _, l := range lists {
		group, err := schema.ParseGroupVersion(l.GroupVersion)
		r.must(err)
		for _, kind := range l.APIResources {
			if !slices.Contains(kind.Verbs, "list") || kind.Name == "events" {
				continue
			}
			found = append(found, r.list(objects.Resource(group.WithResource(kind.Name)), kind)...)
		}
	}
	return found
}

func (r *release) list(kind dynamic.NamespaceableResourceInterface, is metav1.APIResource) []string {
	r.t.Helper()
	var l *unstructured.UnstructuredList
	var err error
	if is.Namespaced {
		l, err = kind.Namespace(namespace).List(r.t.Context(), metav1.ListOptions{})
	} else {
		l, err = kind.List(r.t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=" + releaseName})
	}
	if err != nil {
		r.t.Fatalf("%s: %v", is.Name, err)
	}
	var found []string
	for _, o := range l.Items {
		if name := is.Name + "/" + o.GetName(); !is.Namespaced || !slices.Contains(stays, name) {
			found = append(found, name)
		}
	}
	return found
}
