package chart

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// A Deployment's selector can never be changed: an upgrade that tries fails.
func TestSelectorsStayTheSameOverVersions(t *testing.T) {
	eachCombination(t, func(t *testing.T, r rendered) {
		for _, s := range services {
			d := deployment(t, r, s)
			want := map[string]string{"app.kubernetes.io/name": "towline", "app.kubernetes.io/instance": release, "app.kubernetes.io/component": s}
			if diff := cmp.Diff(want, d.Spec.Selector.MatchLabels); diff != "" {
				t.Errorf("%s selects otherwise (-want +got):\n%s", s, diff)
			}
			if !labels.SelectorFromSet(want).Matches(labels.Set(d.Spec.Template.Labels)) {
				t.Errorf("%s: the selector does not find the pods: %v", s, d.Spec.Template.Labels)
			}
		}
	})
}

func TestPodsDoNotRestartForAnotherChartVersion(t *testing.T) {
	c := load(t)
	all, err := chartutil.ToRenderValues(c, values(t, minimal+"---\nimage: {tag: v1}\n"), chartutil.ReleaseOptions{Name: release, Namespace: "towline"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	templates := func(version string) map[string]corev1.PodTemplateSpec {
		c.Metadata.Version, c.Metadata.AppVersion = version, version
		files, err := engine.Render(c, all)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]corev1.PodTemplateSpec{}
		for _, s := range services {
			for _, o := range decode(t, s, files["towline/templates/"+s+".yaml"]) {
				if o.GetKind() == "Deployment" {
					out[s] = as[appsv1.Deployment](t, o).Spec.Template
				}
			}
		}
		return out
	}
	if diff := cmp.Diff(templates("1.0.0"), templates("2.0.0+build")); diff != "" {
		t.Error(diff)
	}
}

func TestPodLabelsCannotBreakTheSelector(t *testing.T) {
	r := render(t, minimal+"---\nrunner: {podLabels: {app.kubernetes.io/component: x, team: platform}}\n")
	got := deployment(t, r, "runner").Spec.Template.Labels
	if got["app.kubernetes.io/component"] != "runner" || got["team"] != "platform" {
		t.Errorf("labels: %v", got)
	}
}

// Every name that an object uses for another is one that exists.
func TestReferencesLeadSomewhere(t *testing.T) {
	brought := []string{"gitlab-runner", "redis", "company-ca", "gitlab", "keys"}
	eachCombination(t, func(t *testing.T, r rendered) {
		for _, s := range services {
			pod := deployment(t, r, s).Spec.Template.Spec
			if account := "ServiceAccount/" + pod.ServiceAccountName; !r.has(account) {
				t.Errorf("%s: no %s", s, account)
			}
			for _, ref := range references(pod) {
				if _, name, _ := strings.Cut(ref, "/"); !r.has(ref) && !slices.Contains(brought, name) {
					t.Errorf("%s uses the %s, which neither is rendered nor was given", s, ref)
				}
			}
		}
		for _, o := range r.objects {
			if o.GetKind() == "Service" {
				checkService(t, r, as[corev1.Service](t, o))
			}
			if o.GetKind() == "NetworkPolicy" {
				checkNetworkPolicy(t, r, as[networkingv1.NetworkPolicy](t, o))
			}
		}
	})
}

// references are the Secrets and ConfigMaps a pod needs.
func references(pod corev1.PodSpec) []string {
	var refs []string
	for _, v := range pod.Volumes {
		if v.Secret != nil {
			refs = append(refs, "Secret/"+v.Secret.SecretName)
		}
		if v.ConfigMap != nil {
			refs = append(refs, "ConfigMap/"+v.ConfigMap.Name)
		}
	}
	for _, e := range pod.Containers[0].Env {
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
			refs = append(refs, "Secret/"+e.ValueFrom.SecretKeyRef.Name)
		}
	}
	return refs
}

// selected returns the one service whose pods have these labels.
func selected(t *testing.T, r rendered, by map[string]string) *appsv1.Deployment {
	t.Helper()
	for _, s := range services {
		if d := deployment(t, r, s); labels.SelectorFromSet(by).Matches(labels.Set(d.Spec.Template.Labels)) {
			return d
		}
	}
	t.Fatalf("no pods have the labels %v", by)
	return nil
}

func hasPort(d *appsv1.Deployment, name string) bool {
	return slices.ContainsFunc(d.Spec.Template.Spec.Containers[0].Ports, func(p corev1.ContainerPort) bool { return p.Name == name })
}

func checkService(t *testing.T, r rendered, s *corev1.Service) {
	t.Helper()
	d := selected(t, r, s.Spec.Selector)
	for _, p := range s.Spec.Ports {
		if !hasPort(d, p.TargetPort.StrVal) {
			t.Errorf("Service %s: %s has no port %s", s.Name, d.Name, p.TargetPort.StrVal)
		}
	}
}

