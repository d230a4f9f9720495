package apply

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/towline/towline/services/runner/internal/apply/fields"
	"github.com/towline/towline/services/runner/internal/apply/inventory"
	"github.com/towline/towline/services/runner/internal/apply/kinds"
	"github.com/towline/towline/services/runner/internal/apply/manifests"
	"github.com/towline/towline/services/runner/internal/apply/objref"
	"github.com/towline/towline/services/runner/internal/apply/order"
)

// mutation is an annotation of cli-utils that copies fields between objects
// while they are applied.
const mutation = "config.kubernetes.io/apply-time-mutation"

// plan turns the set into items and finds what is wrong with it as it stands.
func (r *run) plan(set Set) {
	r.faults = slices.Clone(set.Faults)
	r.blind = len(set.Faults) > 0
	for _, o := range set.Objects {
		if schema.FromAPIVersionAndKind(o.Body.GetAPIVersion(), o.Body.GetKind()).GroupKind() == kinds.Definition {
			r.kinds.Promise(o.Body)
		}
	}
	var template *manifests.Object
	for i := range set.Objects {
		o := &set.Objects[i]
		if _, ok := o.Body.GetLabels()[inventory.LabelID]; ok && o.Body.GetKind() == "ConfigMap" {
			if template != nil {
				r.fault(o, "", "a second inventory object (label "+inventory.LabelID+")", "the first is at "+template.Origin.String()+"; keep one")
				continue
			}
			template = o
			r.template(o.Body)
			continue
		}
		r.admit(o)
	}
	r.arrange()
	slices.SortStableFunc(r.faults, func(a, b manifests.Fault) int {
		return cmp.Or(cmp.Compare(a.Origin.File, b.Origin.File), cmp.Compare(a.Origin.Line, b.Origin.Line))
	})
}

// template takes the inventory's place from an object of the set.
func (r *run) template(o *unstructured.Unstructured) {
	r.opts.Inventory = inventory.Place{ID: o.GetLabels()[inventory.LabelID], Name: o.GetName(), Namespace: o.GetNamespace(), Entry: r.opts.Inventory.Entry}
	if r.opts.Inventory.Namespace == "" {
		r.opts.Inventory.Namespace = r.opts.DefaultNamespace
	}
}

// fault records what is wrong with an object of the set.
func (r *run) fault(o *manifests.Object, field, problem, remedy string) {
	name := o.Body.GetName()
	if o.Body.GetKind() == "" || name == "" {
		r.blind = true
	}
	r.faults = append(r.faults, manifests.Fault{
		Origin: o.Origin, Object: manifests.Describe(o.Body.GetKind(), o.Body.GetNamespace(), name), Path: field, Problem: problem, Remedy: remedy,
	})
}

// admit checks one object and makes an item of it.
func (r *run) admit(o *manifests.Object) {
	body := o.Body
	gvk := schema.FromAPIVersionAndKind(body.GetAPIVersion(), body.GetKind())
	switch {
	case body.GetKind() == "":
		r.fault(o, ".kind", "missing", "a manifest has apiVersion, kind and metadata.name")
		return
	case body.GetAPIVersion() == "":
		r.fault(o, ".apiVersion", "missing", "a manifest has apiVersion, kind and metadata.name")
		return
	case gvk.Version == "":
		r.fault(o, ".apiVersion", fmt.Sprintf("%q is no version of an API", body.GetAPIVersion()), "write for example v1 or apps/v1")
		return
	case body.GetName() == "" && body.GetGenerateName() != "":
		r.fault(o, ".metadata.generateName", "an object that is applied needs a name", "give it metadata.name")
		return
	case body.GetName() == "":
		r.fault(o, ".metadata.name", "missing", "give the object a name")
		return
	}
	ref := objref.Ref{Group: gvk.Group, Kind: gvk.Kind, Namespace: body.GetNamespace(), Name: body.GetName()}
	it := &item{object: *o, ref: ref}
	if !r.locate(it, gvk) {
		r.hold(ref)
		return
	}
	if first, twice := r.byRef[it.ref]; twice {
		r.fault(o, "", "the same object stands at "+first.object.Origin.String(), "keep one of them")
		return
	}
	r.byRef[it.ref] = it
	if !r.examine(it) {
		r.hold(it.ref)
		delete(r.byRef, it.ref)
		return
	}
	r.items = append(r.items, it)
}

// hold keeps a faulty object from being deleted as if it had left the set.
func (r *run) hold(ref objref.Ref) {
	r.held[ref] = true
	for _, ns := range []string{"", r.opts.DefaultNamespace} {
		ref.Namespace = ns
		r.held[ref] = true
	}
}

// locate finds the object's kind and namespace.
func (r *run) locate(it *item, gvk schema.GroupVersionKind) bool {
	var err error
	if it.resource, err = r.kinds.Find(gvk); err != nil {
		remedy := "install its CustomResourceDefinition, or add it to the set"
		if errors.Is(err, kinds.ErrUnavailable) {
			remedy = "see kubectl get apiservices"
		}
		r.fault(&it.object, ".kind", err.Error(), remedy)
		return false
	}
	// A definition in the set may only add a version to a kind that exists.
	if it.lookAs = it.resource; it.resource.Promised {
		if known, err := r.kinds.Preferred(gvk.GroupKind()); err == nil {
			it.lookAs = known
		}
	}
	switch {
	case it.resource.Namespaced && it.ref.Namespace == "":
		it.ref.Namespace = r.opts.DefaultNamespace
	case !it.resource.Namespaced && it.ref.Namespace != "":
		r.fault(&it.object, ".metadata.namespace", "objects of this kind are in no namespace", "remove it")
		return false
	}
	return true
}

