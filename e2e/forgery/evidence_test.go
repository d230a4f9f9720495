package forgery

import (
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
}