func checkNetworkPolicy(t *testing.T, r rendered, p *networkingv1.NetworkPolicy) {
	t.Helper()
	own := selected(t, r, p.Spec.PodSelector.MatchLabels)
	if len(p.Spec.PolicyTypes) != 2 {
		t.Errorf("NetworkPolicy %s covers %v only", p.Name, p.Spec.PolicyTypes)
	}
	for _, in := range p.Spec.Ingress {
		for _, from := range in.From {
			selected(t, r, from.PodSelector.MatchLabels)
		}
		checkPorts(t, p, own, in.Ports)
	}
	for _, out := range p.Spec.Egress {
		for _, to := range out.To {
			if to.PodSelector != nil {
				checkPorts(t, p, selected(t, r, to.PodSelector.MatchLabels), out.Ports)
			}
		}
	}
}

func checkPorts(t *testing.T, p *networkingv1.NetworkPolicy, d *appsv1.Deployment, ports []networkingv1.NetworkPolicyPort) {
	t.Helper()
	if len(ports) == 0 {
		t.Errorf("NetworkPolicy %s allows every port of %s", p.Name, d.Name)
	}
	for _, port := range ports {
		if port.Port.Type == intstr.String && !hasPort(d, port.Port.StrVal) {
			t.Errorf("NetworkPolicy %s: %s has no port %s", p.Name, d.Name, port.Port.StrVal)
		}
	}
}

// imageToolbox is a folder of the runner's image.
const imageToolbox = "/opt/towline/toolbox"

// A file that an option names is one that a volume brings, and the ports that
// options name are the ones that are declared.
func TestOptionsAndPodsAgree(t *testing.T) {
	eachCombination(t, func(t *testing.T, r rendered) {
		for _, s := range services {
			c := deployment(t, r, s).Spec.Template.Spec.Containers[0]
			for _, arg := range c.Args {
				name, value, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
				for _, file := range strings.Split(value, ":") {
					mounted := func(m corev1.VolumeMount) bool { return file == m.MountPath || path.Dir(file) == m.MountPath }
					if strings.HasPrefix(value, "/") && file != imageToolbox && !slices.ContainsFunc(c.VolumeMounts, mounted) {
						t.Errorf("%s: nothing is mounted for %s", s, arg)
					}
				}
				if strings.HasSuffix(name, "listen") && !slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool {
					return value == fmt.Sprint(":", p.ContainerPort)
				}) {
					t.Errorf("%s: no port is declared for %s", s, arg)
				}
			}
		}
	})
}

func TestImages(t *testing.T) {
	tests := map[string]map[string]string{
		"minimal": {"tunnel": "towline/tunnel:0.1.0", "policy": "towline/policy:0.1.0", "runner": "towline/runner:0.1.0"},
		"everything brought along": {
			"tunnel": "registry.example.com:5000/mirror/towline/tunnel:v9@sha256:" + someDigest,
			"policy": "registry.example.com:5000/mirror/towline/policy:v9",
			"runner": "example.com/runner:dev",
		},
	}
	for name, want := range tests {
		r := render(t, combinations[name])
		got := map[string]string{}
		for _, s := range services {
			got[s] = deployment(t, r, s).Spec.Template.Spec.Containers[0].Image
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Two releases must not meet: not in one namespace, not in the cluster.
func TestReleasesKeepApart(t *testing.T) {
	ids := func(release, namespace string) map[string]bool {
		r, err := renderFor(t, target{release: release, namespace: namespace}, minimal+"---\naccess: {agentServiceAccount: {create: true}}\n")
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]bool{}
		for _, o := range r.objects {
			out[o.GetNamespace()+"/"+id(o)] = true
		}
		return out
	}
	first := ids("towline", "towline")
	for _, other := range []map[string]bool{ids("blue", "towline"), ids("towline", "other"), ids(strings.Repeat("a", 53), "towline")} {
		for _, o := range slices.Sorted(maps.Keys(other)) {
			if first[o] {
				t.Errorf("%s belongs to both", o)
			}
		}
	}
}

func TestEveryObjectIsLabelled(t *testing.T) {
	eachCombination(t, func(t *testing.T, r rendered) {
		for _, o := range r.objects {
			if l := o.GetLabels(); l["app.kubernetes.io/managed-by"] != "Helm" || l["helm.sh/chart"] == "" || l["app.kubernetes.io/version"] == "" {
				t.Errorf("%s has the labels %v", id(o), l)
			}
			if !clusterWide(o) && o.GetNamespace() != "towline" {
				t.Errorf("%s is in the namespace %q", id(o), o.GetNamespace())
			}
		}
	})
}

func clusterWide(o *unstructured.Unstructured) bool { return strings.HasPrefix(o.GetKind(), "Cluster") }
