package gitlabsim

import (
	"slices"
	"strings"
)

// assign takes the first job of the queue the runner may run (3.5) and makes
// it running; the mutex is held. Jobs the runner cannot serve are failed on the
// way, as is one whose payload cannot be built.
func (s *Server) assign(rn *runner, m *manager, features map[string]bool, buildError bool) (map[string]any, *job) {
	for _, j := range s.pendingFor(rn) {
		if s.missingDependency(j) {
			s.finish(j, Failed, "missing_dependency_failure", nil)
			continue
		}
		if missing := j.needsFeature(features); missing != "" {
			s.finish(j, Failed, "runner_unsupported", nil)
			continue
		}
		s.pick(j, rn, m)
		payload, err := s.payload(j, rn)
		if err != nil || buildError {
			s.opts.Log.Error("build payload", "job", j.id, "error", err)
			j.strict.firstPut = true // never handed out
			s.finish(j, Failed, "scheduler_failure", nil)
			return nil, nil
		}
		s.event(j, EventHandedOut, rn.opts.Description)
		s.touch()
		return payload, j
	}
	return nil, nil
}

// pick moves the job from pending to running at the moment of assignment.
func (s *Server) pick(j *job, rn *runner, m *manager) {
	j.runner, j.manager = rn, m
	j.graceful = m.features["cancel_gracefully"]
	j.startedAt = s.now()
	j.updatedAt = j.startedAt
	j.token = s.newJobToken(j)
	if s.opts.TwoPhase && m.features["two_phase_job_commit"] {
		j.ackUntil = s.now().Add(ackWithin)
		return
	}
	j.status = Running
}

func (s *Server) pendingFor(rn *runner) []*job {
	var out []*job
	for _, j := range s.st.queue {
		if j.status == Pending && !s.awaitsAck(j) && s.mayRun(rn, j) && !s.resourceTaken(j) {
			out = append(out, j)
		}
	}
	return out
}

// mayRun is the queue filter: scope, protection, tags (3.5).
func (s *Server) mayRun(rn *runner, j *job) bool {
	if rn.deleted {
		return false
	}
	kind, path, _ := strings.Cut(rn.opts.Scope, ":")
	p := j.pipeline.project
	switch kind {
	case "group":
		if !p.below(path) {
			return false
		}
	case "project":
		if !strings.EqualFold(p.path, path) {
			return false
		}
	}
	if rn.opts.Protected && !s.protectedRef(j.pipeline) {
		return false
	}
	if len(j.spec.Tags) == 0 {
		return rn.opts.RunUntagged
	}
	return !slices.ContainsFunc(j.spec.Tags, func(t string) bool { return !slices.Contains(rn.opts.Tags, t) })
}

// needsFeature names a feature the job needs and the runner does not advertise
// (3.2), or "".
func (j *job) needsFeature(f map[string]bool) string {
	need := map[string]bool{}
	if a := j.spec.Artifacts; a != nil {
		need["upload_multiple_artifacts"] = len(a.Reports) > 0
		need["artifacts_exclude"] = len(a.Exclude) > 0
	}
	need["return_exit_code"] = len(j.spec.AllowFailure.ExitCodes) > 0 || len(j.spec.Retry.ExitCodes) > 0
	need["fallback_cache_keys"] = slices.ContainsFunc(j.spec.Cache, hasFallback)
	for name, needed := range need {
		if needed && !f[name] {
			return name
		}
	}
	return ""
}

// missingDependency tells whether a dependency's archive was erased.
func (s *Server) missingDependency(j *job) bool {
	return slices.ContainsFunc(s.dependenciesOf(j), func(d *job) bool { return d.erased })
}

// below tells whether the project is in the group or one of its subgroups.
func (p *project) below(groupPath string) bool {
	for g := p.group; g != nil; g = g.parent {
		if strings.EqualFold(g.path, groupPath) {
			return true
		}
	}
	return false
}

// tick changes the queue value of every runner that may take the job (3.4);
// the mutex is held.
func (s *Server) tick(j *job) {
	for _, rn := range s.st.runners {
		if s.mayRun(rn, j) {
			s.tickRunner(rn)
		}
	}
}
