//go:build integration

package apply_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/towline/towline/pkg/eventually"
	"github.com/towline/towline/services/runner/internal/apply"
)

// eventually polls until check holds; controllers work at their own pace.
func (s *site) eventually(what string, check func(context.Context) bool) {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(s.tb.Context(), eventually.Within)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !check(ctx) {
		select {
		case <-ctx.Done():
			s.tb.Fatalf("%s: not in time", what)
		case <-tick.C:
		}
	}
}

func (s *site) replicaSets(ctx context.Context) []appsv1.ReplicaSet {
	list, err := s.client.AppsV1().ReplicaSets(s.namespace).List(ctx, metav1.ListOptions{})
	s.must(err)
	return list.Items
}

// collected waits until the garbage collector, which learns of ReplicaSets in
// their order, knows those that are there: else it cannot keep to a propagation.
func (s *site) collected() {
	s.tb.Helper()
	canary := s.replicaSets(s.tb.Context())[0].DeepCopy()
	canary.ObjectMeta = metav1.ObjectMeta{
		Name:            "canary",
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: "gone", UID: types.UID("gone-" + s.namespace)}},
	}
	labels := map[string]string{"app": "canary"} // or the Deployment would adopt it
	canary.Spec.Selector, canary.Spec.Template.Labels = &metav1.LabelSelector{MatchLabels: labels}, labels
	_, err := s.client.AppsV1().ReplicaSets(s.namespace).Create(s.tb.Context(), canary, metav1.CreateOptions{})
	s.must(err)
	s.eventually("an orphan is collected", func(ctx context.Context) bool {
		_, err := s.client.AppsV1().ReplicaSets(s.namespace).Get(ctx, "canary", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}

func TestPropagation(t *testing.T) {
	for _, policy := range []metav1.DeletionPropagation{metav1.DeletePropagationForeground, metav1.DeletePropagationBackground, metav1.DeletePropagationOrphan} {
		t.Run(string(policy), func(t *testing.T) {
			s := open(t)
			s.options.Prune.Propagation = policy
			s.sync(map[string]string{"web.yaml": deployment("web", "")})
			s.eventually("ReplicaSet", func(ctx context.Context) bool { return len(s.replicaSets(ctx)) == 1 })
			s.collected()
			s.expect(s.sync(nil), "1 pruned")
			if _, err := s.client.AppsV1().Deployments(s.namespace).Get(t.Context(), "web", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				t.Errorf("the Deployment: %v", err)
			}
			switch policy {
			case metav1.DeletePropagationForeground:
				if n := len(s.replicaSets(t.Context())); n != 0 {
					t.Errorf("%d ReplicaSets are there although it was waited for them", n)
				}
			case metav1.DeletePropagationBackground:
				s.eventually("no ReplicaSet", func(ctx context.Context) bool { return len(s.replicaSets(ctx)) == 0 })
			case metav1.DeletePropagationOrphan:
				if left := s.replicaSets(t.Context()); len(left) != 1 || len(left[0].OwnerReferences) != 0 {
					t.Errorf("ReplicaSets: %v, want one without an owner", left)
				}
			}
		})
	}
}

// TestFailedDeletionIsTrackedOn: an object that cannot go stays in the inventory
// and is deleted by a later run.
func TestFailedDeletionIsTrackedOn(t *testing.T) {
	s := open(t)
	s.options.Prune.Timeout = 4 * time.Second
	s.options.Workers = 1
	s.sync(map[string]string{"a.yaml": configMap("a", "one"), "b.yaml": configMap("b", "one")})
	s.patch("configmaps", "a", `{"metadata":{"finalizers":["example.com/wait"]}}`, types.MergePatchType)
	for _, want := range []string{"1 pruned, 1 failed", "1 failed"} { // b does not wait for a
		rep := s.apply(s.read(nil))
		s.expect(rep, want)
		if r := rep.Results[0]; r.Reason != apply.ReasonTerminating || !strings.Contains(r.Message, "example.com/wait") {
			t.Errorf("%s", r.Line())
		}
	}
	// It comes back into the set while it goes: said, not hidden.
	rep := s.apply(s.read(map[string]string{"a.yaml": configMap("a", "one")}))
	if r := rep.Results[0]; r.Action != apply.Failed || r.Reason != apply.ReasonTerminating {
		t.Errorf("%s", r.Line())
	}
	s.patch("configmaps", "a", `{"metadata":{"finalizers":null}}`, types.MergePatchType)
	s.expect(s.sync(map[string]string{"a.yaml": configMap("a", "one")}), "1 created")
	s.expect(s.sync(nil), "1 pruned")
}

// TestDeletionsThatAreNotWaitedFor: they are tracked until they are done.
func TestDeletionsThatAreNotWaitedFor(t *testing.T) {
	s := open(t)
	s.options.Prune = apply.Prune{Propagation: metav1.DeletePropagationBackground}
	s.sync(map[string]string{"a.yaml": configMap("a", "one"), "b.yaml": configMap("b", "one")})
	s.patch("configmaps", "a", `{"metadata":{"finalizers":["example.com/wait"]}}`, types.MergePatchType)
	for _, want := range []string{"2 pruned", "1 kept"} {
		rep := s.sync(nil)
		s.expect(rep, want)
		if r := rep.Results[0]; !strings.Contains(r.Message, "example.com/wait") {
			t.Errorf("%s", r.Line())
		}
	}
	s.patch("configmaps", "a", `{"metadata":{"finalizers":null}}`, types.MergePatchType)
	s.expect(s.sync(nil), "1 pruned")
	s.expect(s.sync(nil), "")
}

func TestPruneOff(t *testing.T) {
	s := open(t)
	s.sync(map[string]string{"a.yaml": configMap("a", "one")})
	s.options.Prune.Off = true
	rep := s.apply(s.read(nil))
	s.expect(rep, "1 skipped")
	s.options.Prune.Off = false
	s.expect(s.sync(nil), "1 pruned")
}

// TestNothingIsDeletedBlindly: a file that cannot be read may be the one that
// holds what seems to have left.
func TestNothingIsDeletedBlindly(t *testing.T) {
	s := open(t)
	s.options.Invalid = apply.InvalidSkips
	s.sync(map[string]string{"a.yaml": configMap("a", "one"), "b.yaml": configMap("b", "one")})
	rep := s.apply(s.read(map[string]string{"a.yaml": configMap("a", "two"), "b.yaml": "kind: [\n"}))
	s.expect(rep, "1 configured, 1 skipped")
	if s.value("b") != "one" {
		t.Error("b was deleted")
	}
	// A faulty object that is known stays, too, and others go.
	s.sync(map[string]string{"a.yaml": configMap("a", "two"), "b.yaml": configMap("b", "one")})
	rep = s.apply(s.read(map[string]string{"b.yaml": strings.Replace(configMap("b", "one"), "{name: b}", "{name: b, annotations: {config.kubernetes.io/depends-on: nonsense}}", 1)}))
	s.expect(rep, "1 pruned")
	if s.value("b") != "one" || s.value("a") != "gone" {
		t.Errorf("a %s, b %s", s.value("a"), s.value("b"))
	}
}

// TestPruneAfterHealthy: the old version goes once the new one works.
func TestPruneAfterHealthy(t *testing.T) {
	s := open(t)
	s.options.Prune.AfterHealthy = true
	s.options.Health = apply.Health{Timeout: 20 * time.Second}
	s.sync(map[string]string{"old.yaml": deployment("old", "")})
	s.options.Health.Timeout = time.Second
	broken := strings.Replace(deployment("new", ""), "replicas: 0", "replicas: 1", 1) // there are no nodes
	rep := s.apply(s.read(map[string]string{"new.yaml": broken}))
	s.expect(rep, "1 created, 1 skipped")
	if r := rep.Results[0]; r.Reason != apply.ReasonUnhealthy || rep.Err() == nil {
		t.Errorf("%s", r.Line())
	}
	s.options.Health = apply.Health{Timeout: 20 * time.Second}
	s.expect(s.sync(map[string]string{"new.yaml": deployment("new", "")}), "1 configured, 1 pruned")
}

// TestNamespaceStuck: a namespace that does not go is waited for, tracked on,
// and said why; what is to be applied in it says so, too.
func TestNamespaceStuck(t *testing.T) {
	s := open(t)
	s.options.Prune.Timeout = 2 * time.Second
	name := s.namespace + "-stuck"
	space := "apiVersion: v1\nkind: Namespace\nmetadata: {name: NS-stuck}\n"
	inside := strings.Replace(configMap("inside", "one"), "{name: inside}", "{name: inside, namespace: NS-stuck}", 1)
	s.expect(s.sync(map[string]string{"ns.yaml": space, "in.yaml": inside}), "2 created")
	_, err := s.client.CoreV1().ConfigMaps(name).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "stuck", Finalizers: []string{"example.com/wait"}}}, metav1.CreateOptions{})
	s.must(err)
	t.Cleanup(func() {
		_, _ = s.client.CoreV1().ConfigMaps(name).Patch(context.Background(), "stuck", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	})
	rep := s.apply(s.read(nil))
	s.expect(rep, "1 pruned, 1 failed")
	rep = s.apply(s.read(map[string]string{"in.yaml": inside}))
	r := rep.Results[0]
	if r.Action != apply.Failed || r.Reason != apply.ReasonTerminating || !strings.Contains(r.Message, "namespace "+name+" is being deleted") {
		t.Errorf("%s", r.Line())
	}
	_, err = s.client.CoreV1().ConfigMaps(name).Patch(t.Context(), "stuck", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	s.must(err)
	s.options.Prune.Timeout = 2 * time.Minute
	rep = s.apply(s.read(nil))
	s.must(rep.Err())
}

// TestNamespaceInUseStays: a namespace that has left the set stays while objects
// of the set, or the inventory, are in it.
func TestNamespaceInUseStays(t *testing.T) {
	s := open(t)
	space := "apiVersion: v1\nkind: Namespace\nmetadata: {name: NS-used}\n"
	inside := strings.Replace(configMap("inside", "one"), "{name: inside}", "{name: inside, namespace: NS-used}", 1)
	s.sync(map[string]string{"ns.yaml": space, "in.yaml": inside})
	rep := s.sync(map[string]string{"in.yaml": inside})
	s.expect(rep, "1 unchanged, 1 kept")
	s.expect(s.sync(nil), "2 pruned")
}

// definition is a CustomResourceDefinition of a kind in namespaces, whose spec
// has the given fields of text.
func definition(kind, plural string, fields ...string) string {
	text := "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: " + plural + ".example.com}\nspec:\n  group: example.com\n  scope: Namespaced\n" +
		"  names: {kind: " + kind + ", plural: " + plural + "}\n  versions:\n  - name: v1\n    served: true\n    storage: true\n    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {"
	for i, f := range fields {
		if i > 0 {
			text += ", "
		}
		text += f + ": {type: string}"
	}
	return text + "}}}}}\n"
}

// TestWhatStaysKeepsItsPlace: a namespace or a definition does not take with it
// what is reported as kept, now or in a later run.
func TestWhatStaysKeepsItsPlace(t *testing.T) {
	s := open(t)
	s.options.Prune.Propagation = metav1.DeletePropagationBackground
	const keep = "annotations: {cli-utils.sigs.k8s.io/on-remove: keep}"
	files := map[string]string{
		"ns.yaml":    "apiVersion: v1\nkind: Namespace\nmetadata: {name: NS-kept}\n",
		"in.yaml":    strings.Replace(configMap("inside", "one"), "{name: inside}", "{name: inside, namespace: NS-kept, "+keep+"}", 1),
		"crd.yaml":   definition("Vault", "vaults", "path"),
		"vault.yaml": "apiVersion: example.com/v1\nkind: Vault\nmetadata: {name: kept, " + keep + "}\n",
	}
	t.Cleanup(func() {
		for _, name := range []string{"-kept", "-more"} {
			_ = s.client.CoreV1().Namespaces().Delete(context.Background(), s.namespace+name, metav1.DeleteOptions{})
		}
		_ = s.dynamic.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}).Delete(context.Background(), "vaults.example.com", metav1.DeleteOptions{})
	})
	s.sync(files)
	// The definition leaves while an object of its kind is in the set.
	crd := files["crd.yaml"]
	delete(files, "crd.yaml")
	s.expect(s.sync(files), "3 unchanged, 1 kept")
	files["crd.yaml"] = crd
	s.sync(files)
	// An object with a field that its kind gets in the same commit, again and
	// again: the API server needs a moment to see it.
	fields := []string{"path"}
	vault := files["vault.yaml"]
	for i := range 5 {
		fields = append(fields, fmt.Sprintf("f%d", i))
		files["crd.yaml"] = definition("Vault", "vaults", fields...)
		files["vault.yaml"] = vault + "spec: {" + fields[i+1] + ": x}\n"
		s.options.Invalid = []apply.InvalidPolicy{apply.InvalidStops, apply.InvalidStopsAll}[i%2]
		if i == 2 {
			s.options.DryRun = apply.DryRunServer
			s.expect(s.sync(files), "2 configured, 2 unchanged")
			s.options.DryRun = apply.DryRunNone
		}
		s.expect(s.sync(files), "2 configured, 2 unchanged")
	}
	// One more leaves before the namespace that it is in.
	files["ns-more.yaml"] = "apiVersion: v1\nkind: Namespace\nmetadata: {name: NS-more}\n"
	files["in-more.yaml"] = strings.ReplaceAll(files["in.yaml"], "NS-kept", "NS-more")
	s.sync(files)
	delete(files, "in-more.yaml")
	s.expect(s.sync(files), "5 unchanged, 1 kept")
	for _, dry := range []apply.DryRun{apply.DryRunClient, apply.DryRunServer, apply.DryRunNone} {
		s.options.DryRun = dry
		rep := s.sync(nil)
		s.expect(rep, "5 kept")
		for _, r := range rep.Results {
			if kind := r.Object.Kind; (kind == "Namespace" || kind == "CustomResourceDefinition") && !strings.Contains(r.Message, "/inside, which stays") && !strings.Contains(r.Message, "/kept, which stays") {
				t.Errorf("%s", r.Line())
			}
		}
	}
	s.expect(s.sync(nil), "")
	for _, name := range []string{"-kept", "-more"} {
		_, err := s.client.CoreV1().ConfigMaps(s.namespace+name).Get(t.Context(), "inside", metav1.GetOptions{})
		s.must(err)
	}
	_, err := s.dynamic.Resource(schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "vaults"}).Namespace(s.namespace).Get(t.Context(), "kept", metav1.GetOptions{})
	s.must(err)
	// What has gone with its kind is forgotten.
	s.options.Policy = apply.AdoptIfNoInventory
	s.sync(map[string]string{"crd.yaml": crd, "vault.yaml": "apiVersion: example.com/v1\nkind: Vault\nmetadata: {name: plain}\n"})
	s.must(s.dynamic.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}).Delete(t.Context(), "vaults.example.com", metav1.DeleteOptions{}))
	s.eventually("the kind's end", func(context.Context) bool {
		list, err := s.client.Discovery().ServerResourcesForGroupVersion("example.com/v1")
		return apierrors.IsNotFound(err) || err == nil && !slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == "vaults" })
	})
	s.expect(s.sync(nil), "2 pruned")
	s.expect(s.sync(nil), "")
}

// TestInventoryNamespaceComesWithTheSet: the namespace of the inventory is an
// object of the set; it goes last of all, by hand.
func TestInventoryNamespaceComesWithTheSet(t *testing.T) {
	s := open(t)
	s.options.DefaultNamespace = s.namespace + "-own"
	files := map[string]string{"ns.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: NS-own}\n", "a.yaml": configMap("a", "one")}
	s.expect(s.sync(files), "2 created")
	s.expect(s.sync(files), "2 unchanged")
	rep := s.sync(nil)
	s.expect(rep, "1 pruned, 1 kept")
	s.must(s.client.CoreV1().Namespaces().Delete(t.Context(), s.options.DefaultNamespace, metav1.DeleteOptions{}))
}
