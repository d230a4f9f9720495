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
			want := map[string]string{"app.kubernetes.io/name": d.Labels["app.kubernetes.io/name"], "app.kubernetes.io/instance": release, "app.kubernetes.io/component": s}
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
	c, metadata := *loaded(), *loaded().Metadata
	c.Metadata = &metadata
	all, err := chartutil.ToRenderValues(&c, values(t, minimal+"---\nimage: {tag: v1}\n"), chartutil.ReleaseOptions{Name: release, Namespace: "towline"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	templates := func(version string) map[string]corev1.PodTemplateSpec {
		metadata.Version, metadata.AppVersion = version, version
		files, err := engine.Render(&c, all)
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

// brought are the names of what people bring along.
var brought = []string{
	"gitlab-runner", "redis", "company-ca", "gitlab", "gitlab-acme", "keys", "proxy", "redis-passwords", "policy-tls", "tunnel-tls", "redis-tls",
	"tools", "caches", "certs", "more", "audit", "store", "gitlab-config",
}

// Every name that an object uses for another is one that exists.
func TestReferencesLeadSomewhere(t *testing.T) {
	eachCombination(t, func(t *testing.T, r rendered) {
		issued := certificates(r)
		for component, pod := range pods(t, r) {
			if account := "ServiceAccount/" + pod.Spec.ServiceAccountName; component != "redis" && !r.has(account) {
				t.Errorf("%s: no %s", component, account)
			}
			for _, ref := range references(pod.Spec) {
				if _, name, _ := strings.Cut(ref, "/"); !r.has(ref) && !slices.Contains(brought, name) && !slices.Contains(issued, name) {
					t.Errorf("%s uses the %s, which neither is rendered nor was given", component, ref)
				}
			}
		}
		for _, o := range r.objects {
			switch o.GetKind() {
			case "Service":
				checkService(t, r, as[corev1.Service](t, o))
			case "NetworkPolicy":
				checkNetworkPolicy(t, r, as[networkingv1.NetworkPolicy](t, o))
			}
		}
	})
}

// certificates are the Secrets that cert-manager is asked for.
func certificates(r rendered) []string {
	var names []string
	for _, o := range r.objects {
		if o.GetKind() == "Certificate" {
			name, _, _ := unstructured.NestedString(o.Object, "spec", "secretName")
			names = append(names, name)
		}
	}
	return names
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
		if v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			if s.Secret != nil {
				refs = append(refs, "Secret/"+s.Secret.Name)
			}
			if s.ConfigMap != nil {
				refs = append(refs, "ConfigMap/"+s.ConfigMap.Name)
			}
		}
	}
	for _, e := range pod.Containers[0].Env {
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
			refs = append(refs, "Secret/"+e.ValueFrom.SecretKeyRef.Name)
		}
	}
	return refs
}

// selected returns the component whose pods have these labels.
func selected(t *testing.T, r rendered, by map[string]string) corev1.PodTemplateSpec {
	t.Helper()
	for _, p := range pods(t, r) {
		if labels.SelectorFromSet(by).Matches(labels.Set(p.Labels)) {
			return p
		}
	}
	t.Fatalf("no pods have the labels %v", by)
	return corev1.PodTemplateSpec{}
}

func hasPort(p corev1.PodTemplateSpec, name string) bool {
	return slices.ContainsFunc(p.Spec.Containers[0].Ports, func(p corev1.ContainerPort) bool { return p.Name == name })
}

func component(p corev1.PodTemplateSpec) string { return p.Labels["app.kubernetes.io/component"] }

func checkService(t *testing.T, r rendered, s *corev1.Service) {
	t.Helper()
	p := selected(t, r, s.Spec.Selector)
	for _, port := range s.Spec.Ports {
		if !hasPort(p, port.TargetPort.StrVal) {
			t.Errorf("Service %s: %s has no port %s", s.Name, component(p), port.TargetPort.StrVal)
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
		if len(in.From) == 0 {
			t.Errorf("NetworkPolicy %s lets everybody in", p.Name)
		}
		for _, from := range in.From {
			if from.NamespaceSelector == nil {
				selected(t, r, from.PodSelector.MatchLabels)
			}
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

func checkPorts(t *testing.T, p *networkingv1.NetworkPolicy, to corev1.PodTemplateSpec, ports []networkingv1.NetworkPolicyPort) {
	t.Helper()
	if len(ports) == 0 {
		t.Errorf("NetworkPolicy %s allows every port of %s", p.Name, component(to))
	}
	for _, port := range ports {
		if port.Port.Type == intstr.String && !hasPort(to, port.Port.StrVal) {
			t.Errorf("NetworkPolicy %s: %s has no port %s", p.Name, component(to), port.Port.StrVal)
		}
	}
}

// imageToolbox is a folder of the runner's image.
const imageToolbox = "/opt/towline/toolbox"

// A file that an option names is one that a volume brings, and the ports that
// options name are the ones that are declared.
func TestOptionsAndPodsAgree(t *testing.T) {
	eachCombination(t, func(t *testing.T, r rendered) {
		for s, pod := range pods(t, r) {
			c := pod.Spec.Containers[0]
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

// Kubernetes makes labels and host names of names, none of which may be longer
// than 63 characters; a StatefulSet's get 11 of its own behind them.
func TestNamesLeaveRoomForWhatKubernetesAdds(t *testing.T) {
	const longest, revision = 63, 11
	names := []string{strings.Repeat("a", 53), strings.Repeat("b", 36) + "-towline-" + strings.Repeat("c", 8)}
	for _, name := range names {
		r, err := renderFor(t, target{release: name, namespace: "towline"}, combinations["minimal"])
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range r.objects {
			room := longest
			if o.GetKind() == "StatefulSet" {
				room -= revision
			}
			if slices.Contains([]string{"Deployment", "StatefulSet", "Service", "Pod"}, o.GetKind()) && len(o.GetName()) > room {
				t.Errorf("%s has %d characters, more than %d", id(o), len(o.GetName()), room)
			}
		}
	}
	if _, err := renderFor(t, target{release: release, namespace: "towline"}, minimal+"---\nfullnameOverride: "+strings.Repeat("a", 47)+"\n"); err == nil {
		t.Error("fullnameOverride may be longer than that")
	}
}

// Helm refuses to install what has an object twice.
func TestNoObjectIsRenderedTwice(t *testing.T) {
	eachCombination(t, func(t *testing.T, r rendered) {
		seen := map[string]bool{}
		for _, o := range r.objects {
			name := o.GetNamespace() + "/" + id(o)
			if seen[name] {
				t.Errorf("%s is there twice", name)
			}
			seen[name] = true
		}
	})
}

func TestEveryObjectIsLabelled(t *testing.T) {
	eachCombination(t, func(t *testing.T, r rendered) {
		for _, o := range r.objects {
			if o.GetKind() == "List" || o.GetName() == release+"-more" {
				continue
			}
			if l := o.GetLabels(); l["app.kubernetes.io/managed-by"] != "Helm" || l["helm.sh/chart"] == "" || l["app.kubernetes.io/version"] == "" {
				t.Errorf("%s has the labels %v", id(o), l)
			}
			// Rights are where jobs act.
			if rights := o.GetKind() == "RoleBinding" || o.GetKind() == "Role"; !clusterWide(o) && !rights && o.GetNamespace() != "towline" {
				t.Errorf("%s is in the namespace %q", id(o), o.GetNamespace())
			}
		}
	})
}

func clusterWide(o *unstructured.Unstructured) bool {
	return strings.HasPrefix(o.GetKind(), "Cluster") || o.GetKind() == "Namespace"
}
