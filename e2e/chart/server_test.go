package chart

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"github.com/towline/towline/e2e/cluster"
)

// warnings collects what the API server says beside its answers.
type warnings struct {
	mu   sync.Mutex
	said []string
}

// HandleWarningHeader implements rest.WarningHandler.
func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, text)
}

func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	said := w.said
	w.said = nil
	return said
}

// server is a namespace with Pod Security "restricted" of a real API server.
type server struct {
	namespace string
	api       *rest.Config
	kube      kubernetes.Interface
	objects   dynamic.Interface
	kinds     *restmapper.DeferredDiscoveryRESTMapper
	warnings  *warnings
}

func newServer(t *testing.T) *server {
	t.Helper()
	c := cluster.Shared(t)
	s := &server{namespace: c.Namespace(t), warnings: &warnings{}}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	s.api, err = c.RESTConfig()
	must(err)
	s.api.WarningHandler = s.warnings
	s.kube, err = kubernetes.NewForConfig(s.api)
	must(err)
	s.objects, err = dynamic.NewForConfig(s.api)
	must(err)
	s.kinds = restmapper.NewDeferredDiscoveryRESTMapper(memory{s.kube.Discovery()})
	_, err = s.kube.CoreV1().Namespaces().Patch(t.Context(), s.namespace, types.MergePatchType, []byte(`{"metadata":{"labels":{
		"pod-security.kubernetes.io/enforce":"restricted","pod-security.kubernetes.io/warn":"restricted"}}}`), metav1.PatchOptions{})
	must(err)
	s.waitForPodSecurity(t)
	return s
}

// waitForPodSecurity returns when an ordinary pod is refused: admission sees a
// namespace's labels a moment late, and until then it would accept anything.
func (s *server) waitForPodSecurity(t *testing.T) {
	t.Helper()
	const within, every = time.Minute, 20 * time.Millisecond
	ordinary := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "ordinary"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "x", Image: "x"}}}}
	err := wait.PollUntilContextTimeout(t.Context(), every, within, true, func(ctx context.Context) (bool, error) {
		_, err := s.kube.CoreV1().Pods(s.namespace).Create(ctx, ordinary, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil {
			return false, nil
		}
		if !strings.Contains(err.Error(), `violates PodSecurity "restricted`) {
			return false, err
		}
		return true, nil
	})
	if err != nil {
		t.Fatalf("Pod Security does not refuse an ordinary pod: %v", err)
	}
	s.warnings.take()
}

// render renders for this server, whose answers lookup gets.
func (s *server) render(t *testing.T, documents string) rendered {
	t.Helper()
	r, err := renderFor(t, target{release: release, namespace: s.namespace, api: s.api}, documents)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// create sends an object as Helm would, but strictly; dry leaves no trace.
func (s *server) create(ctx context.Context, o *unstructured.Unstructured, dry bool) error {
	kind := o.GroupVersionKind()
	m, err := s.kinds.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return err
	}
	opts := metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict}
	if dry {
		opts.DryRun = []string{metav1.DryRunAll}
	}
	if clusterWide(o) {
		_, err = s.objects.Resource(m.Resource).Create(ctx, o, opts)
	} else {
		_, err = s.objects.Resource(m.Resource).Namespace(o.GetNamespace()).Create(ctx, o, opts)
	}
	return err
}

