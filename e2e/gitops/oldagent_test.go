package gitops

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
)

const (
	inventoryLabel  = "cli-utils.sigs.k8s.io/inventory-id"
	inventoryOwner  = "config.k8s.io/owning-inventory"
	oldAgentManager = "agentk"
	// oldRecord is what the last versions of GitLab's agent wrote of each
	// object; earlier ones wrote nothing.
	oldRecord = `{"actuation":"Succeeded","reconcile":"Succeeded","strategy":"Apply"}`
)

// resources reaches objects of any kind.
type resources struct {
	*bench
	client dynamic.Interface
	kinds  []*restmapper.APIGroupResources
}

func (b *bench) resources() *resources {
	b.Helper()
	cfg, err := b.cluster.RESTConfig()
	b.must(err)
	client, err := dynamic.NewForConfig(cfg)
	b.must(err)
	kinds, err := restmapper.GetAPIGroupResources(b.kube.Discovery())
	b.must(err)
	return &resources{bench: b, client: client, kinds: kinds}
}

func (r *resources) of(gk schema.GroupKind, namespace string) dynamic.ResourceInterface {
	r.Helper()
	m, err := restmapper.NewDiscoveryRESTMapper(r.kinds).RESTMapping(gk)
	r.must(err)
	if namespace == "" {
		return r.client.Resource(m.Resource)
	}
	return r.client.Resource(m.Resource).Namespace(namespace)
}

// ref names an object: Kind.group namespace/name.
type ref string

func refOf(o *unstructured.Unstructured) ref {
	return ref(fmt.Sprintf("%s %s/%s", o.GroupVersionKind().GroupKind(), o.GetNamespace(), o.GetName()))
}

// parts is the reverse of refOf.
func (o ref) parts() (gk schema.GroupKind, namespace, name string) {
	kind, full, _ := strings.Cut(string(o), " ")
	namespace, name, _ = strings.Cut(full, "/")
	return schema.ParseGroupKind(kind), namespace, name
}

// get is an object as it is, nil when there is none.
func (r *resources) get(o ref) *unstructured.Unstructured {
	r.Helper()
	gk, namespace, name := o.parts()
	got, err := r.of(gk, namespace).Get(context.Background(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	r.must(err)
	return got
}

// uid is what tells an object from one that was made anew; "" is none.
func (r *resources) uid(o ref) types.UID {
	r.Helper()
	if got := r.get(o); got != nil {
		return got.GetUID()
	}
	return ""
}

// decode reads the objects of a repository's manifests.
func (r *resources) decode(files map[string]string, defaultNamespace string) []*unstructured.Unstructured {
	r.Helper()
	var out []*unstructured.Unstructured
	for name, text := range files {
		if !strings.HasSuffix(name, ".yaml") && !strings.HasSuffix(name, ".yml") && !strings.HasSuffix(name, ".json") {
			continue
		}
		for d := yaml.NewYAMLOrJSONDecoder(strings.NewReader(r.fill(text)), 4096); ; {
			o := &unstructured.Unstructured{}
			err := d.Decode(o)
			if err == io.EOF {
				break
			}
			r.must(err)
			if o.GetNamespace() == "" {
				o.SetNamespace(defaultNamespace)
			}
			out = append(out, o)
		}
	}
	return out
}

// apply sends an object as another tool does: server-side apply with its field
// manager, by force.
func (r *resources) apply(o *unstructured.Unstructured, manager string) {
	r.Helper()
	body, err := json.Marshal(o)
	r.must(err)
	force := true
	_, err = r.of(o.GroupVersionKind().GroupKind(), o.GetNamespace()).
		Patch(context.Background(), o.GetName(), types.ApplyPatchType, body, metav1.PatchOptions{FieldManager: manager, Force: &force})
	r.must(err)
}

// asOldAgent leaves behind what GitLab's agent would: the objects with its mark,
// and the inventory that names them. It is the template among the objects, if
// there is one.
func (r *resources) asOldAgent(objects []*unstructured.Unstructured, id, namespace, record string) (inventory ref) {
	r.Helper()
	cm := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap"}}
	cm.SetName("inventory-" + id)
	cm.SetNamespace(namespace)
	cm.SetLabels(map[string]string{inventoryLabel: id})
	for _, o := range objects {
		if own := o.GetLabels()[inventoryLabel]; own != "" {
			id, cm = own, o.DeepCopy()
		}
	}
	data := map[string]any{}
	for _, o := range objects {
		if o.GetLabels()[inventoryLabel] != "" {
			continue
		}
		o = o.DeepCopy()
		annotations := o.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[inventoryOwner] = id
		o.SetAnnotations(annotations)
		r.apply(o, oldAgentManager)
		gvk := o.GroupVersionKind()
		data[strings.Join([]string{o.GetNamespace(), o.GetName(), gvk.Group, gvk.Kind}, "_")] = record
	}
	cm.Object["data"] = data
	_, err := r.of(schema.GroupKind{Kind: "ConfigMap"}, cm.GetNamespace()).Create(context.Background(), cm, metav1.CreateOptions{FieldManager: oldAgentManager})
	r.must(err)
	return refOf(cm)
}
