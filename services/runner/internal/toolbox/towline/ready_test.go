package towline

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/services/runner/internal/syncer"
	"github.com/towline/towline/services/runner/internal/toolbox/kubectl"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

func TestJudge(t *testing.T) {
	const apps = "apiVersion: apps/v1\n"
	tests := map[string]struct {
		object string
		want   state
	}{
		"deployment not observed":   {apps + "kind: Deployment\nmetadata: {generation: 2}\nspec: {replicas: 1}\nstatus: {observedGeneration: 1}", notYet("its controller has not seen the latest change")},
		"deployment without status": {apps + "kind: Deployment\nspec: {replicas: 1}", notYet("its controller has not seen it")},
		"deployment updating":       {apps + "kind: Deployment\nspec: {replicas: 3}\nstatus: {observedGeneration: 1, updatedReplicas: 1}", notYet("1 of 3 new replicas have been updated")},
		"deployment with old pods":  {apps + "kind: Deployment\nspec: {replicas: 1}\nstatus: {observedGeneration: 1, updatedReplicas: 1, replicas: 2}", notYet("1 old replicas are pending termination")},
		"deployment not available":  {apps + "kind: Deployment\nstatus: {observedGeneration: 1, updatedReplicas: 1, replicas: 1}", notYet("0 of 1 updated replicas are available")},
		"deployment ready":          {apps + "kind: Deployment\nstatus: {observedGeneration: 1, updatedReplicas: 1, replicas: 1, availableReplicas: 1}", state{ready, "1 replicas are available"}},
		"deployment of nothing":     {apps + "kind: Deployment\nspec: {replicas: 0}\nstatus: {observedGeneration: 1}", state{ready, "0 replicas are available"}},
		"deployment too late":       {apps + "kind: Deployment\nstatus: {observedGeneration: 1, conditions: [{type: Progressing, status: \"False\", reason: ProgressDeadlineExceeded}]}", state{failed, "exceeded its progress deadline"}},
		"stateful set waiting":      {apps + "kind: StatefulSet\nspec: {replicas: 2}\nstatus: {observedGeneration: 1, readyReplicas: 1}", notYet("1 of 2 replicas are ready")},
		"stateful set updating":     {apps + "kind: StatefulSet\nspec: {replicas: 2}\nstatus: {observedGeneration: 1, readyReplicas: 2, currentRevision: a, updateRevision: b, updatedReplicas: 1}", notYet("1 of 2 replicas have been updated")},
		"stateful set partitioned":  {apps + "kind: StatefulSet\nspec: {replicas: 2, updateStrategy: {rollingUpdate: {partition: 1}}}\nstatus: {observedGeneration: 1, readyReplicas: 2, currentRevision: a, updateRevision: b, updatedReplicas: 1}", state{ready, "2 replicas are ready"}},
		"daemon set":                {apps + "kind: DaemonSet\nstatus: {observedGeneration: 1, desiredNumberScheduled: 2, updatedNumberScheduled: 2, numberAvailable: 1}", notYet("1 of 2 pods are available")},
		"job running":               {"apiVersion: batch/v1\nkind: Job\nstatus: {active: 1}", notYet("1 active, 0 succeeded, 0 failed")},
		"job complete":              {"apiVersion: batch/v1\nkind: Job\nstatus: {conditions: [{type: Complete, status: \"True\"}]}", state{ready, "has completed"}},
		"job failed":                {"apiVersion: batch/v1\nkind: Job\nstatus: {conditions: [{type: Failed, status: \"True\", reason: BackoffLimitExceeded, message: too often}]}", state{failed, "has failed: BackoffLimitExceeded: too often"}},
		"pod pulling":               {"apiVersion: v1\nkind: Pod\nstatus: {phase: Pending, containerStatuses: [{name: c, state: {waiting: {reason: ImagePullBackOff, message: no such image}}}]}", notYet("container c: ImagePullBackOff: no such image")},
		"pod ready":                 {"apiVersion: v1\nkind: Pod\nstatus: {phase: Running, conditions: [{type: Ready, status: \"True\"}]}", state{ready, "is ready"}},
		"claim pending":             {"apiVersion: v1\nkind: PersistentVolumeClaim\nstatus: {phase: Pending}", notYet("is not bound")},
		"load balancer":             {"apiVersion: v1\nkind: Service\nspec: {type: LoadBalancer}", notYet("has no address of its load balancer")},
		"service":                   {"apiVersion: v1\nkind: Service\nspec: {type: ClusterIP}", state{ready, "is there"}},
		"definition":                {"apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nstatus: {conditions: [{type: Established, status: \"True\"}]}", state{ready, "is established"}},
		"definition refused":        {"apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nstatus: {conditions: [{type: NamesAccepted, status: \"False\", message: taken}]}", state{failed, "taken"}},
		"custom object":             {"apiVersion: x/v1\nkind: X\nstatus: {conditions: [{type: Ready, status: Unknown, message: soon}]}", notYet("is not ready: soon")},
		"custom object stalled":     {"apiVersion: x/v1\nkind: X\nstatus: {conditions: [{type: Stalled, status: \"True\", message: never}]}", state{failed, "is stalled: never"}},
		"config map":                {"apiVersion: v1\nkind: ConfigMap", state{ready, "is there"}},
		"being deleted":             {"apiVersion: v1\nkind: ConfigMap\nmetadata: {deletionTimestamp: \"2024-01-01T00:00:00Z\"}", notYet("is being deleted")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var u unstructured.Unstructured
			text, err := yaml.YAMLToJSON([]byte(tt.object))
			if err != nil {
				t.Fatal(err)
			}
			if err := u.UnmarshalJSON(text); err != nil {
				t.Fatal(err)
			}
			if got := judge(&u); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestWhoamiShowsTheGrant(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	claims := grant.Claims{
		RegisteredClaims: jwt.RegisteredClaims{Issuer: grant.Issuer, ExpiresAt: jwt.NewNumericDate(now.Add(time.Hour))},
		Job:              grant.Job{ID: 42, PipelineID: 9, ProjectID: 7, ProjectPath: "group/app"},
		Identity:         grant.Identity{Mode: grant.ModeCIJob, User: "gitlab:ci_job:42"},
		Agent:            grant.Agent{Project: "group/config", Name: "agent"},
		Namespaces:       []string{"one", "two"}, DefaultNamespace: "one", ConfigRevision: "abc",
	}
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	who := Identity{User: "gitlab:ci_job:42", Groups: []string{"gitlab:ci_job", "x"}, Namespace: "one"}
	who.read("e30." + base64.RawURLEncoding.EncodeToString(text) + ".c2ln")
	var out strings.Builder
	if err := who.print(&out, now); err != nil {
		t.Fatal(err)
	}
	want := `Project            group/app (7)
Job                42, pipeline 9
Agent              group/config:agent
Mode               ci_job
User               gitlab:ci_job:42
Groups             gitlab:ci_job, x
Namespaces         one, two
Default namespace  one
Configuration      abc
Current namespace  one
Grant expires      2026-01-02T04:00:00Z (in 1h0m0s)
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestWhoamiTakesNothingFromOtherTokens(t *testing.T) {
	for _, token := range []string{"", "opaque", "a.b.c", "e30.e30.e30", "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"someone","job":{"id":1}}`)) + ".x", strings.Repeat("a.", grant.MaxToken)} {
		who := Identity{User: "u"}
		if who.read(token); who.Job != 0 || who.User != "u" {
			t.Errorf("%q: %+v", token, who)
		}
	}
}

func run(t *testing.T, config, dir, stdin string, args ...string) (int, string, string) {
	t.Helper()
	k := kubectl.New(t.TempDir())
	var out, errs strings.Builder
	code := New(k, nil, syncer.Outside{}).Run(t.Context(), tool.Invocation{
		Name: "towline", Args: args, Dir: dir, Environ: []string{"KUBECONFIG=" + config},
		Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs,
		Run: func(ctx context.Context, inner tool.Invocation) int {
			if inner.Name != "kubectl" {
				return 127
			}
			return k.Run(ctx, inner)
		},
	})
	return code, out.String(), errs.String()
}

func TestWrongCallsExplainThemselves(t *testing.T) {
	for _, args := range [][]string{{}, {"nonsense"}, {"whoami", "-o", "xml"}, {"whoami", "more"}, {"wait"}, {"wait", "--nonsense"}} {
		if code, _, errs := run(t, "/nonexistent", t.TempDir(), "", args...); code != exitUsage || !strings.Contains(errs, "Usage:") {
			t.Errorf("%q: %d, %q", args, code, errs)
		}
	}
}
