package gitlab_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

const agentsAnswer = `{
 "allowed_agents":[{"id":5,"config_project":{"id":9},"configuration":{"access_as":{}}}],
 "job":{"id":1001},"pipeline":{"id":574},"project":{"id":20,"groups":[{"id":72},{"id":70}]},
 "user":{"id":3,"username":"alice","roles_in_project":["guest","developer"]},
 "environment":{"slug":"prod","tier":"production"}, "something_new":[1]}`

func TestAllowedAgents(t *testing.T) {
	s := serve(t, reply{200, asJSON, agentsAnswer})
	got, err := client(t, s.URL, nil).AllowedAgents(t.Context(), jobToken)
	if err != nil {
		t.Fatal(err)
	}
	if got.Job.ID != 1001 || got.Project.ID != 20 || len(got.Project.Groups) != 2 || got.User.Username != "alice" ||
		got.Environment.Slug != "prod" || got.AllowedAgents[0].ID != 5 || got.AllowedAgents[0].ConfigProject.ID != 9 {
		t.Errorf("answer = %+v", got)
	}
	call := s.only()
	if call.Method != http.MethodGet || call.URI != "/api/v4/job/allowed_agents" || call.Header.Get("Job-Token") != jobToken || len(call.Body) > 0 {
		t.Errorf("request = %+v", call)
	}
}

func TestReadingFailsAsCallersBranchOnIt(t *testing.T) {
	tests := map[string]struct {
		reply   reply
		refused bool
		want    string
		after   time.Duration
	}{
		"no token":      {reply{401, asJSON, `{"message":"401 Unauthorized"}`}, true, "401 Unauthorized", 0},
		"forbidden":     {reply{403, asJSON, `{"message":"` + jobToken + ` is over"}`}, true, "[redacted] is over", 0},
		"not found":     {reply{404, nil, ""}, true, "404 Not Found", 0},
		"bad request":   {reply{400, nil, ""}, false, "400 Bad Request", 0},
		"a page":        {reply{200, map[string]string{"Content-Type": "text/html"}, "<html>"}, false, "without JSON", 0},
		"broken JSON":   {reply{200, asJSON, `{"job":`}, false, "another shape", 0},
		"another shape": {reply{200, asJSON, `[[1]]`}, false, "another shape", 0},
		"too large":     {reply{200, asJSON, strings.Repeat(" ", 1<<20+1)}, false, "over the limit", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t, tt.reply)
			c := client(t, s.URL, nil)
			_, err := c.AllowedAgents(t.Context(), jobToken)
			_, err2 := c.EnvironmentNamed(t.Context(), jobToken, 20, "x")
			for _, err := range []error{err, err2} {
				noSecret(t, err)
				if err == nil || errors.Is(err, gitlab.ErrRefused) != tt.refused || !strings.Contains(err.Error(), tt.want) || gitlab.After(err) != tt.after {
					t.Errorf("error = %v (after %s)", err, gitlab.After(err))
				}
			}
		})
	}
}

func TestEnvironmentNamed(t *testing.T) {
	const list = `[{"id":1,"name":"review/a","slug":"review-a"},{"id":2,"name":"review/A b&c","slug":"review-x","tier":"development"}]`
	s := serve(t, reply{200, asJSON, list}, reply{200, asJSON, list}, reply{200, asJSON, `[]`})
	c := client(t, s.URL, nil)
	got, err := c.EnvironmentNamed(t.Context(), jobToken, 20, "review/A b&c")
	if diff := cmp.Diff(&gitlab.Environment{ID: 2, Name: "review/A b&c", Slug: "review-x", Tier: "development"}, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	for range 2 {
		if got, err := c.EnvironmentNamed(t.Context(), jobToken, 20, "review"); got != nil || err != nil {
			t.Errorf("a name that nothing has exactly: %+v, %v", got, err)
		}
	}
	call := s.seen()[0]
	if call.URI != "/api/v4/projects/20/environments?name=review%2FA+b%26c" || call.Header.Get("JOB-TOKEN") != jobToken {
		t.Errorf("request = %s %v", call.URI, call.Header)
	}
}

func TestEnvironmentWithItsAgent(t *testing.T) {
	s := serve(t,
		reply{200, asJSON, `[{"id":1,"name":"p","slug":"p","cluster_agent":{"id":5,"name":"main","config_project":{"id":9,"path_with_namespace":"acme/agents"}},"kubernetes_namespace":"shop"}]`},
		reply{200, asJSON, `[{"id":1,"name":"p","slug":"p","cluster_agent":null,"kubernetes_namespace":null}]`})
	c := client(t, s.URL, nil)
	got, err := c.EnvironmentNamed(t.Context(), jobToken, 20, "p")
	if err != nil || got.ClusterAgent.Context() != "acme/agents:main" || got.KubernetesNamespace != "shop" {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = c.EnvironmentNamed(t.Context(), jobToken, 20, "p")
	if err != nil || got.ClusterAgent != nil || got.KubernetesNamespace != "" {
		t.Errorf("%+v, %v", got, err)
	}
}
