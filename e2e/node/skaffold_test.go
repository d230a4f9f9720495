//go:build linux && node

package node_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"

	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/e2e/gitlabsim/development"
	"github.com/towline/towline/e2e/gitlabsim/joblog"
	"github.com/towline/towline/e2e/gitlabsim/simclient"
	"github.com/towline/towline/e2e/node"
	"github.com/towline/towline/e2e/skaffold"
)

const (
	// builtTag is the tag of what skaffold would have built.
	builtTag = "dev"
	// simulatorNamespace is where the plain manifests put the simulated GitLab.
	simulatorNamespace = "simulated-gitlab"
)

// TestSkaffold is `skaffold dev -p simulated-gitlab,debug`, as far as a cluster
// sees of it: the chart first, then the plain manifests.
func TestSkaffold(t *testing.T) {
	c, err := skaffold.Read("../..")
	if err != nil {
		t.Fatal(err)
	}
	if c, err = c.With("simulated-gitlab", "debug"); err != nil {
		t.Fatal(err)
	}
	d := c.Deploy.Helm.Releases[0]
	if d.Name != releaseName || d.Namespace != namespace {
		t.Fatalf("the release is %s in %s", d.Name, d.Namespace)
	}
	r := newRelease(t)
	r.importImages(builtTag)
	images := map[string]string{}
	for _, a := range c.Build.Artifacts {
		images[a.Image] = "docker.io/" + a.Image + ":" + builtTag
	}
	images["towline/gitlabsim"] = node.SimulatorImage
	set, err := d.Values(nil, images)
	r.must(err)
	merge(set, map[string]any{"redis": map[string]any{"embedded": map[string]any{
		"image": map[string]any{"repository": node.RedisRepository, "tag": node.RedisTag},
	}}})
	values, err := yaml.Marshal(set)
	r.must(err)
	r.createNamespace = d.CreateNamespace
	began := time.Now()
	r.install(string(values))
	r.apply(c, images)
	r.rolled()
	gitlab := r.simulator()
	t.Logf("all pods are ready %s after helm install", time.Since(began).Round(100*time.Millisecond))
	began = time.Now()
	r.runDevelopersPipeline(gitlab, "configmap/your-app created")
	t.Logf("the pipeline took %s", time.Since(began).Round(100*time.Millisecond))
	r.logsAreForPeople()
	began = time.Now()
	r.restartSimulator()
	r.answers(gitlab)
	r.runDevelopersPipeline(gitlab, "configmap/your-app unchanged")
	t.Logf("a new simulator, and its pipeline, took %s", time.Since(began).Round(100*time.Millisecond))
}

// apply is `kubectl apply` of the plain manifests.
func (r *release) apply(c *skaffold.Config, images map[string]string) {
	r.t.Helper()
	objects, err := c.Objects("../..", images)
	r.must(err)
	groups, err := restmapper.GetAPIGroupResources(r.kube.Discovery())
	r.must(err)
	kinds := restmapper.NewDiscoveryRESTMapper(groups)
	client, err := dynamic.NewForConfig(r.api)
	r.must(err)
	for _, o := range objects {
		m, err := kinds.RESTMapping(o.GroupVersionKind().GroupKind(), o.GroupVersionKind().Version)
		r.must(err)
		var to dynamic.ResourceInterface = client.Resource(m.Resource)
		if o.GetNamespace() != "" {
			to = client.Resource(m.Resource).Namespace(o.GetNamespace())
		}
		_, err = to.Apply(r.t.Context(), o.GetName(), o, metav1.ApplyOptions{FieldManager: "kubectl"})
		r.must(err)
	}
}

