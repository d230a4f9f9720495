//go:build integration

package apply_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/towline/towline/services/runner/internal/apply"
	"github.com/towline/towline/services/runner/internal/apply/fields"
	"github.com/towline/towline/services/runner/internal/apply/inventory"
)

func deployment(name, more string) string {
	return `apiVersion: apps/v1
kind: Deployment
metadata: {name: ` + name + `}
spec:
  replicas: 0
  selector: {matchLabels: {app: ` + name + `}}
  template:
    metadata: {labels: {app: ` + name + `}}
    spec:
      containers:
      - name: web
        image: registry.example.com/web:1
` + more
}

const service = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n"

// patch changes an object as somebody else.
func (s *site) patch(resource, name, body string, t types.PatchType) {
	s.tb.Helper()
	gvr := map[string]string{"configmaps": "v1", "services": "v1", "deployments": "apps/v1", "secrets": "v1"}[resource]
	var err error
	opts := metav1.PatchOptions{FieldManager: "somebody"}
	switch gvr {
	case "v1":
		err = s.client.CoreV1().RESTClient().Patch(t).Namespace(s.namespace).Resource(resource).Name(name).VersionedParams(&opts, metav1.ParameterCodec).Body([]byte(body)).Do(s.tb.Context()).Error()
	default:
		err = s.client.AppsV1().RESTClient().Patch(t).Namespace(s.namespace).Resource(resource).Name(name).VersionedParams(&opts, metav1.ParameterCodec).Body([]byte(body)).Do(s.tb.Context()).Error()
	}
	s.must(err)
}

// drifts is what a report says of drift, one line for each object.
func drifts(rep *apply.Report) string {
	var out []string
	for _, r := range rep.Results {
		if r.Drifted {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s/%s %s %v", r.Object.Kind, r.Object.Name, r.Action, r.Drift)))
		}
	}
	return strings.Join(out, "\n")
}

func TestDriftIsFoundAndCorrected(t *testing.T) {
	s := open(t)
	files := map[string]string{"config.yaml": configMap("settings", "one"), "web.yaml": deployment("web", ""), "service.yaml": service}
	s.sync(files)
	for _, c := range []struct {
		name string
		do   func(ctx context.Context) error
		want string
	}{
		{"value", func(context.Context) error {
			s.patch("configmaps", "settings", `{"data":{"value":"two"}}`, types.MergePatchType)
			return nil
		}, "ConfigMap/settings configured [.data.value (somebody)]"},
		{"removed value", func(context.Context) error {
			s.patch("configmaps", "settings", `{"data":{"value":null}}`, types.MergePatchType)
			return nil
		}, "ConfigMap/settings configured [.data.value (removed)]"},
		{"image", func(context.Context) error {
			s.patch("deployments", "web", `{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"registry.example.com/web:9"}]}}}}`, types.StrategicMergePatchType)
			return nil
		}, `Deployment/web configured [.spec.template.spec.containers[name="web"].image (somebody)]`},
		{"deleted", func(ctx context.Context) error {
			return s.client.CoreV1().Services(s.namespace).Delete(ctx, "web", metav1.DeleteOptions{})
		}, "Service/web created []"},
		{"our label", func(context.Context) error {
			s.patch("configmaps", "settings", `{"metadata":{"labels":{"`+inventory.LabelPartOf+`":null}}}`, types.MergePatchType)
			return nil
		}, "ConfigMap/settings configured [.metadata.labels.applyset.kubernetes.io/part-of (removed)]"},
		{"our annotation", func(context.Context) error {
			s.patch("configmaps", "settings", `{"metadata":{"annotations":{"`+inventory.AnnotationOwner+`":null}}}`, types.MergePatchType)
			return nil
		}, "ConfigMap/settings configured [.metadata.annotations.config.k8s.io/owning-inventory (removed)]"},
		{"scaled", func(context.Context) error {
			s.patch("deployments", "web", `{"spec":{"replicas":3}}`, types.MergePatchType)
			return nil
		}, "Deployment/web configured [.spec.replicas (somebody)]"},
		{"foreign label", func(context.Context) error {
			s.patch("configmaps", "settings", `{"metadata":{"labels":{"team":"a"}}}`, types.MergePatchType)
			return nil
		}, ""},
		{"added env", func(context.Context) error {
			s.patch("deployments", "web", `{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"A","value":"b"}]}]}}}}`, types.StrategicMergePatchType)
			return nil
		}, ""},
		{"scaled to the same", func(context.Context) error {
			s.patch("deployments", "web", `{"spec":{"replicas":0}}`, types.MergePatchType)
			return nil
		}, ""},
	} {
		s.must(c.do(t.Context()))
		rep := s.sync(files)
		if got := drifts(&rep); got != c.want {
			t.Errorf("%s: drift %q, want %q", c.name, got, c.want)
		}
		again := s.sync(files)
		s.expect(again, "3 unchanged")
	}
}

