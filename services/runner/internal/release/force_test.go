//go:build integration

package release

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// A patch leaves what others have added to an object; with force the object is
// replaced as a whole.
func TestForceReplacesObjects(t *testing.T) {
	p := newPlace(t)
	chart := webChart()
	delete(chart, "templates/deployment.yaml")
	spec := p.spec(files(t, chart), inline("message", "one"))
	p.must(t, spec, ActionInstall)
	for _, tt := range []struct {
		message string
		force   bool
		extra   string
	}{{"two", false, "by hand"}, {"three", true, ""}} {
		patch := []byte(`{"data": {"extra": "by hand"}}`)
		if _, err := p.client.CoreV1().ConfigMaps(p.namespace).Patch(t.Context(), "web", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		spec.Values, spec.Force = []Values{inline("message", tt.message)}, tt.force
		p.must(t, spec, ActionUpgrade)
		got, err := p.client.CoreV1().ConfigMaps(p.namespace).Get(t.Context(), "web", metav1.GetOptions{})
		if err != nil || got.Data["message"] != tt.message || got.Data["extra"] != tt.extra {
			t.Errorf("force %v: %v, %v", tt.force, got.Data, err)
		}
	}
}

// Operations may be written as YAML in one line: kustomize itself would take
// what begins with a bracket for JSON.
func TestPatchesAreYAML(t *testing.T) {
	p := newPlace(t)
	chart := webChart()
	delete(chart, "templates/deployment.yaml")
	spec := p.spec(files(t, chart))
	spec.Patches = []Patch{{Patch: "[{op: add, path: /data/patched, value: 'yes'}]", Kind: "ConfigMap"}}
	p.must(t, spec, ActionInstall)
	got, err := p.client.CoreV1().ConfigMaps(p.namespace).Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil || got.Data["patched"] != "yes" {
		t.Errorf("%v, %v", got.Data, err)
	}
}
