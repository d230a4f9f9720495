//go:build integration

package apply_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/services/runner/internal/apply"
	"github.com/towline/towline/services/runner/internal/apply/health"
)

func TestHealth(t *testing.T) {
	s := open(t)
	s.options.Health = apply.Health{Timeout: 15 * time.Second}
	files := map[string]string{"a.yaml": configMap("a", "one"), "web.yaml": deployment("web", "")}
	rep := s.sync(files)
	s.expect(rep, "2 created")
	for _, r := range rep.Results {
		if r.Health.State != "healthy" {
			t.Errorf("%s: %+v", r.Object, r.Health)
		}
	}
	rep = s.sync(files)
	if s.expect(rep, "2 unchanged"); rep.Results[1].Health.State != "" {
		t.Errorf("what was healthy is looked at again: %+v", rep.Results[1].Health)
	}
}

// TestUnhealthyStaysUnhealthy: what has not become healthy is no success of a
// later run, which looks at it once if it changes nothing and waits if it does.
func TestUnhealthyStaysUnhealthy(t *testing.T) {
	s := open(t)
	files := map[string]string{"a.yaml": configMap("a", "one"), "old.yaml": configMap("old", "one"), "web.yaml": strings.Replace(deployment("web", ""), "replicas: 0", "replicas: 1", 1)} // there are no nodes
	want := func(ctx context.Context, timeout time.Duration, action apply.Action, message string) {
		t.Helper()
		s.options.Health.Timeout = timeout
		rep, _ := s.engine.Apply(ctx, s.read(files), s.options)
		r := rep.Results[len(files)-1]
		if r.Object.Name != "web" || r.Reason != apply.ReasonUnhealthy || r.Action != action || !strings.Contains(r.Message, message) || rep.Err() == nil {
			t.Errorf("%s, want %s", r.Line(), message)
		}
	}
	s.options.Prune.AfterHealthy = true
	stopped, stop := context.WithCancel(t.Context())
	defer stop()
	engine := s.engine
	cfg := rest.CopyConfig(s.config)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/deployments") && !strings.Contains(r.Header.Get("Accept"), "PartialObjectMetadata") {
				stop() // the wait has begun
			}
			return next.RoundTrip(r)
		})
	})
	var err error
	s.engine, err = apply.New(cfg)
	s.must(err)
	want(stopped, time.Hour, apply.Created, "not healthy when the run was stopped: ")
	s.engine = engine
	want(t.Context(), time.Second, apply.Unchanged, "not healthy within 1s: ")
	want(t.Context(), time.Hour, apply.Unchanged, "still not healthy, after an earlier run has waited for it: ")
	delete(files, "old.yaml")
	want(t.Context(), time.Hour, apply.Unchanged, "still not healthy")
	want(t.Context(), 0, apply.Unchanged, "still not healthy")
	if s.value("old") != "one" {
		t.Error("the old version was deleted while the new one is not healthy")
	}
	files["a.yaml"] = configMap("a", "two")
	want(t.Context(), time.Second, apply.Unchanged, "not healthy within 1s: ")
	s.patch("deployments", "web", `{"spec":{"replicas":0}}`, types.MergePatchType)
	files["web.yaml"] = deployment("web", "")
	s.options.Health.Timeout = 20 * time.Second
	s.expect(s.sync(files), "1 configured, 1 unchanged, 1 pruned")
	s.expect(s.sync(files), "2 unchanged")
}

// TestARefusalIsNotWaitedFor: what the API server refuses is said at once; what was
// applied before it is waited for by the run of the repaired set.
func TestARefusalIsNotWaitedFor(t *testing.T) {
	s := open(t)
	s.options.Health.Timeout = time.Second
	files := map[string]string{
		"web.yaml": strings.Replace(deployment("web", ""), "replicas: 0", "replicas: 1", 1), // there are no nodes
		"z.yaml":   "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\nmetadata: {name: NS}\nspec: {}\n",
	}
	rep := s.apply(s.read(files))
	if s.expect(rep, "1 created, 1 failed"); rep.Results[0].Reason != "" || rep.Results[1].Reason != apply.ReasonInvalid {
		t.Errorf("%s; %s", rep.Results[0].Line(), rep.Results[1].Line())
	}
	delete(files, "z.yaml")
	rep = s.apply(s.read(files))
	if s.expect(rep, "1 unchanged"); !strings.Contains(rep.Results[0].Message, "not healthy within 1s: ") {
		t.Errorf("%s", rep.Results[0].Line())
	}
}

// TestHealthByRules: an expression decides where there is one for the kind.
func TestHealthByRules(t *testing.T) {
	s := open(t)
	s.options.Health = apply.Health{Rules: []health.Rule{{Kind: "ConfigMap", Healthy: `data.value == "ready"`, Failed: `data.value == "broken"`}}}
	for value, want := range map[string]string{
		"ready": "", "waiting": "not healthy within 3s: the expression healthy of health does not hold", "broken": "it is failed: the expression failed of health holds",
	} {
		s.options.Health.Timeout = time.Minute
		if value == "waiting" {
			s.options.Health.Timeout = 3 * time.Second
		}
		rep := s.apply(s.read(map[string]string{"a.yaml": configMap("a", value)}))
		if r := rep.Results[0]; r.Message != want || (r.Reason == apply.ReasonUnhealthy) != (want != "") {
			t.Errorf("%s: %s", value, r.Line())
		}
	}
	s.options.Health.Rules[0].Healthy = "("
	if rep, err := s.engine.Apply(t.Context(), apply.Set{Objects: nil}, s.options); err == nil || !strings.HasPrefix(err.Error(), "health[0].healthy: ") || rep.Changed() {
		t.Error(err)
	}
}

// TestDependencyThatIsNotHealthy: what depends on it is not applied.
func TestDependencyThatIsNotHealthy(t *testing.T) {
	s := open(t)
	s.options.Health.Timeout = time.Second
	needy := strings.Replace(configMap("needy", "one"), "{name: needy}", "{name: needy, annotations: {config.kubernetes.io/depends-on: apps/namespaces/NS/Deployment/web}}", 1)
	rep := s.apply(s.read(map[string]string{"web.yaml": strings.Replace(deployment("web", ""), "replicas: 0", "replicas: 1", 1), "a.yaml": needy}))
	if r := rep.Results[0]; r.Action != apply.Skipped || r.Reason != apply.ReasonDependency || !strings.Contains(r.Message, "Deployment.apps "+s.namespace+"/web, which is progressing") {
		t.Errorf("%s", r.Line())
	}
}
