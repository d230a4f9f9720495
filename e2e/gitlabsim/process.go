package gitlabsim

import (
	"slices"

	"github.com/towline/towline/e2e/gitlabsim/ciyaml"
)

// process moves created jobs on as far as their predecessors allow; the mutex
// is held.
func (s *Server) process(pl *pipeline) {
	for again := true; again; {
		again = false
		for _, j := range slices.Clone(pl.jobs) {
			if j.status != Created {
				continue
			}
			outcome, ready := s.predecessors(j)
			if !ready {
				continue
			}
			again = true
			s.start(j, outcome)
		}
	}
}

// start decides a job whose predecessors are done.
func (s *Server) start(j *job, before Status) {
	run := before == Success || before == Skipped && !j.spec.HasNeeds
	switch j.spec.When {
	case "on_failure":
		run = before == Failed
	case "always":
		run = true
	}
	switch {
	case !run:
		j.status = Skipped
		j.ended = s.now()
		s.touch()
	case j.spec.When == "manual":
		j.status = Manual
		s.touch()
	default:
		s.enqueue(j)
	}
}

// predecessors composes the states of the jobs a job waits for: its needs, or
// everything in earlier stages.
func (s *Server) predecessors(j *job) (composite Status, ready bool) {
	seen := map[Status]bool{}
	for _, d := range j.pipeline.jobs {
		if d.retried || d == j || !waitsFor(j, d) {
			continue
		}
		switch {
		case d.status == Manual && d.allowsFailure():
			seen[Skipped] = true
		case d.status.Final() && d.status != Success && d.status != Skipped && d.allowsFailure():
			seen[Success] = true
		case d.status.Final():
			seen[d.status] = true
		default:
			return "", false
		}
	}
	switch {
	case seen[Failed]:
		return Failed, true
	case seen[Canceled]:
		return Canceled, true
	case seen[Skipped] && (j.spec.HasNeeds || !seen[Success]):
		return Skipped, true
	}
	return Success, true
}

func waitsFor(j, d *job) bool {
	if j.spec.HasNeeds {
		return slices.ContainsFunc(j.spec.Needs, func(n ciyaml.Need) bool { return n.Job == d.spec.Name })
	}
	return d.stageIdx < j.stageIdx
}

// pipelineStatus composes the pipeline's state.
func pipelineStatus(pl *pipeline) Status {
	seen := map[Status]bool{}
	for _, j := range pl.jobs {
		if j.retried {
			continue
		}
		st := j.status
		if st == Failed && j.allowsFailure() {
			st = Success
		}
		if st == Manual && j.allowsFailure() {
			st = Skipped
		}
		seen[st] = true
	}
	switch {
	case seen[Running] || seen[Canceling]:
		return Running
	case seen[Pending] && (seen[Success] || seen[Failed]):
		return Running
	case seen[Pending]:
		return Pending
	case seen[Manual]:
		return Manual
	case seen[Created]:
		return Running
	case seen[Failed]:
		return Failed
	case seen[Canceled]:
		return Canceled
	case seen[Success]:
		return Success
	}
	return Skipped
}
