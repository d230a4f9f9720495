package syncer

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/runner/internal/apply/manifests"
)

// variablesFrom is an entry with two of GitLab's variables, one of which vars
// has, too.
var variablesFrom = agentconfig.Manifests{
	Project: "acme/shop", Substitute: map[string]string{"BOTH": "of vars"}, SubstituteGitLab: &agentconfig.GitLabVariables{Names: []string{"BOTH", "TOKEN"}},
}

func TestVariablesOfGitLabAreSubstitutedAndConcealed(t *testing.T) {
	report := &syncspec.Report{}
	values, err := substitutes(t.Context(), nil, variablesFrom, map[string]string{"BOTH": "of GitLab", "TOKEN": "battery-staple"}, report)
	if diff := cmp.Diff(map[string]string{"BOTH": "of vars", "TOKEN": "battery-staple"}, values); diff != "" || err != nil {
		t.Error(err, diff)
	}
	report.Add(`metadata.labels: Invalid value: "battery-staple!"`)
	warn(report, "battery-staple is odd")
	if text := strings.Join(append(report.Problems, report.Warnings...), "\n"); text != "metadata.labels: Invalid value: \"[redacted]!\"\n[redacted] is odd" {
		t.Error(text)
	}
}

// A default would stand in for a variable that has been lost on the way.
func TestVariablesOfGitLabThatHaveNotComeAlong(t *testing.T) {
	for _, have := range []map[string]string{nil, {"BOTH": "x"}} {
		_, err := substitutes(t.Context(), nil, variablesFrom, have, &syncspec.Report{})
		if err == nil || !strings.Contains(err.Error(), " of project acme/shop has not come along with the task") {
			t.Errorf("%v: %v", have, err)
		}
	}
}

// What looks like a reference in a value is none: the build's result is looked
// through after its sources.
func TestValuesAreNotSubstitutedIn(t *testing.T) {
	values := map[string]string{"A": "a${B}$${B}", "B": "b"}
	const want = "x: a${B}$${B} b"
	built := prepare([]syncspec.File{{Path: "a.yaml", Content: []byte("x: ${A} ${B}")}}, values)
	for name, text := range map[string][]byte{"as it is": []byte("x: ${A} ${B}"), "built": built[0].Content} {
		out, faults := substitute([]manifests.File{{Path: "a.yaml", Content: text}}, values)
		if got := string(out[0].Content); got != want || len(faults) > 0 {
			t.Errorf("%s: %s, %v", name, got, faults)
		}
	}
}

// A build quotes what it cannot use; in a job there is no report that hides it.
func TestErrorsOfAComparisonHoldNoValue(t *testing.T) {
	m := variablesFrom
	m.Kustomize = "."
	_, err := Try(t.Context(), &rest.Config{Host: "http://127.0.0.1:1"}, Candidate{
		Entry: m, Variables: map[string]string{"BOTH": "x", "TOKEN": "battery-staple"},
		Files: []syncspec.File{{Path: "kustomization.yaml", Content: []byte("resources: [\"${TOKEN}.yaml\"]\n")}},
	}, Outside{})
	if err == nil || !strings.Contains(err.Error(), "[redacted].yaml") || strings.Contains(err.Error(), "staple") {
		t.Error(err)
	}
}
