package records

import (
	"encoding/json"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/policyapi"
)

func full() Record {
	scoped, protected := int64(8), true
	return Of("caller", "rev", policyapi.Evidence{
		Job: policyapi.EvidenceJob{
			ID: 9, Name: "secret-name", ProjectPath: "g/app", PipelineID: 6, UserID: 7, ScopedUserID: &scoped, Ref: "main", RefType: "branch", RefProtected: &protected,
		},
		AllowedAgents: &policyapi.AllowedAgents{User: policyapi.User{Username: "alice"}}, EnvironmentName: "prod", IDTokens: []string{"secret-token"},
	}, policyapi.Decision{
		Allow: true, Grant: "secret-grant", Identity: grant.Identity{Mode: "ci_job", User: "gitlab:ci_job:9"}, Namespaces: []string{"app"}, DefaultNamespace: "app",
		Rule: "rule", Reasons: []string{"why"}, Remedy: "remedy", Notices: []string{"notice"},
	})
}

// A line of the log is a record, with every field and nothing that is secret.
func TestTheLogLineIsTheRecord(t *testing.T) {
	want := full()
	v := reflect.ValueOf(want)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("%s is not filled in", v.Type().Field(i).Name)
		}
	}
	var b strings.Builder
	slog.New(slog.NewJSONHandler(&b, nil)).LogAttrs(t.Context(), slog.LevelInfo, "decision", want.Attrs()...)
	var got Record
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
		t.Fatal(err)
	}
	got.Time = want.Time
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(b.String(), "secret") {
		t.Error(b.String())
	}
}

func TestNamesAreBounded(t *testing.T) {
	r := Of("", "", policyapi.Evidence{Job: policyapi.EvidenceJob{Ref: strings.Repeat("ä", 1000)}, EnvironmentName: strings.Repeat("x", 1000)}, policyapi.Decision{})
	if len(r.Ref) > maxName || len(r.Environment) > maxName {
		t.Errorf("%d, %d", len(r.Ref), len(r.Environment))
	}
}

func TestTheRingKeepsTheNewest(t *testing.T) {
	var r Ring
	if got := r.Of(1); got != nil {
		t.Errorf("empty: %v", got)
	}
	for i := range int64(Max + 10) {
		r.Add(Record{JobID: i / 2, UserID: i})
	}
	if len(r.all) != Max || len(r.Of(4)) != 0 || len(r.Of(5)) != 2 {
		t.Errorf("%d records, %v, %v", len(r.all), r.Of(4), r.Of(5))
	}
	if got := r.Of((Max + 9) / 2); len(got) != 2 || got[0].UserID != Max+9 || got[1].UserID != Max+8 {
		t.Errorf("order: %v", got)
	}
}
