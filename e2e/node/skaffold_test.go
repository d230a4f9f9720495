//go:build linux && node

package node_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
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

// builtTag is the tag of what skaffold would have built.
const builtTag = "dev"

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
	r.runDevelopersPipeline(gitlab)
	t.Logf("the pipeline took %s", time.Since(began).Round(100*time.Millisecond))
	r.logsAreForPeople()
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
	const name, namespace = "gitlab", "simulated-gitlab"
	r.eventually(rolledWithin, func(ctx context.Context) error {
		d, err := r.kube.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return deploymentRolled(*d)
	})
	s, err := r.kube.CoreV1().Services(namespace).Get(r.t.Context(), name, metav1.GetOptions{})
	r.must(err)
	return simclient.New("http://"+net.JoinHostPort(s.Spec.ClusterIP, strconv.Itoa(int(s.Spec.Ports[0].Port))), nil)
}

// runDevelopersPipeline runs the pipeline that the simulator holds.
func (r *release) runDevelopersPipeline(gitlab *simclient.Client) {
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
	for name, want := range map[string]string{"deploy": "configmap/your-app created", "check": "Hello from your pipeline."} {
		if !strings.Contains(logs[name], want) {
			r.t.Errorf("the log of %s lacks %q:\n%s", name, want, logs[name])
		}
	}
	r.t.Logf("log of check:\n%s", logs["check"])
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
