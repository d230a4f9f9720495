package gitlab_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

func TestCommitStatuses(t *testing.T) {
	s := serve(t,
		reply{201, asJSON, `{"id":1}`},
		reply{201, asJSON, `{"id":2}`},
		reply{400, asJSON, `{"message":"Cannot transition status via :enqueue from :pending"}`},
		reply{403, asJSON, `{"message":"403 Forbidden"}`})
	c := client(t, s.URL+"/gitlab/", nil)
	page := c.AgentPage("acme/agents", "main")
	if page != s.URL+"/gitlab/acme/agents/-/cluster_agents/main" {
		t.Error(page)
	}
	if err := c.SetCommitStatus(t.Context(), "secret", 42, "c1", gitlab.CommitStatus{State: "failed", Name: "towline/main/shop", Ref: "main", Description: "wrong", TargetURL: page}); err != nil {
		t.Error(err)
	}
	// What GitLab would refuse for its length is not worth the status.
	long := gitlab.CommitStatus{State: "success", Name: "x", Description: strings.Repeat("é", 256), TargetURL: page + strings.Repeat("x", 256)}
	if err := c.SetCommitStatus(t.Context(), "secret", 42, "c1", long); err != nil {
		t.Error(err)
	}
	if err := c.SetCommitStatus(t.Context(), "secret", 42, "c1", gitlab.CommitStatus{State: "pending", Name: "x"}); err != nil {
		t.Errorf("what is pending already: %v", err)
	}
	if err := c.SetCommitStatus(t.Context(), "secret", 42, "c1", gitlab.CommitStatus{State: "success", Name: "x"}); !errors.Is(err, gitlab.ErrRefused) {
		t.Error(err)
	}
	var got []map[string]string
	for _, r := range s.seen() {
		var body map[string]string
		if err := json.Unmarshal(r.Body, &body); err != nil || r.URI != "/gitlab/api/v4/projects/42/statuses/c1" {
			t.Fatal(r.URI, err)
		}
		got = append(got, body)
	}
	want := []map[string]string{
		{"state": "failed", "name": "towline/main/shop", "ref": "main", "description": "wrong", "target_url": page},
		{"state": "success", "name": "x", "description": strings.Repeat("é", 254) + "…"},
		{"state": "pending", "name": "x"},
		{"state": "success", "name": "x"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatMayPass(t *testing.T) {
	codes := map[int]bool{400: false, 401: false, 403: false, 404: false, 408: true, 422: false, 429: true, 500: true, 502: true, 503: true}
	for code, want := range codes {
		s := serve(t, reply{code, asJSON, `{"message":"no"}`})
		err := client(t, s.URL, nil).SetCommitStatus(t.Context(), "secret", 42, "c1", gitlab.CommitStatus{State: "success"})
		if err == nil || gitlab.Passing(err) != want {
			t.Errorf("%d: %v", code, err)
		}
	}
	s := serve(t)
	c := client(t, s.URL, nil)
	s.Close()
	if err := c.SetCommitStatus(t.Context(), "secret", 42, "c1", gitlab.CommitStatus{State: "success"}); !gitlab.Passing(err) || gitlab.Passing(nil) {
		t.Error(err)
	}
}
