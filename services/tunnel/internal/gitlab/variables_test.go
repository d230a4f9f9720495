package gitlab_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

func TestVariables(t *testing.T) {
	s := serve(t,
		reply{200, with(map[string]string{"X-Next-Page": "2"}), `[
			{"key":"DOMAIN","value":"a.example.com","variable_type":"env_var","protected":false,"masked":false,"hidden":false,"raw":true,"environment_scope":"*","description":null},
			{"key":"OTHER","value":"x","variable_type":"of the future","environment_scope":"*"},
			{"key":"DOMAIN","value":"b.example.com","variable_type":"env_var","protected":true,"environment_scope":"review/*"}]`},
		reply{200, with(map[string]string{"X-Next-Page": ""}), `[
			{"key":"PASSWORD","value":null,"variable_type":"env_var","protected":false,"masked":true,"hidden":true,"raw":false,"environment_scope":"production"},
			{"key":"KEY","value":"k","variable_type":"file","protected":false}]`})
	got, err := client(t, s.URL, nil).Variables(t.Context(), "glpat-secret", "acme/shop", []string{"DOMAIN", "PASSWORD", "KEY", "NONE"})
	want := []gitlab.Variable{
		{Key: "DOMAIN", Value: "a.example.com", Scope: "*"},
		{Key: "DOMAIN", Value: "b.example.com", Scope: "review/*", Protected: true},
		{Key: "PASSWORD", Scope: "production", Hidden: true},
		{Key: "KEY", Value: "k", Scope: "*", File: true},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	calls := s.seen()
	if calls[0].URI != "/api/v4/projects/acme%2Fshop/variables?page=1&per_page=100" || calls[1].URI != "/api/v4/projects/acme%2Fshop/variables?page=2&per_page=100" ||
		calls[1].Header.Get("Private-Token") != "glpat-secret" {
		t.Errorf("%+v", calls)
	}
}

func TestVariablesThatGitLabDoesNotGive(t *testing.T) {
	const value = "battery-staple"
	one := func(more string) string {
		return `{"key":"A","value":"` + value + `","variable_type":"env_var","environment_scope":"*"` + more + `}`
	}
	again := with(map[string]string{"X-Next-Page": "2"})
	for name, tt := range map[string]struct {
		reply reply
		want  string
		calls int
	}{
		"no role":         {reply{403, asJSON, `{"message":"403 Forbidden"}`}, "GitLab refuses the token (403 Forbidden)", 1},
		"no project":      {reply{404, asJSON, `{"message":"404 Project Not Found"}`}, "GitLab has no such project", 1},
		"not modified":    {reply{304, nil, ""}, "304 to a question without", 1},
		"no list":         {reply{200, asJSON, one("")}, "JSON of another shape", 1},
		"null":            {reply{200, asJSON, "null"}, "no page of at most 100 variables", 1},
		"a number":        {reply{200, asJSON, `[{"key":"A","value":12345678,"variable_type":"env_var"}]`}, "JSON of another shape", 1},
		"a list as key":   {reply{200, asJSON, `[{"key":["A"],"value":"` + value + `"}]`}, "JSON of another shape", 1},
		"a word for true": {reply{200, asJSON, "[" + one(`,"protected":"no"`) + "]"}, "JSON of another shape", 1},
		"no type":         {reply{200, asJSON, `[{"key":"A","value":"` + value + `"}]`}, "type of variable A", 1},
		"a long scope":    {reply{200, asJSON, `[{"key":"A","value":"x","variable_type":"env_var","environment_scope":"` + strings.Repeat("a", 2000) + `"}]`}, "environments of variable A", 1},
		"twice":           {reply{200, asJSON, "[" + one("") + "," + one("") + "]"}, "variable A twice", 1},
		"twice by pages":  {reply{200, again, "[" + one("") + "]"}, "variable A twice", 2},
		"without an end":  {reply{200, again, "[]"}, "more than 2000 variables", gitlab.MaxVariablePages},
		"a large page":    {reply{200, asJSON, "[" + strings.Repeat(`{"key":"B"},`, 100) + one("") + "]"}, "no page of at most 100 variables", 1},
		"a large answer":  {reply{200, asJSON, `[{"key":"B","value":"` + strings.Repeat(value, 1<<20) + `"}]`}, "over the limit of 8388608 bytes", 1},
		"no JSON":         {reply{200, nil, value}, "without JSON", 1},
		"trouble":         {reply{503, asJSON, `{"message":"busy"}`}, "GitLab answers busy", 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, tt.reply)
			got, err := client(t, s.URL, nil).Variables(t.Context(), "glpat-secret", "acme/shop", []string{"A"})
			noSecret(t, err)
			if err == nil || !strings.Contains(err.Error(), tt.want) || got != nil || len(s.seen()) != tt.calls {
				t.Errorf("%v, %d values after %d calls", err, len(got), len(s.seen()))
			}
			if text := fmt.Sprint(err); strings.Contains(text, value) || strings.Contains(text, "12345678") {
				t.Errorf("the error shows a value: %s", text)
			}
			if refused := name == "no role"; errors.Is(err, gitlab.ErrRefused) != refused {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestProtectedRefs(t *testing.T) {
	for name, tt := range map[string]struct {
		reply reply
		tag   bool
		want  bool
		uri   string
	}{
		"branch":       {reply{200, asJSON, `{"name":"a/b","protected":true}`}, false, true, "branches/a%2Fb"},
		"tag":          {reply{200, asJSON, `{"name":"a/b","protected":true}`}, true, true, "tags/a%2Fb"},
		"not":          {reply{200, asJSON, `{"name":"a/b","protected":false}`}, false, false, "branches/a%2Fb"},
		"another name": {reply{200, asJSON, `{"name":"main","protected":true}`}, false, false, "branches/a%2Fb"},
		"old GitLab":   {reply{200, asJSON, `{"name":"a/b"}`}, true, false, "tags/a%2Fb"},
	} {
		s := serve(t, tt.reply)
		got, err := client(t, s.URL, nil).Protected(t.Context(), "glpat-secret", "acme/shop", "a/b", tt.tag)
		if got != tt.want || err != nil || s.only().URI != "/api/v4/projects/acme%2Fshop/repository/"+tt.uri {
			t.Errorf("%s: %t, %v, %s", name, got, err, s.only().URI)
		}
	}
	s := serve(t, reply{404, asJSON, `{"message":"404 Branch Not Found"}`})
	if got, err := client(t, s.URL, nil).Protected(t.Context(), "glpat-secret", "acme/shop", "gone", false); got || !errors.Is(err, gitlab.ErrNoFile) {
		t.Errorf("%t, %v", got, err)
	}
}
