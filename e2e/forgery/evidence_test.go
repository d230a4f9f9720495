package forgery

import (
	"strconv"
	"strings"
	"testing"

	sim "github.com/towline/towline/e2e/gitlabsim"
)

// evidence checks what a job may say of itself: that it is meant for another
// agent, which namespace it wants to begin in, and GitLab's own ID token.
func evidence(t *testing.T, s *site) {
	const path = "acme/apps/plain"
	job := func(name, more string) string {
		return name + ":\n  stage: deploy\n  tags: [production]\n  script: [\"kubectl config view --minify -o 'jsonpath={..namespace}'\"]\n" + more
	}
	t.Run("another agent in the file", func(t *testing.T) {
		jobs := s.start(t, path, "main", job("other-file", "  environment: {name: prod, kubernetes: {agent: acme/agents:staging}}\n"))
		s.denied(t, s.wait(t, jobs["other-file"].ID), `the job asks for the agent "acme/agents:staging" (.gitlab-ci.yml), and this is the agent "acme/agents:production"`)
	})
	t.Run("another agent in a variable", func(t *testing.T) {
		jobs := s.start(t, path, "main", job("other-variable", "  variables: {KUBE_CONTEXT: 'acme/agents:staging'}\n"))
		s.denied(t, s.wait(t, jobs["other-variable"].ID), `the job asks for the agent "acme/agents:staging" (KUBE_CONTEXT)`)
	})
	t.Run("namespace of the environment", func(t *testing.T) {
		jobs := s.start(t, path, "main", job("begin", "  environment: {name: prod, kubernetes: {agent: '$CI_PROJECT_ROOT_NAMESPACE/agents:production', namespace: from-the-file}}\n"))
		j := s.wait(t, jobs["begin"].ID)
		if log := s.log(t, j.ID); j.Status != sim.Success || !strings.Contains(log, "\nfrom-the-file") {
			t.Errorf("job is %s:\n%s", j.Status, log)
		}
	})
	const fault = "the job's ID token does not count"
	t.Run("ID token", func(t *testing.T) {
		jobs := s.start(t, path, "main", job("token", "  id_tokens: {T: {aud: [towline, vault]}}\n"))
		j := s.wait(t, jobs["token"].ID)
		if log := s.log(t, j.ID); j.Status != sim.Success || strings.Contains(log, fault) {
			t.Errorf("job is %s:\n%s", j.Status, log)
		}
	})
	t.Run("ID token of the author's making", func(t *testing.T) {
		const unsigned = "eyJhbGciOiJub25lIiwia2lkIjoib25lIn0.eyJhdWQiOiJ0b3dsaW5lIn0."
		jobs := s.start(t, path, "main", job("made-up", "  variables: {T: "+unsigned+"}\n"))
		j := s.wait(t, jobs["made-up"].ID)
		if log := s.log(t, j.ID); j.Status != sim.Success || !strings.Contains(log, fault+": it is not signed with a key of this GitLab") {
			t.Errorf("job is %s:\n%s", j.Status, log)
		}
	})
	t.Run("approvals", func(t *testing.T) { approvals(t, s) })
}

// rules of the cluster's owner: one project deploys to protected environments
// only, on GitLab's signed word.
const rules = `rules:
  - name: approved
    when: project.path == "acme/apps/approved"
    require: id_token.environment_protected
    message: deploy to a protected environment, with an ID token for towline
`

// approvals takes from the ID token what GitLab tells nowhere else.
func approvals(t *testing.T, s *site) {
	const path = "acme/apps/approved"
	must(t, s.gitlab.SetProtectedEnvironments(path, "production"))
	job := func(name, environment, more string) string {
		return name + ":\n  stage: deploy\n  tags: [production]\n  environment: " + environment + "\n  script:\n  - " + strconv.Quote(leave(name)) + "\n" + more
	}
	const token = "  id_tokens: {T: {aud: towline}}\n"
	allowed := func(name string) {
		t.Helper()
		j := s.wait(t, s.start(t, path, "main", job(name, "production", token))[name].ID)
		if j.Status != sim.Success || s.runs(t, name) != 1 {
			t.Errorf("job is %s:\n%s", j.Status, s.log(t, j.ID))
		}
	}
	allowed("approved")
	jobs := s.start(t, path, "main", job("unprotected", "staging", token))
	s.denied(t, s.wait(t, jobs["unprotected"].ID), "deploy to a protected environment")
	jobs = s.start(t, path, "main", job("no-token", "production", ""))
	s.denied(t, s.wait(t, jobs["no-token"].ID), "the job has no ID token for Towline")
	must(t, s.gitlab.RotateIDTokenKey())
	allowed("rotated")
}