// simulator waits for the simulated GitLab and returns what a developer would
// have with the port forwarded.
func (r *release) simulator() *simclient.Client {
	r.t.Helper()
	const name = "gitlab"
	r.eventually(rolledWithin, func(ctx context.Context) error {
		d, err := r.kube.AppsV1().Deployments(simulatorNamespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return deploymentRolled(*d)
	})
	s, err := r.kube.CoreV1().Services(simulatorNamespace).Get(r.t.Context(), name, metav1.GetOptions{})
	r.must(err)
	gitlab := simclient.New("http://"+net.JoinHostPort(s.Spec.ClusterIP, strconv.Itoa(int(s.Spec.Ports[0].Port))), nil)
	r.answers(gitlab)
	return gitlab
}

// answers waits until the Service leads to the simulator's pod, which it does a
// moment after that is ready.
func (r *release) answers(gitlab *simclient.Client) {
	r.t.Helper()
	r.eventually(rolledWithin, func(ctx context.Context) error {
		_, err := gitlab.Info(ctx)
		return err
	})
}

// restartSimulator is what skaffold does when the simulator's sources change.
func (r *release) restartSimulator() {
	r.t.Helper()
	pods := r.kube.CoreV1().Pods(simulatorNamespace)
	before, err := pods.List(r.t.Context(), metav1.ListOptions{})
	r.must(err)
	if len(before.Items) != 1 {
		r.t.Fatalf("the simulator has %d pods", len(before.Items))
	}
	r.must(pods.Delete(r.t.Context(), before.Items[0].Name, metav1.DeleteOptions{}))
	r.eventually(rolledWithin, func(ctx context.Context) error {
		now, err := pods.List(ctx, metav1.ListOptions{})
		if err == nil && (len(now.Items) != 1 || now.Items[0].UID == before.Items[0].UID || !ready(now.Items[0])) {
			err = errors.New("the simulator's pod has no ready successor")
		}
		return err
	})
}

func ready(p corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// runDevelopersPipeline runs the pipeline that the simulator holds, whose first
// job says what it has done.
func (r *release) runDevelopersPipeline(gitlab *simclient.Client, done string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), jobWithin)
	defer cancel()
	p, err := gitlab.RunPipeline(ctx, sim.PipelineOptions{Project: development.Project})
	r.must(err)
	p, err = gitlab.WaitPipeline(ctx, p.ID)
	r.must(err)
	logs := map[string]string{}
	for _, j := range p.Jobs {
		raw, err := gitlab.Trace(ctx, j.ID)
		r.must(err)
		logs[j.Name] = joblog.Text(raw, false)
		if j.Status != sim.Success || !j.Checksum.Equal {
			r.must(fmt.Errorf("job %s is %s (%s), checksum %+v\n%s", j.Name, j.Status, j.FailureReason, j.Checksum, logs[j.Name]))
		}
	}
	for name, want := range map[string]string{"deploy": done, "check": "Hello from your pipeline."} {
		if !strings.Contains(logs[name], want) {
			r.t.Errorf("the log of %s lacks %q:\n%s", name, want, logs[name])
		}
	}
	odd, err := gitlab.Anomalies(ctx)
	r.must(err)
	for _, a := range odd {
		r.t.Errorf("GitLab: %s, job %d: %s", a.Endpoint, a.Job, a.What)
	}
}

// logsAreForPeople looks whether the profile debug is in force in every service.
func (r *release) logsAreForPeople() {
	r.t.Helper()
	debug := 0
	for _, service := range services {
		for _, p := range r.pods(service) {
			raw, err := r.kube.CoreV1().Pods(namespace).GetLogs(p.Name, &corev1.PodLogOptions{}).DoRaw(r.t.Context())
			r.must(err)
			if len(raw) == 0 {
				r.t.Errorf("%s says nothing", p.Name)
			}
			for lines := bufio.NewScanner(bytes.NewReader(raw)); lines.Scan(); {
				if strings.HasPrefix(lines.Text(), "{") || !strings.Contains(lines.Text(), "level=") {
					r.t.Errorf("%s does not log as text: %s", p.Name, lines.Text())
					break
				}
				if strings.Contains(lines.Text(), "level=DEBUG") {
					debug++
				}
			}
		}
	}
	if debug == 0 {
		r.t.Error("no service logs at the level debug")
	}
}
