package gitlabsim

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDeploymentRecords(t *testing.T) {
	s, err := Start(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.CreateProject(ProjectOptions{Path: "acme/shop"}); err != nil {
		t.Fatal(err)
	}
	sha, err := s.Push("acme/shop", "", map[string]string{"a": "1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CreateTag("acme/shop", "v1", "main"); err != nil {
		t.Fatal(err)
	}
	token, err := s.CreateAccessToken(AccessTokenOptions{Project: "acme/shop", Scopes: []string{"api"}})
	if err != nil {
		t.Fatal(err)
	}
	reader, err := s.CreateAccessToken(AccessTokenOptions{Project: "acme/shop", Scopes: []string{"read_api"}})
	if err != nil {
		t.Fatal(err)
	}
	const all = "/projects/acme%2Fshop/deployments"
	body := func(change ...string) string {
		return strings.NewReplacer(append(change, "SHA", sha)...).Replace(`{"environment":"production","sha":"SHA","ref":"main","tag":false,"status":"running"}`)
	}
	for name, tt := range map[string]struct {
		token, body string
		want        int
	}{
		"no status":     {token, body(`,"status":"running"`, ""), 400},
		"a wrong one":   {token, body("running", "created"), 400},
		"no commit":     {token, body("SHA", strings.Repeat("0", 40)), 400},
		"no ref":        {token, body("main", "gone"), 400},
		"no tag":        {token, body("false", "true"), 400},
		"unknown field": {token, body("{", `{"description":"x",`), 400},
		"a reader":      {reader, body(), 403},
	} {
		if code, _, text := call(t, s, "POST", all, tt.token, "", tt.body); code != tt.want {
			t.Errorf("%s: %d %s", name, code, text)
		}
	}
	for _, step := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", all, body(), 201},
		{"PUT", all + "/1", `{"status":"failed"}`, 200},
		{"PUT", all + "/1", `{"status":"failed"}`, 400},
		{"PUT", all + "/1", `{"status":"success"}`, 200},
		{"PUT", all + "/1", `{"status":"running"}`, 400},
		{"PUT", all + "/9", `{"status":"success"}`, 404},
		{"POST", all, body("main", "v1", "false", "true", "production", "staging"), 201},
	} {
		if code, _, text := call(t, s, step.method, step.path, token, "", step.body); code != step.want {
			t.Errorf("%s %s: %d %s", step.method, step.body, code, text)
		}
	}
	got, err := s.Deployments("acme/shop")
	want := []Deployment{
		{ID: 1, IID: 1, Environment: "production", Ref: "main", SHA: sha, Status: "success", States: []string{"running", "failed", "success"}},
		{ID: 2, IID: 2, Environment: "staging", Ref: "v1", Tag: true, SHA: sha, Status: "running", States: []string{"running"}},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

func TestMergeBase(t *testing.T) {
	s, err := Start(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.CreateProject(ProjectOptions{Path: "acme/shop"}); err != nil {
		t.Fatal(err)
	}
	first, err := s.Push("acme/shop", "", map[string]string{"a": "1"})
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Push("acme/shop", "", map[string]string{"a": "2"})
	if err != nil {
		t.Fatal(err)
	}
	other, err := s.ForcePush("acme/shop", "aside", map[string]string{"b": "1"})
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.CreateAccessToken(AccessTokenOptions{Project: "acme/shop", Scopes: []string{"read_api"}})
	if err != nil {
		t.Fatal(err)
	}
	for refs, want := range map[string]struct {
		code int
		id   string
	}{
		first + " " + second: {200, first}, second + " " + first: {200, first}, first + " " + other: {404, ""}, first: {400, ""}, first + " gone": {400, ""},
	} {
		query := "?refs[]=" + strings.ReplaceAll(refs, " ", "&refs[]=")
		code, _, body := call(t, s, "GET", "/projects/acme%2Fshop/repository/merge_base"+query, token, "", "")
		if code != want.code || want.id != "" && !strings.Contains(string(body), want.id) {
			t.Errorf("%s: %d %s", refs, code, body)
		}
	}
}