// TestAChangeUnderOurOwnNameIsDrift: somebody may use our field manager.
func TestAChangeUnderOurOwnNameIsDrift(t *testing.T) {
	s := open(t)
	files := map[string]string{"config.yaml": configMap("settings", "one")}
	s.sync(files)
	s.nextSecond()
	opts := metav1.PatchOptions{FieldManager: apply.Manager}
	force := true
	opts.Force = &force
	cm, err := s.client.CoreV1().ConfigMaps(s.namespace).Get(t.Context(), "settings", metav1.GetOptions{})
	s.must(err)
	body := fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"settings","labels":{%q:%q},"annotations":{%q:"7-42"}},"data":{"value":"other"}}`,
		inventory.LabelPartOf, cm.Labels[inventory.LabelPartOf], inventory.AnnotationOwner)
	_, err = s.client.CoreV1().ConfigMaps(s.namespace).Patch(t.Context(), "settings", types.ApplyPatchType, []byte(body), opts)
	s.must(err)
	s.expect(s.sync(files), "1 configured, 1 drifted")
}

func TestConflictsAreNamed(t *testing.T) {
	s := open(t)
	s.sync(map[string]string{"web.yaml": deployment("web", "")})
	s.patch("deployments", "web", `{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"registry.example.com/web:9"}]}}}}`, types.StrategicMergePatchType)
	changed := map[string]string{"web.yaml": strings.Replace(deployment("web", ""), "web:1", "web:2", 1)}
	s.options.YieldOnConflict = true
	rep := s.apply(s.read(changed))
	s.expect(rep, "1 failed")
	want := `.spec.template.spec.containers[name="web"].image (somebody)`
	if r := rep.Results[0]; r.Reason != apply.ReasonConflict || len(r.Conflicts) != 1 || r.Conflicts[0].String() != want || !strings.Contains(r.Message, want) {
		t.Errorf("%+v", r)
	}
	s.options.YieldOnConflict = false
	rep = s.sync(changed)
	s.expect(rep, "1 configured")
	if r := rep.Results[0]; len(r.Conflicts) != 1 || r.Conflicts[0].String() != want {
		t.Errorf("%+v", r)
	}
}

// TestIgnoredFieldsBelongToOthers: an autoscaler's replicas are left alone,
// whoever owns them at the moment, and other changes still arrive.
func TestIgnoredFieldsBelongToOthers(t *testing.T) {
	s := open(t)
	s.options.Ignore = []fields.Rule{{Kind: "Deployment", Paths: []string{"/spec/replicas"}}}
	replicas := func() int32 {
		d, err := s.client.AppsV1().Deployments(s.namespace).Get(t.Context(), "web", metav1.GetOptions{})
		s.must(err)
		return *d.Spec.Replicas
	}
	at := func(n int, image string) map[string]string {
		text := strings.Replace(deployment("web", ""), "replicas: 0", fmt.Sprintf("replicas: %d", n), 1)
		return map[string]string{"web.yaml": strings.Replace(text, "web:1", image, 1)}
	}
	check := func(rep apply.Report, want string, n int32) {
		t.Helper()
		s.expect(rep, want)
		if got := replicas(); got != n {
			t.Errorf("replicas = %d, want %d", got, n)
		}
	}
	check(s.sync(at(2, "web:1")), "1 created", 2)
	check(s.sync(at(5, "web:1")), "1 unchanged", 2) // the field is not ours to say
	check(s.sync(at(5, "web:2")), "1 configured", 2)
	s.patch("deployments", "web", `{"spec":{"replicas":3}}`, types.MergePatchType)
	check(s.sync(at(5, "web:2")), "1 unchanged", 3)
	check(s.sync(at(5, "web:3")), "1 configured", 3)
	check(s.sync(at(5, "web:3")), "1 unchanged", 3)
}
