package gitlabsim

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVariablesOfAProject(t *testing.T) {
	s, err := Start(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"acme/shop", "acme/other"} {
		_, err := s.CreateProject(ProjectOptions{Path: path})
		must(err)
	}
	const of = "project:acme/shop"
	must(s.SetVariable(of, Variable{Key: "A", Value: "old"}))
	must(s.SetVariable(of, Variable{Key: "A", Value: "all", Protected: true}))
	must(s.SetVariable(of, Variable{Key: "A", Value: "reviews", Scope: "review/*", Raw: true}))
	must(s.SetVariable(of, Variable{Key: "H", Value: "gone", Hidden: true, File: true}))
	must(s.SetVariable("group:acme", Variable{Key: "G", Value: "of the group"}))
	token := func(o AccessTokenOptions) string {
		t.Helper()
		text, err := s.CreateAccessToken(o)
		must(err)
		return text
	}
	maintainer := token(AccessTokenOptions{Project: "acme/shop", Scopes: []string{"read_api"}})
	const all = "/projects/acme%2Fshop/variables"
	entity := func(key, value, scope string) string {
		return fmt.Sprintf(`{"variable_type":"env_var","key":%q,"value":%q,"hidden":false,"protected":%t,"masked":false,"raw":%t,"environment_scope":%q,"description":null}`, key, value, scope == "*", scope != "*", scope)
	}
	hidden := `{"variable_type":"file","key":"H","value":null,"hidden":true,"protected":false,"masked":true,"raw":false,"environment_scope":"*","description":null}`
	for _, tt := range []struct{ query, want, next string }{
		{"", "[" + entity("A", "all", "*") + "," + entity("A", "reviews", "review/*") + "," + hidden + "]", ""},
		{"?per_page=2&page=1", "[" + entity("A", "all", "*") + "," + entity("A", "reviews", "review/*") + "]", "2"},
		{"?per_page=2&page=2", "[" + hidden + "]", ""},
	} {
		code, header, text := call(t, s, "GET", all+tt.query, maintainer, "", "")
		var got, want any
		must(json.Unmarshal([]byte(tt.want), &want))
		if err := json.Unmarshal(text, &got); code != 200 || err != nil || header.Get("X-Next-Page") != tt.next {
			t.Errorf("%s: %d, %v, next page %q", tt.query, code, err, header.Get("X-Next-Page"))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", tt.query, diff)
		}
	}
	for name, tt := range map[string]struct {
		token string
		want  int
	}{
		"developer":       {token(AccessTokenOptions{Project: "acme/shop", Scopes: []string{"api"}, Level: Developer}), 403},
		"another project": {token(AccessTokenOptions{Project: "acme/other", Scopes: []string{"api"}}), 404},
		"another scope":   {token(AccessTokenOptions{Project: "acme/shop", Scopes: []string{"read_repository"}}), 403},
		"nobody":          {"glpat-none", 401},
	} {
		if code, _, text := call(t, s, "GET", all, tt.token, "", ""); code != tt.want {
			t.Errorf("%s: %d %s", name, code, text)
		}
	}
}

func TestWhichVariablesAreOfAnEnvironment(t *testing.T) {
	for _, tt := range []struct {
		scope, environment string
		rank               int
		ok                 bool
	}{
		{"", "", 0, true},
		{"*", "production", 0, true},
		{"production", "production", 2, true},
		{"production", "", 0, false},
		{"production", "Production", 1, false},
		{"review/*", "review/a/b", 1, true},
		{"review/*", "preview/a", 1, false},
		{"*.io", "a.io", 1, true},
		{"*.io", "a.iox", 1, false},
		{"r_w/*", "raw/a", 1, false},
	} {
		v := Variable{Scope: tt.scope}
		if rank, ok := v.relevance(tt.environment); ok != tt.ok || ok && rank != tt.rank {
			t.Errorf("%q for %q: %d, %t", tt.scope, tt.environment, rank, ok)
		}
	}
}

func TestProtectedBranchesAndTags(t *testing.T) {
	s, err := Start(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = s.CreateProject(ProjectOptions{Path: "acme/shop"})
	for _, branch := range []string{"main", "release/1", "feature"} {
		if err == nil {
			_, err = s.Push("acme/shop", branch, map[string]string{"a": branch})
		}
	}
	if err == nil {
		err = s.CreateTag("acme/shop", "v1", "main")
	}
	if err == nil {
		err = s.SetProtected("acme/shop", "main", "release/*", "tag:v*")
	}
	token, tokenErr := s.CreateAccessToken(AccessTokenOptions{Project: "acme/shop", Scopes: []string{"read_api"}, Level: Reporter})
	if err != nil || tokenErr != nil {
		t.Fatal(err, tokenErr)
	}
	for ref, want := range map[string]string{"branches/main": "true", "branches/release%2F1": "true", "branches/feature": "false", "tags/v1": "true", "branches/v1": "", "tags/main": ""} {
		code, _, text := call(t, s, "GET", "/projects/acme%2Fshop/repository/"+ref, token, "", "")
		var got struct {
			Protected *bool `json:"protected"`
		}
		_ = json.Unmarshal(text, &got)
		if want == "" && code == 404 {
			continue
		}
		if code != 200 || got.Protected == nil || fmt.Sprint(*got.Protected) != want {
			t.Errorf("%s: %d %s", ref, code, text)
		}
	}
}
