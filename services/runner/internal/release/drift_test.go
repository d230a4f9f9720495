//go:build integration

package release

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/towline/towline/services/runner/internal/apply/fields"
)

// patchDeployment is somebody's hand.
func (p *place) patchDeployment(t *testing.T, patch string) {
	t.Helper()
	_, err := p.client.AppsV1().Deployments(p.namespace).Patch(t.Context(), "web", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func (p *place) config1(t *testing.T, name string) *corev1.ConfigMap {
	t.Helper()
	object, err := p.client.CoreV1().ConfigMaps(p.namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return object
}

func TestDriftIsCorrectedWithoutARevision(t *testing.T) {
	p := newPlace(t)
	spec := p.spec(files(t, webChart()), inline("message", "one"))
	spec.Drift = Drift{Mode: DriftCorrect}
	p.must(t, spec, ActionInstall)
	if r := p.must(t, spec); r.Objects != 2 || len(r.Drift) > 0 {
		t.Errorf("%d objects, drift %v, want 2 and none: 1000m is only another word for 1", r.Objects, r.Drift)
	}

	p.patchDeployment(t, `{"spec":{"replicas":2,"template":{"spec":{"containers":[{"name":"web","image":"evil.example.com/x"}]}}}}`)
	object := p.config1(t, "web")
	object.Data["message"] = "changed by hand"
	object.Data["added"] = "by somebody"
	if _, err := p.client.CoreV1().ConfigMaps(p.namespace).Update(t.Context(), object, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	r := p.must(t, spec, ActionCorrect)
	want := []Change{
		{Object: "ConfigMap " + p.namespace + "/web", Corrected: true, Fields: []string{"/data/message"}},
		{Object: "Deployment " + p.namespace + "/web", Corrected: true, Fields: []string{"/spec/replicas", "/spec/template/spec/containers/0/image"}},
	}
	if diff := cmp.Diff(want, r.Drift); diff != "" {
		t.Error(diff)
	}
	got := p.config1(t, "web").Data
	if diff := cmp.Diff(map[string]string{"message": "one", "added": "by somebody"}, got); diff != "" {
		t.Error(diff)
	}
	if r := p.must(t, spec); len(r.Drift) > 0 {
		t.Errorf("drift %v after it was corrected", r.Drift)
	}

	if err := p.client.CoreV1().ConfigMaps(p.namespace).Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if r := p.must(t, spec, ActionCorrect); len(r.Drift) != 1 || !r.Drift[0].Missing {
		t.Errorf("drift %v, want the deleted ConfigMap", r.Drift)
	}
	made := p.config1(t, "web")
	if made.Annotations["meta.helm.sh/release-name"] != "web" || made.Labels["app.kubernetes.io/managed-by"] != "Helm" {
		t.Errorf("%v %v, want helm's own marks", made.Annotations, made.Labels)
	}
	if got := p.revisions(t, "web"); len(got) != 1 {
		t.Errorf("history %q, want one revision", got)
	}
	// helm goes on where we stopped.
	p.helm(t, "upgrade web "+spec.Chart.Directory.Root+" --set message=two")
}

func TestDriftRules(t *testing.T) {
	p := newPlace(t)
	spec := p.spec(files(t, webChart()))
	spec.Drift = Drift{Mode: DriftReport, Ignore: []fields.Rule{{Kind: "Deployment", Name: "w*", Paths: []string{"/spec/replicas", "/spec/template/spec/containers/*/image"}}}}
	p.must(t, spec, ActionInstall)
	p.patchDeployment(t, `{"spec":{"replicas":2,"template":{"spec":{"containers":[{"name":"web","image":"other"}]}}}}`)
	if r := p.must(t, spec); len(r.Drift) > 0 {
		t.Errorf("drift %v in ignored fields", r.Drift)
	}
	p.patchDeployment(t, `{"metadata":{"annotations":{"meta.helm.sh/release-name":"other"}}}`)
	r := p.must(t, spec)
	want := []Change{{Object: "Deployment " + p.namespace + "/web", Fields: []string{"/metadata/annotations/meta.helm.sh/release-name"}}}
	if diff := cmp.Diff(want, r.Drift); diff != "" {
		t.Error(diff)
	}
	if r := p.must(t, spec); len(r.Drift) != 1 {
		t.Errorf("drift %v, want it reported until somebody corrects it", r.Drift)
	}
	spec.Drift.Ignore[0].Paths = []string{"spec"}
	if _, err := p.Reconcile(t.Context(), spec); err == nil || !strings.Contains(err.Error(), `"spec" is not a JSON pointer`) {
		t.Error(err)
	}
}

// TestDriftOfCustomResources: Helm's own upgrade does not see these.
func TestDriftOfCustomResources(t *testing.T) {
	p := newPlace(t)
	texts := webChart()
	maps.Copy(texts, crdChart(p.namespace))
	spec := p.spec(files(t, texts))
	spec.Drift = Drift{Mode: DriftCorrect}
	p.must(t, spec, ActionInstall)
	p.must(t, spec)
	things := p.things(t)
	_, err := things.Patch(t.Context(), "mine", types.MergePatchType, []byte(`{"spec":{"size":7,"more":"x"}}`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r := p.must(t, spec, ActionCorrect); len(r.Drift) != 1 || !strings.HasPrefix(r.Drift[0].String(), "Thing ") {
		t.Errorf("drift %v", r.Drift)
	}
	got, err := things.Get(t.Context(), "mine", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"size": int64(3), "more": "x"}, got.Object["spec"]); diff != "" {
		t.Error(diff)
	}
}
