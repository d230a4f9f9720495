package kinds

import (
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
)

// Definition is the kind whose objects add kinds.
var Definition = schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}

// Errors of a look-up.
var (
	// ErrUnknown: the cluster has no such kind.
	ErrUnknown = errors.New("the cluster does not have this kind")
	// ErrUnavailable: the kind's group does not answer at the moment.
	ErrUnavailable = errors.New("the API of this kind does not answer")
)

// Resource is how a kind is reached.
type Resource struct {
	schema.GroupVersionResource
	Kind       string
	Namespaced bool
	// Promised means that only a definition in the set says so.
	Promised bool
}

// Table is what a cluster has. It is not safe for concurrent use.
type Table struct {
	resources map[schema.GroupVersionKind]Resource
	preferred map[schema.GroupKind]Resource
	failed    map[string]error // by group
}

// Discover asks the cluster for its kinds. Groups that do not answer are
// remembered as such.
func Discover(client discovery.DiscoveryInterface) (*Table, error) {
	groups, lists, err := client.ServerGroupsAndResources()
	t := &Table{resources: map[schema.GroupVersionKind]Resource{}, preferred: map[schema.GroupKind]Resource{}, failed: map[string]error{}}
	if err != nil {
		var partly *discovery.ErrGroupDiscoveryFailed
		if !errors.As(err, &partly) {
			return nil, fmt.Errorf("ask the cluster for its kinds: %w", err)
		}
		for gv, err := range partly.Groups {
			t.failed[gv.Group] = err
		}
	}
	first := map[string]string{}
	for _, g := range groups {
		first[g.Name] = g.PreferredVersion.Version
	}
	for _, l := range lists {
		t.list(l, first)
	}
	return t, nil
}

func (t *Table) list(l *metav1.APIResourceList, first map[string]string) {
	gv, err := schema.ParseGroupVersion(l.GroupVersion)
	if err != nil {
		return // of an aggregated API that names itself wrongly
	}
	for _, r := range l.APIResources {
		if strings.Contains(r.Name, "/") {
			continue
		}
		t.add(gv.WithKind(r.Kind), Resource{GroupVersionResource: gv.WithResource(r.Name), Kind: r.Kind, Namespaced: r.Namespaced}, gv.Version == first[gv.Group])
	}
}

func (t *Table) add(gvk schema.GroupVersionKind, r Resource, preferred bool) {
	if _, there := t.resources[gvk]; there {
		return
	}
	t.resources[gvk] = r
	if _, there := t.preferred[gvk.GroupKind()]; preferred || !there {
		t.preferred[gvk.GroupKind()] = r
	}
}

// Promise adds the kinds of a CustomResourceDefinition that the cluster does not
// have yet.
func (t *Table) Promise(crd *unstructured.Unstructured) {
	text := func(fields ...string) string {
		s, _, _ := unstructured.NestedString(crd.Object, append([]string{"spec"}, fields...)...)
		return s
	}
	group, kind, plural := text("group"), text("names", "kind"), text("names", "plural")
	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	if group == "" || kind == "" || plural == "" {
		return // the API server will say what is wrong
	}
	for _, v := range versions {
		version, _ := v.(map[string]any)
		name, _ := version["name"].(string)
		if served, _ := version["served"].(bool); name == "" || !served {
			continue
		}
		gv := schema.GroupVersion{Group: group, Version: name}
		t.add(gv.WithKind(kind), Resource{GroupVersionResource: gv.WithResource(plural), Kind: kind, Namespaced: text("scope") == "Namespaced", Promised: true}, false)
	}
}

// Find returns how a kind is reached in exactly this version. Errors are
// ErrUnknown or ErrUnavailable, with what the cluster has instead.
func (t *Table) Find(gvk schema.GroupVersionKind) (Resource, error) {
	if r, ok := t.resources[gvk]; ok {
		return r, nil
	}
	if err, failed := t.failed[gvk.Group]; failed {
		return Resource{}, fmt.Errorf("%w: %s: %w", ErrUnavailable, gvk.Group, err)
	}
	if r, ok := t.preferred[gvk.GroupKind()]; ok {
		return Resource{}, fmt.Errorf("%w: %s is served as %s", ErrUnknown, gvk.Kind, r.GroupVersion())
	}
	return Resource{}, ErrUnknown
}

// Namespaced returns how each kind whose objects are in namespaces is reached, in
// the version the cluster prefers.
func (t *Table) Namespaced() []Resource {
	var out []Resource
	for _, r := range t.preferred {
		if r.Namespaced && !r.Promised {
			out = append(out, r)
		}
	}
	return out
}

// Named returns how the kind of a CustomResourceDefinition of that name is
// reached.
func (t *Table) Named(definition string) (Resource, bool) {
	for _, r := range t.preferred {
		if r.Resource+"."+r.Group == definition && !r.Promised {
			return r, true
		}
	}
	return Resource{}, false
}

// Preferred returns how a kind is reached in the version the cluster prefers.
func (t *Table) Preferred(gk schema.GroupKind) (Resource, error) {
	if r, ok := t.preferred[gk]; ok {
		return r, nil
	}
	if err, failed := t.failed[gk.Group]; failed {
		return Resource{}, fmt.Errorf("%w: %s: %w", ErrUnavailable, gk.Group, err)
	}
	return Resource{}, ErrUnknown
}
