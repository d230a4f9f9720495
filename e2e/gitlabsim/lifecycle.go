package gitlabsim

import (
	"slices"
	"time"
)

func (s *Server) event(j *job, what, detail string) {
	j.events = append(j.events, Event{At: s.now(), What: what, Detail: detail})
}

func (j *job) at(what string) time.Time { return Job{Timeline: j.events}.At(what) }

// enqueue makes a job pending and tells the runners (3.4); the mutex is held.
func (s *Server) enqueue(j *job) {
	j.status = Pending
	j.pendingAt = s.now()
	s.event(j, EventPending, "")
	s.tick(j)
	s.touch()
}

// finish ends a job: a canceling one becomes canceled whatever the outcome
// (9); a failed one may be retried (18). The mutex is held.
func (s *Server) finish(j *job, to Status, reason string, exit *int) {
	if j.status == Canceling {
		to, reason = Canceled, ""
	}
	j.status, j.reason, j.exitCode, j.ended = to, reason, exit, s.now()
	s.event(j, EventFinished, string(to))
	if to == Success && j.env != nil {
		s.deployed(j)
	}
	if to == Failed && s.shouldRetry(j) {
		s.retry(j)
	}
	s.process(j.pipeline)
	s.touch()
}

// deployed applies a successful deployment to its environment: stop stops it,
// start records the deployment and, when the user may use the agent through
// user_access, the agent and the namespace (agent-config 2.2).
func (s *Server) deployed(j *job) {
	e, spec := j.env, j.spec.Environment
	e.updatedAt = s.now()
	switch spec.Action {
	case "stop":
		e.State = "stopped"
	case "start":
		e.State = "available"
		e.lastDeployment = j
		if spec.URL != "" {
			e.URL = s.expandFor(j, spec.URL)
		}
		if a := s.agentByPath(s.expandFor(j, spec.Agent)); a != nil && s.userMayUse(a, j.user) {
			e.agent = a
			e.Namespace = s.expandFor(j, spec.Namespace)
		}
	}
}

// expandFor expands text with the job's variables, unknown ones kept.
func (s *Server) expandFor(j *job, text string) string {
	if text == "" {
		return ""
	}
	list, err := s.jobVariables(j)
	if err != nil {
		return text
	}
	expanded, err := expandAll(list)
	if err != nil {
		return text
	}
	latest := map[string]item{}
	for _, v := range expanded {
		latest[v.key] = v
	}
	return expandValue(text, func(name string) (item, bool) { v, ok := latest[name]; return v, ok })
}

// neverRetried are reasons retry does not apply to (18).
var neverRetried = []string{"ci_quota_exceeded", "no_matching_runner", "missing_dependency_failure", "forward_deployment_failure", "environment_creation_failure"}

func (s *Server) shouldRetry(j *job) bool {
	if slices.Contains(neverRetried, j.reason) {
		return false
	}
	r := j.spec.Retry
	if j.reason == "scheduler_failure" && r.Max == 0 {
		return j.attempt < 2
	}
	if j.attempt >= r.Max {
		return false
	}
	if len(r.When) == 0 && len(r.ExitCodes) == 0 {
		return true
	}
	return slices.Contains(r.When, "always") || slices.Contains(r.When, j.reason) ||
		j.exitCode != nil && slices.Contains(r.ExitCodes, *j.exitCode)
}

// retry makes the successor of a job: a new id and a new token.
func (s *Server) retry(j *job) *job {
	j.retried = true
	n := s.newJob(j.pipeline, j.spec, j.stageIdx)
	n.user, n.env, n.vars, n.attempt = j.user, j.env, j.vars, j.attempt+1
	s.enqueue(n)
	return n
}

// cancel is the user's cancel (18.1): canceling when the manager advertised
// cancel_gracefully, else canceled at once.
func (s *Server) cancel(j *job) bool {
	switch {
	case j.status == Canceling:
		return true
	case j.status.Final():
		return false
	}
	s.event(j, EventCancel, "")
	if j.status == Running && j.graceful {
		j.status = Canceling
		s.touch()
		return true
	}
	s.finish(j, Canceled, "", nil)
	return true
}

func (j *job) allowsFailure() bool {
	a := j.spec.AllowFailure
	return a.All || j.exitCode != nil && slices.Contains(a.ExitCodes, *j.exitCode)
}