func TestServerAcceptsEveryObject(t *testing.T) {
	s := newServer(t)
	s.defineForeign(t)
	foreign := map[string]int{}
	// Pods are refused without their ServiceAccount, so these are really made.
	for _, o := range s.render(t, minimal).objects {
		if o.GetKind() == "ServiceAccount" {
			if err := s.create(t.Context(), o, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, documents := range combinations {
		t.Run(name, func(t *testing.T) {
			r := s.render(t, documents)
			for _, o := range r.objects {
				if o.GetKind() == "ServiceAccount" {
					continue
				}
				if isForeign(o) {
					foreign[o.GetKind()]++
					s.refusesTypo(t, o)
				}
				if o.GetNamespace() != "" { // rights are made where jobs act, which is nowhere here
					o.SetNamespace(s.namespace)
				}
				if err := s.create(t.Context(), o, true); err != nil {
					t.Errorf("%s: %v", id(o), err)
				}
				if said := s.warnings.take(); len(said) > 0 {
					t.Errorf("%s: the server warns: %s", id(o), strings.Join(said, "; "))
				}
			}
			for component, template := range pods(t, r) {
				s.checkPod(t, component, template)
			}
		})
	}
	for _, kind := range []string{"PodMonitor", "ServiceMonitor", "PrometheusRule", "ScaledObject", "TriggerAuthentication", "Certificate", "Issuer"} {
		if foreign[kind] == 0 {
			t.Errorf("no combination makes a %s", kind)
		}
	}
}

// refusesTypo shows that the server knows what an object of this kind may hold.
func (s *server) refusesTypo(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	o = o.DeepCopy()
	o.SetNamespace(s.namespace)
	if err := unstructured.SetNestedField(o.Object, "x", "spec", "misspelt"); err != nil {
		t.Fatal(err)
	}
	if err := s.create(t.Context(), o, true); err == nil || !strings.Contains(err.Error(), `unknown field "spec.misspelt"`) {
		t.Errorf("%s: a misspelt field is accepted: %v", id(o), err)
	}
}

// isForeign says whether an object's kind is one of another project's.
func isForeign(o *unstructured.Unstructured) bool {
	return slices.Contains([]string{"monitoring.coreos.com/v1", "keda.sh/v1alpha1", "cert-manager.io/v1"}, o.GetAPIVersion())
}

// checkPod shows a pod to the admission that its Deployment does not meet.
func (s *server) checkPod(t *testing.T, service string, template corev1.PodTemplateSpec) {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.Name, pod.Namespace, pod.GenerateName = "", s.namespace, release+"-"+service+"-"
	made, err := s.kube.CoreV1().Pods(s.namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		t.Errorf("a pod of %s: %v", service, err)
		return
	}
	if said := s.warnings.take(); len(said) > 0 {
		t.Errorf("a pod of %s: the server warns: %s", service, strings.Join(said, "; "))
	}
	var token bool
	for _, v := range made.Spec.Volumes {
		token = token || strings.HasPrefix(v.Name, "kube-api-access")
	}
	if want := service != "tunnel" && service != "redis"; token != want {
		t.Errorf("a pod of %s gets a token for the Kubernetes API: %t, want %t", service, token, want)
	}
}

func TestKeysAreKeptOverUpgrades(t *testing.T) {
	s := newServer(t)
	keys := func(r rendered) map[string]map[string][]byte {
		out := map[string]map[string][]byte{}
		for _, name := range []string{"towline-seal", "towline-signing"} {
			out[name] = find[corev1.Secret](t, r, "Secret/"+name).Data
		}
		return out
	}
	first := s.render(t, minimal)
	if cmp.Equal(keys(first), keys(s.render(t, minimal))) {
		t.Fatal("keys are the same before anything is installed: are they made at all?")
	}
	for _, o := range first.objects {
		if o.GetKind() == "Secret" {
			if err := s.create(t.Context(), o, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !cmp.Equal(keys(first), keys(s.render(t, minimal+"---\njobs: {concurrent: 3}\n"))) {
		t.Error("an upgrade makes other keys")
	}
}

// With a cluster to ask, policy and runner reach the API server and nothing
// beside it.
func TestAddressesOfTheAPIServerAreLookedUp(t *testing.T) {
	s := newServer(t)
	slice := s.apiServerSlice(t)
	svc, err := s.kube.CoreV1().Services("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, e := range slice.Endpoints {
		want = append(want, e.Addresses[0]+"/32")
	}
	for _, ip := range svc.Spec.ClusterIPs {
		want = append(want, ip+"/32")
	}
	ports := fmt.Sprint(" at 443 6443 ", *slice.Ports[0].Port)
	r := s.render(t, minimal)
	if diff := cmp.Diff([]string{strings.Join(want, " ") + ports}, exits(t, r, "policy")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if out := exits(t, r, "runner"); !slices.Contains(out, strings.Join(want, " ")+ports) {
		t.Errorf("the runner may connect to %v", out)
	}
}

// apiServerSlice is where the API server says it is. One that runs beside the
// cluster says nothing; then the test speaks for it.
func (s *server) apiServerSlice(t *testing.T) *discoveryv1.EndpointSlice {
	t.Helper()
	api := s.kube.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault)
	got, err := api.Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err == nil {
		return got
	}
	port, name := int32(9443), "https"
	got, err = api.Create(t.Context(), &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: "kubernetes"}, AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.10"}}, {Addresses: []string{"192.0.2.11"}}},
		Ports:     []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := api.Delete(context.Background(), "kubernetes", metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	return got
}

// A claim that all runners can have is nothing to warn of.
func TestNotesKnowTheClaimOfCaches(t *testing.T) {
	s := newServer(t)
	for mode, warned := range map[corev1.PersistentVolumeAccessMode]bool{corev1.ReadWriteOnce: true, corev1.ReadWriteMany: false} {
		name := strings.ToLower(string(mode))
		claim := &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{mode},
				Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
			},
		}
		if _, err := s.kube.CoreV1().PersistentVolumeClaims(s.namespace).Create(t.Context(), claim, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		notes := s.render(t, minimal+"---\nrunner: {cache: {volume: {persistentVolumeClaim: {claimName: "+name+"}}}}\n").notes
		if got := strings.Contains(notes, "several runners share the caches"); got != warned {
			t.Errorf("%s: warned %t, want %t", mode, got, warned)
		}
	}
}

// memory is discovery without a cache on disk.
type memory struct{ discovery.DiscoveryInterface }

// Fresh implements discovery.CachedDiscoveryInterface.
func (memory) Fresh() bool { return true }

// Invalidate implements discovery.CachedDiscoveryInterface.
func (memory) Invalidate() {}
