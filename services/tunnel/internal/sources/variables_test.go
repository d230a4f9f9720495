package sources

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

const aValue = "battery-staple"

func of(environment string, names ...string) agentconfig.Manifests {
	return agentconfig.Manifests{Project: "acme/shop", Ref: agentconfig.GitRef{Branch: "feature"}, SubstituteGitLab: &agentconfig.GitLabVariables{Names: names, Environment: environment}}
}

func TestWhichVariableWins(t *testing.T) {
	all := []gitlab.Variable{
		{Key: "A", Value: "exact", Scope: "review/shop"},
		{Key: "A", Value: "short", Scope: "review*"},
		{Key: "A", Value: "all", Scope: "*"},
		{Key: "A", Value: "long", Scope: "review/*"},
		{Key: "B", Value: "for all", Scope: "*"},
		{Key: "B", Value: "protected", Scope: "production", Protected: true},
		{Key: "C", Value: "", Scope: "*"},
		{Key: "D", Value: "one", Scope: "*d"},
		{Key: "D", Value: "two", Scope: "d*"},
	}
	for _, tt := range []struct {
		environment string
		protected   bool
		asked       int
		want        string
	}{
		{"", true, 0, "all, for all, "},
		{"review/shop", true, 0, "exact, for all, "},
		{"review/other/shop", true, 0, "long, for all, "},
		{"reviews", true, 0, "short, for all, "},
		{"Review/shop", true, 0, "all, for all, "},
		{"production", true, 1, "all, protected, "},
		{"production", false, 1, "all, for all, "},
	} {
		asked := 0
		got, wrong, err := Variables(of(tt.environment, "A", "B", "C"), all, func() (bool, error) { asked++; return tt.protected, nil })
		if wrong != nil || err != nil || asked != tt.asked || got["A"]+", "+got["B"]+", "+got["C"] != tt.want || len(got) != 3 {
			t.Errorf("%q: %v, %v, %v, asked %d times", tt.environment, got, wrong, err, asked)
		}
	}
	for range 2 { // where GitLab says nothing its order does not count
		all[len(all)-1], all[len(all)-2] = all[len(all)-2], all[len(all)-1]
		if got, _, _ := Variables(of("dd", "D"), all, nil); got["D"] != "one" {
			t.Errorf("%v", got)
		}
	}
	failed := errors.New("busy")
	if got, wrong, err := Variables(of("production", "B"), all, func() (bool, error) { return false, failed }); got != nil || wrong != nil || !errors.Is(err, failed) {
		t.Errorf("%v, %v, %v", got, wrong, err)
	}
}

func TestVariablesThatCannotBeTaken(t *testing.T) {
	many := of("", strings.Split("A1 A2 A3 A4 A5 A6 A7", " ")...)
	var large []gitlab.Variable
	for _, name := range many.SubstituteGitLab.Names {
		large = append(large, gitlab.Variable{Key: name, Value: strings.Repeat("x", MaxVariableBytes), Scope: "*"})
	}
	for name, tt := range map[string]struct {
		of   agentconfig.Manifests
		all  []gitlab.Variable
		want string
	}{
		"absent":       {of("", "A"), []gitlab.Variable{{Key: "B", Value: aValue, Scope: "*"}}, "is not there; add it in the project's settings of CI/CD (those of groups are not read), or take it out of the entry"},
		"another case": {of("", "A"), []gitlab.Variable{{Key: "a", Value: aValue, Scope: "*"}}, "is not there; add it in the project's settings of CI/CD (those of groups are not read), or take it out of the entry"},
		"one scope": {
			of("", "A"),
			[]gitlab.Variable{{Key: "A", Value: aValue, Scope: "production"}, {Key: "A", Value: aValue, Scope: "dev"}},
			"is for the environments dev, production only; name one in substitute.gitlab.environment, or give the variable a value for all (*)",
		},
		"another scope": {of("staging", "A"), []gitlab.Variable{{Key: "A", Value: aValue, Scope: "production"}}, "is for the environments production and not for staging; give it a value for that one"},
		"many scopes": {
			of("staging", "A"),
			[]gitlab.Variable{{Key: "A", Scope: "a"}, {Key: "A", Scope: "b"}, {Key: "A", Scope: "c"}, {Key: "A", Scope: "d"}, {Key: "A", Scope: "e"}, {Key: "A", Scope: "f"}},
			"is for the environments a, b, c, d, e and others and not for staging; give it a value for that one",
		},
		"protected": {of("", "A"), []gitlab.Variable{{Key: "A", Value: aValue, Scope: "*", Protected: true}}, "is protected, and branch feature is no protected branch or tag; protect that, or take the protection from the variable"},
		"hidden": {
			of("", "A"),
			[]gitlab.Variable{{Key: "A", Scope: "*", Hidden: true}},
			"is hidden, so GitLab shows its value to jobs only; make it anew without that, or put the value into a Secret of the cluster and name that in substitute.from",
		},
		"file":  {of("", "A"), []gitlab.Variable{{Key: "A", Value: aValue, Scope: "*", File: true}}, "is of the type file, and a value stands in a line; make it an ordinary variable, or use a Secret as a file of the application"},
		"lines": {of("", "A"), []gitlab.Variable{{Key: "A", Value: aValue + "\nkind: Secret", Scope: "*"}}, "has more than one line or control characters; use a Secret as a file of the application"},
		"large": {of("", "A"), []gitlab.Variable{{Key: "A", Value: strings.Repeat(aValue, 1000), Scope: "*"}}, "has 14000 bytes, and the limit is 10000; use a Secret as a file of the application"},
		"all":   {many, large, ""},
	} {
		got, wrong, err := Variables(tt.of, tt.all, func() (bool, error) { return false, nil })
		want := "substitute.gitlab: variable A of project acme/shop " + tt.want
		if tt.want == "" {
			want = "substitute.gitlab: the variables of project acme/shop have more than 65536 bytes together; name fewer of them"
		}
		if err != nil || wrong == nil || got != nil {
			t.Errorf("%s: %d values, %v, %v", name, len(got), wrong, err)
			continue
		}
		if diff := cmp.Diff(want, wrong.Error()); diff != "" || strings.Contains(wrong.Error(), aValue) {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestScopesWithWildcards(t *testing.T) {
	for _, tt := range []struct {
		scope, text string
		want        bool
	}{
		{"review/*", "review/a/b", true},
		{"review/*", "review/", true},
		{"review/*", "review", false},
		{"*/shop", "review/shop", true},
		{"a*b*c", "abc", true},
		{"a*b*c", "a-b-b-c", true},
		{"a*b*c", "acb", false},
		{"a*a", "a", false},
		{"ab*bc", "abc", false},
		{"**", "x", true},
		{"a.c*", "abc", false},
		{"", "", false},
		{"a", "a", false},
		{"%", "a", false},
	} {
		if got := wild(tt.scope, tt.text); got != tt.want {
			t.Errorf("%s is %s: %t", tt.scope, tt.text, got)
		}
	}
}
