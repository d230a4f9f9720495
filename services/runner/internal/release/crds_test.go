//go:build integration

package release

import (
	"context"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// group is a group of kinds that belongs to one test.
func group(namespace string) string { return namespace + ".example.com" }

// crdChart is a kind and an object of it. The kind is removed with the test.
func crdChart(namespace string) map[string]string {
	return map[string]string{
		"crds/things.yaml": strings.ReplaceAll(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.GROUP}
spec:
  group: GROUP
  names: {kind: Thing, plural: things}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            x-kubernetes-preserve-unknown-fields: true
`, "GROUP", group(namespace)),
		"templates/thing.yaml": "apiVersion: " + group(namespace) + "/v1\nkind: Thing\nmetadata: {name: mine}\nspec: {size: 3}\n",
	}
}

func (p *place) dynamic(t *testing.T) dynamic.Interface {
	t.Helper()
	client, err := dynamic.NewForConfig(p.Engine.config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (p *place) things(t *testing.T) dynamic.ResourceInterface {
	t.Helper()
	t.Cleanup(func() {
		_ = p.crds(t).Delete(context.WithoutCancel(t.Context()), "things."+group(p.namespace), metav1.DeleteOptions{})
	})
	return p.dynamic(t).Resource(schema.GroupVersionResource{Group: group(p.namespace), Version: "v1", Resource: "things"}).Namespace(p.namespace)
}

func (p *place) crds(t *testing.T) dynamic.ResourceInterface {
	return p.dynamic(t).Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
}

func TestCRDPolicies(t *testing.T) {
	p := newPlace(t)
	_ = p.things(t) // removes the kind
	name := "things." + group(p.namespace)
	texts := webChart()
	crd := crdChart(p.namespace)
	texts["crds/things.yaml"] = crd["crds/things.yaml"]
	spec := p.spec(files(t, texts))
	spec.CRDs = CRDSkip
	p.must(t, spec, ActionInstall)
	if _, err := p.crds(t).Get(t.Context(), name, metav1.GetOptions{}); err == nil {
		t.Error("the CRD was made although it should be skipped")
	}

	// An upgrade makes it, together with the first object of its kind.
	texts["templates/thing.yaml"] = crd["templates/thing.yaml"]
	spec.Chart.Directory.Root, spec.CRDs = files(t, texts), CRDCreate
	p.must(t, spec, ActionUpgrade)

	texts["crds/things.yaml"] = strings.Replace(crd["crds/things.yaml"], "plural: things", "plural: things, shortNames: [th]", 1)
	spec.Chart.Directory.Root = files(t, texts)
	p.must(t, spec, ActionUpgrade)
	shortNames := func() string {
		got, err := p.crds(t).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		text, _ := got.MarshalJSON()
		return string(text)
	}
	if strings.Contains(shortNames(), `"th"`) {
		t.Error("an existing CRD was changed by the policy create")
	}
	spec.CRDs, spec.Values = CRDCreateReplace, []Values{inline("message", "two")}
	p.must(t, spec, ActionUpgrade)
	if !strings.Contains(shortNames(), `"th"`) {
		t.Error("the CRD was not replaced")
	}
}