// examine checks what does not depend on the cluster.
func (r *run) examine(it *item) bool {
	o, body := &it.object, it.object.Body
	if problems := content.IsPathSegmentName(it.ref.Name); len(problems) > 0 {
		r.fault(o, ".metadata.name", strings.Join(problems, ", "), "")
		return false
	}
	if !r.permitted(it) {
		r.fault(o, ".metadata.namespace", "this entry may not write there", "it may write to namespaces "+strings.Join(r.opts.Namespaces, ", "))
		return false
	}
	if it.ref == (objref.Ref{Kind: "ConfigMap", Namespace: r.opts.Inventory.Namespace, Name: "inventory-" + r.opts.Inventory.ID}) {
		r.fault(o, ".metadata.name", "this is the name of the inventory", "choose another name")
		return false
	}
	if err := it.ref.CheckKey(); err != nil {
		r.fault(o, ".metadata", err.Error(), "rename it")
		return false
	}
	if secret(it.ref) && !r.checkSecret(it) {
		return false
	}
	notes := body.GetAnnotations()
	if notes[mutation] != "" {
		r.fault(o, ".metadata.annotations", mutation+" is not supported", "write the value out, or let kustomize replace it (replacements)")
		return false
	}
	needs, err := order.Dependencies(notes[order.Annotation])
	if err != nil {
		r.fault(o, ".metadata.annotations", order.Annotation+": "+err.Error(), "")
		return false
	}
	it.needs = needs
	it.ignored = fields.PathsFor(r.rules, it.ref)
	return true
}

func (r *run) permitted(it *item) bool {
	switch {
	case len(r.opts.Namespaces) == 0:
		return true
	case it.resource.Namespaced:
		return r.opts.allows(it.ref.Namespace)
	}
	return it.ref.Group == "" && it.ref.Kind == "Namespace" && r.opts.allows(it.ref.Name)
}

// arrange puts the items into phases.
func (r *run) arrange() {
	graph := make(order.Graph, len(r.items))
	r.items = slices.DeleteFunc(r.items, func(it *item) bool {
		for _, need := range it.needs {
			if _, there := r.byRef[need]; there || r.held[need] {
				continue
			}
			r.fault(&it.object, ".metadata.annotations", order.Annotation+": "+need.String()+" is not in the set", "add it, or remove the dependency")
			r.hold(it.ref)
			delete(r.byRef, it.ref)
			return true
		}
		graph[it.ref] = it.needs
		return false
	})
	phases, circle := graph.Phases()
	r.items = slices.DeleteFunc(r.items, func(it *item) bool {
		phase, ok := phases[it.ref]
		if ok {
			it.phase = phase
			return false
		}
		var names []string
		for _, c := range circle {
			names = append(names, c.String())
		}
		r.fault(&it.object, ".metadata.annotations", order.Annotation+": objects depend on each other: "+strings.Join(names, " -> "), "remove one of the dependencies")
		r.hold(it.ref)
		delete(r.byRef, it.ref)
		return true
	})
}

// serverOnly are fields that only the API server writes; what an export left of
// them would make every apply fail or differ.
var serverOnly = []string{"creationTimestamp", "resourceVersion", "uid", "generation", "managedFields", "selfLink"}

// body is what is sent for an item: a copy with the engine's marks, sharing all
// that it does not change.
func (r *run) body(it *item) map[string]any {
	body := maps.Clone(it.object.Body.Object)
	delete(body, "status")
	have, _ := body["metadata"].(map[string]any)
	metadata := maps.Clone(have)
	for _, f := range serverOnly {
		delete(metadata, f)
	}
	if it.resource.Namespaced {
		metadata["namespace"] = it.ref.Namespace
	}
	metadata["labels"] = marked(metadata["labels"], inventory.LabelPartOf, r.inv.ApplySet())
	metadata["annotations"] = marked(metadata["annotations"], inventory.AnnotationOwner, r.inv.ID)
	body["metadata"] = metadata
	return body
}

func marked(have any, key, value string) map[string]any {
	m, _ := have.(map[string]any)
	if m = maps.Clone(m); m == nil {
		m = map[string]any{}
	}
	m[key] = value
	return m
}

// digestAll computes what each item's record will be compared with.
func (r *run) digestAll() {
	each(context.Background(), r.opts.Workers, r.items, func(it *item) {
		body := r.body(it)
		if len(it.ignored) > 0 {
			body = (&unstructured.Unstructured{Object: body}).DeepCopy().Object
			fields.Strip(body, it.ignored)
		}
		text, err := json.Marshal(body)
		if err != nil {
			return // without a digest it is applied, and fails there with a reason
		}
		sum := sha256.Sum256(text)
		it.digest = base64.RawURLEncoding.EncodeToString(sum[:12])
	})
}

// departed makes items of what the inventory names and the set does not.
func (r *run) departed() {
	for ref := range r.inv.Records {
		if r.byRef[ref] != nil || r.held[ref] {
			continue
		}
		it := &item{ref: ref}
		resource, err := r.kinds.Preferred(ref.GroupKind())
		switch {
		case errors.Is(err, kinds.ErrUnknown):
			delete(r.inv.Records, ref) // its kind is gone, and with it every object
			it.result = Result{Action: Pruned, Message: "its kind is gone"}
		case err != nil:
			it.result = Result{Action: Failed, Reason: ReasonAPI, Message: err.Error() + "; it is tried again with the next run"}
		}
		it.resource, it.lookAs = resource, resource
		r.gone = append(r.gone, it)
	}
	slices.SortFunc(r.gone, func(a, b *item) int { return strings.Compare(a.ref.Key(), b.ref.Key()) })
}
