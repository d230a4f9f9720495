package gitlab_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

func TestDeployments(t *testing.T) {
	s := serve(t,
		reply{200, asJSON, `{"id":42,"default_branch":"main"}`},
		reply{201, asJSON, `{"id":7,"status":"running"}`},
		reply{200, asJSON, `{"id":7,"status":"success"}`},
	)
	c := client(t, s.URL, nil)
	branch, err := c.DefaultBranch(t.Context(), "secret", "acme/shop")
	if err != nil || branch != "main" {
		t.Errorf("%q, %v", branch, err)
	}
	id, err := c.CreateDeployment(t.Context(), "secret", 42, gitlab.Deployment{Environment: "production", SHA: "c1", Ref: branch, Status: gitlab.DeploymentRunning})
	if err != nil || id != 7 {
		t.Errorf("%d, %v", id, err)
	}
	if err := c.UpdateDeployment(t.Context(), "secret", 42, id, gitlab.DeploymentSuccess); err != nil {
		t.Error(err)
	}
	var got []string
	for _, r := range s.seen() {
		if r.Header.Get("Private-Token") != "secret" {
			t.Errorf("%s has no token", r.URI)
		}
		got = append(got, r.Method+" "+r.URI+" "+string(r.Body))
	}
	want := "GET /api/v4/projects/acme%2Fshop \n" +
		`POST /api/v4/projects/42/deployments {"environment":"production","sha":"c1","ref":"main","tag":false,"status":"running"}` + "\n" +
		`PUT /api/v4/projects/42/deployments/7 {"status":"success"}`
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("%s", text)
	}
}

func TestDeploymentsThatGitLabDoesNotTake(t *testing.T) {
	for _, tt := range []struct {
		reply reply
		want  string
	}{
		{reply{403, asJSON, `{"message":"403 Forbidden"}`}, "deployment records need a token with scope api"},
		{reply{400, asJSON, `{"message":{"status":["cannot transition"]}}`}, "GitLab answers"},
		{reply{201, asJSON, `{}`}, "gives the deployment to production no number"},
	} {
		s := serve(t, tt.reply)
		_, err := client(t, s.URL, nil).CreateDeployment(t.Context(), "secret", 42, gitlab.Deployment{Environment: "production"})
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") || len(s.seen()) != 1 {
			t.Errorf("%v after %d calls", err, len(s.seen()))
		}
		if tt.reply.code == 403 && !errors.Is(err, gitlab.ErrRefused) {
			t.Errorf("%v", err)
		}
	}
	s := serve(t, reply{200, asJSON, `{"id":42,"default_branch":null}`})
	if branch, err := client(t, s.URL, nil).DefaultBranch(t.Context(), "secret", "acme/shop"); err == nil {
		t.Errorf("%q", branch)
	}
}

func TestWhatACommitIncludes(t *testing.T) {
	old, young := strings.Repeat("a", 40), strings.Repeat("b", 40)
	for _, tt := range []struct {
		reply reply
		want  bool
	}{{reply{200, asJSON, `{"id":"` + old + `"}`}, true}, {reply{200, asJSON, `{"id":"` + young + `"}`}, false}, {reply{404, asJSON, `{"message":"404 Merge Base Not Found"}`}, false}} {
		s := serve(t, tt.reply)
		got, err := client(t, s.URL, nil).Includes(t.Context(), "secret", "acme/shop", young, old)
		if got != tt.want || err != nil {
			t.Errorf("%+v: %t, %v", tt.reply, got, err)
		}
		if uri := s.seen()[0].URI; uri != "/api/v4/projects/acme%2Fshop/repository/merge_base?refs%5B%5D="+old+"&refs%5B%5D="+young {
			t.Error(uri)
		}
	}
	s := serve(t, reply{200, asJSON, `{}`})
	if got, err := client(t, s.URL, nil).Includes(t.Context(), "secret", "acme/shop", young, "main&x=1"); got || err != nil || len(s.seen()) > 0 {
		t.Errorf("%t, %v: what is no commit is asked about", got, err)
	}
}
