//go:build linux && node

package node_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/cli"
	helmrelease "helm.sh/helm/v3/pkg/release"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/e2e/node"
)

const (
	chartDir    = "../../charts/towline"
	releaseName = "towline"
	namespace   = "towline"

	// rolledWithin is generous: the machine may be busy with other tests.
	rolledWithin = 3 * time.Minute
	pollEvery    = 100 * time.Millisecond
)

// release is the chart as Helm installs it.
type release struct {
	t      *testing.T
	api    *rest.Config
	kube   kubernetes.Interface
	helm   *action.Configuration
	chart  *chart.Chart
	values []string // YAML documents, later ones win
	// createNamespace is --create-namespace.
	createNamespace bool
}

func newRelease(t *testing.T) *release {
	t.Helper()
	r := &release{t: t, helm: new(action.Configuration)}
	var err error
	r.api, err = node.Shared().Cluster().RESTConfig()
	r.must(err)
	r.kube, err = kubernetes.NewForConfig(r.api)
	r.must(err)
	r.chart, err = loader.Load(chartDir)
	r.must(err)
	settings := cli.New()
	settings.KubeConfig = node.Shared().Cluster().Kubeconfig()
	settings.SetNamespace(namespace)
	r.must(r.helm.Init(settings.RESTClientGetter(), namespace, "secret", t.Logf))
	t.Cleanup(r.leaveNothing)
	return r
}

// leaveNothing makes room for the next test where this one ended before its time.
func (r *release) leaveNothing() {
	if !r.t.Failed() {
		return
	}
	run := action.NewUninstall(r.helm)
	run.IgnoreNotFound = true
	if _, err := run.Run(releaseName); err != nil {
		r.t.Logf("the release is left behind: %v", err)
	}
}

// must ends the test on an error.
func (r *release) must(err error) {
	r.t.Helper()
	if err != nil {
		r.explain()
		r.t.Fatal(err)
	}
}

// importImages gives the node the services' images with the given tag.
func (r *release) importImages(tag string) {
	r.t.Helper()
	dir := os.Getenv("TOWLINE_E2E_IMAGES")
	if dir == "" {
		r.t.Fatal("TOWLINE_E2E_IMAGES does not say where the services' images are; run: make e2e-node")
	}
	for _, s := range services {
		r.must(node.Shared().Import(r.t.Context(), filepath.Join(dir, "towline-"+s+".tar"), "docker.io/towline/"+s+":"+tag))
	}
}

// merged are the release's values.
func (r *release) merged() map[string]any {
	r.t.Helper()
	all := map[string]any{}
	for _, document := range r.values {
		var v map[string]any
		r.must(yaml.Unmarshal([]byte(document), &v))
		merge(all, v)
	}
	return all
}

func merge(into, from map[string]any) {
	for k, v := range from {
		inner, isMap := v.(map[string]any)
		if old, ok := into[k].(map[string]any); ok && isMap {
			merge(old, inner)
			continue
		}
		into[k] = v
	}
}

// install is `helm install`.
func (r *release) install(values string) *helmrelease.Release {
	r.t.Helper()
	r.values = []string{values}
	install := action.NewInstall(r.helm)
	install.ReleaseName, install.Namespace, install.CreateNamespace = releaseName, namespace, r.createNamespace
	made, err := install.RunWithContext(r.t.Context(), r.chart, r.merged())
	r.must(err)
	return made
}

// upgrade is `helm upgrade` with the values of before and further ones; it returns
// the release's revision.
func (r *release) upgrade(values string) int {
	r.t.Helper()
	r.values = append(r.values, values)
	upgrade := action.NewUpgrade(r.helm)
	upgrade.Namespace = namespace
	made, err := upgrade.RunWithContext(r.t.Context(), releaseName, r.chart, r.merged())
	r.must(err)
	return made.Version
}

// test is `helm test --logs`.
func (r *release) test() string {
	r.t.Helper()
	test := action.NewReleaseTesting(r.helm)
	test.Namespace, test.Timeout = namespace, rolledWithin
	ran, err := test.Run(releaseName)
	var logs strings.Builder
	if ran != nil {
		err = errors.Join(err, test.GetPodLogs(&logs, ran))
	}
	if err != nil {
		r.t.Log(logs.String())
	}
	r.must(err)
	return logs.String()
}

// rolled waits until all pods are those that the objects now describe, and
// ready; those that are ending may still be there.
func (r *release) rolled() time.Duration {
	r.t.Helper()
	began := time.Now()
	r.eventually(rolledWithin, func(ctx context.Context) error {
		deployments, err := r.kube.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		if len(deployments.Items) != len(services) {
			return fmt.Errorf("%d deployments", len(deployments.Items))
		}
		for _, d := range deployments.Items {
			if err := deploymentRolled(d); err != nil {
				return err
			}
		}
		sets, err := r.kube.AppsV1().StatefulSets(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, s := range sets.Items {
			if s.Status.ObservedGeneration < s.Generation || s.Status.CurrentRevision != s.Status.UpdateRevision ||
				s.Status.ReadyReplicas != *s.Spec.Replicas || s.Status.UpdatedReplicas != *s.Spec.Replicas {
				return fmt.Errorf("StatefulSet %s: %+v", s.Name, s.Status)
			}
		}
		return nil
	})
	return time.Since(began)
}

func deploymentRolled(d appsv1.Deployment) error {
	want, s := *d.Spec.Replicas, d.Status
	if s.ObservedGeneration < d.Generation || s.UpdatedReplicas != want || s.AvailableReplicas != want || s.Replicas != want {
		return fmt.Errorf("Deployment %s: %d of %d ready, %d of this version", d.Name, s.AvailableReplicas, want, s.UpdatedReplicas)
	}
	return nil
}

// eventually asks until check has no complaint.
func (r *release) eventually(within time.Duration, check func(context.Context) error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), within)
	defer cancel()
	for {
		err := check(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			r.must(fmt.Errorf("after %s: %w", within, err))
		case <-time.After(pollEvery):
		}
	}
}

// pods are the pods of a service that are not ending.
func (r *release) pods(service string) []corev1.Pod {
	r.t.Helper()
	l, err := r.kube.CoreV1().Pods(namespace).List(r.t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=" + service})
	if err != nil {
		r.t.Fatal(err)
	}
	var live []corev1.Pod
	for _, p := range l.Items {
		if p.DeletionTimestamp == nil {
			live = append(live, p)
		}
	}
	return live
}

// explain logs what somebody would look at who wonders why nothing works.
func (r *release) explain() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	events, err := r.kube.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{})
	if err == nil {
		for _, e := range events.Items {
			if e.Type != corev1.EventTypeNormal {
				r.t.Logf("event: %s %s: %s", e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Message)
			}
		}
	}
	pods, err := r.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return
	}
	const lines = 25
	for _, p := range pods.Items {
		r.t.Logf("pod %s: %s, ending: %t", p.Name, p.Status.Phase, p.DeletionTimestamp != nil)
		for _, c := range p.Spec.Containers {
			tail := int64(lines)
			out, err := r.kube.CoreV1().Pods(namespace).GetLogs(p.Name, &corev1.PodLogOptions{Container: c.Name, TailLines: &tail}).DoRaw(ctx)
			r.t.Logf("log of %s: %s (%v)", p.Name, out, err)
		}
	}
}
