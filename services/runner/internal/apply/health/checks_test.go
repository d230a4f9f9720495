package health

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func database(status map[string]any) *unstructured.Unstructured {
	o := map[string]any{"apiVersion": "example.com/v1", "kind": "Database", "metadata": map[string]any{"name": "a", "generation": int64(2)}, "spec": map[string]any{"replicas": int64(3)}}
	if status != nil {
		o["status"] = status
	}
	return &unstructured.Unstructured{Object: o}
}

func TestRulesSayWhatIsHealthy(t *testing.T) {
	c, err := Compile([]Rule{{Group: "example.com", Kind: "Database", Healthy: `status.phase == "Ready" && status.ready == spec.replicas`, Failed: `has(status.phase) && status.phase.startsWith("Err")`}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		status map[string]any
		want   State
		says   string
	}{
		{nil, Progressing, "the expression healthy of health: no such key: phase"},
		{map[string]any{"phase": "Ready", "ready": int64(2)}, Progressing, "the expression healthy of health does not hold"},
		{map[string]any{"phase": "Ready", "ready": int64(3)}, Healthy, ""},
		{map[string]any{"phase": "Ready", "ready": int64(3), "observedGeneration": int64(1)}, Progressing, "its controller has not looked"},
		{map[string]any{"phase": "Ready", "ready": int64(3), "observedGeneration": int64(2)}, Healthy, ""},
		{map[string]any{"phase": "Error"}, Failed, "the expression failed of health holds"},
	} {
		if got := c.Of(t.Context(), database(tt.status)); got.State != tt.want || !strings.HasPrefix(got.Message, tt.says) {
			t.Errorf("%v: %+v", tt.status, got)
		}
	}
	if none := (*Checks)(nil); none.Of(t.Context(), database(nil)).State != Healthy {
		t.Error("without rules kstatus decides")
	}
}

func TestExpressionsAreBounded(t *testing.T) {
	c, err := Compile([]Rule{{Group: "example.com", Kind: "Database", Healthy: `status.l.all(a, status.l.all(b, status.l.all(c, a + b + c >= 0)))`}})
	if err != nil {
		t.Fatal(err)
	}
	var l []any
	for i := range 1000 {
		l = append(l, int64(i))
	}
	if got := c.Of(t.Context(), database(map[string]any{"l": l})); got.State != Progressing || !strings.Contains(got.Message, "cost limit exceeded") {
		t.Errorf("%+v", got)
	}
}

func TestWhatIsNoRule(t *testing.T) {
	for want, rules := range map[string][]Rule{
		"health[0].healthy: not an expression of CEL over metadata, spec, status, data or object: 1:8: Syntax error": {{Kind: "A", Healthy: "status.("}},
		"health[0].healthy: not an expression":           {{Kind: "A", Healthy: "phase == 'x'"}},
		"health[0].healthy: it gives string":             {{Kind: "A", Healthy: "'true'"}},
		"health[1].failed: not an expression":            {{Kind: "A", Healthy: "true"}, {Kind: "B", Healthy: "true", Failed: "("}},
		"health[1]: a second rule for A":                 {{Kind: "A", Healthy: "true"}, {Kind: "A", Healthy: "true"}},
		"health[0].healthy: longer than 2000 characters": {{Kind: "A", Healthy: strings.Repeat("true && ", 300) + "true"}},
	} {
		if _, err := Compile(rules); err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func FuzzCompile(f *testing.F) {
	f.Add(`status.phase == "Ready"`)
	f.Fuzz(func(t *testing.T, expression string) {
		c, err := Compile([]Rule{{Group: "example.com", Kind: "Database", Healthy: expression}})
		if err == nil && c.Of(t.Context(), database(nil)).State == Missing {
			t.Error("an object that is there is missing")
		}
	})
}
