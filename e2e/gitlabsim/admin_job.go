package gitlabsim

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"
)

func (s *Server) withJob(id int64, f func(*job) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.st.jobs[id]
	if j == nil {
		return fmt.Errorf("job %d not found", id)
	}
	return f(j)
}

// Job answers one job.
func (s *Server) Job(id int64) (out Job, err error) {
	err = s.withJob(id, func(j *job) error { out = s.jobView(j); return nil })
	return out, err
}

// Pipeline answers a pipeline with its jobs.
func (s *Server) Pipeline(id int64) (Pipeline, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pl := s.st.pipelines[id]
	if pl == nil {
		return Pipeline{}, fmt.Errorf("pipeline %d not found", id)
	}
	return s.pipelineView(pl), nil
}

// CancelJob is the user's cancel button; a finished job is an error (422).
func (s *Server) CancelJob(id int64) error {
	return s.withJob(id, func(j *job) error {
		if !s.cancel(j) {
			return fmt.Errorf("job %d is %s and not cancelable", id, j.status)
		}
		return nil
	})
}

// CancelPipeline cancels all jobs that are not finished.
func (s *Server) CancelPipeline(id int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	pl := s.st.pipelines[id]
	if pl == nil {
		return fmt.Errorf("pipeline %d not found", id)
	}
	for _, j := range slices.Backward(slices.Clone(pl.jobs)) {
		s.cancel(j)
	}
	return nil
}

// EraseJob removes log and artifacts; later calls of its runner get 403.
func (s *Server) EraseJob(id int64) error {
	return s.withJob(id, func(j *job) error {
		j.erased, j.trace, j.artifacts = true, nil, nil
		s.event(j, EventErased, "")
		s.touch()
		return nil
	})
}

// PlayJob starts a manual job with optional job variables.
func (s *Server) PlayJob(id int64, vars []Variable, username string) error {
	return s.withJob(id, func(j *job) error {
		u := s.st.users[orDefault(username, j.user.Username)]
		if j.status != Manual || u == nil {
			return fmt.Errorf("job %d is %s and not playable by %q", id, j.status, username)
		}
		j.vars, j.user = vars, u
		s.enqueue(j)
		return nil
	})
}

// RetryJob makes a new job of a finished one and answers it.
func (s *Server) RetryJob(id int64) (out Job, err error) {
	err = s.withJob(id, func(j *job) error {
		if !j.status.Final() || j.retried {
			return fmt.Errorf("job %d is %s and not retryable", id, j.status)
		}
		out = s.jobView(s.retry(j))
		return nil
	})
	return out, err
}

// WatchJob opens or closes a job's page: a watched log is updated every 3 s
// instead of 60 (7).
func (s *Server) WatchJob(id int64, watched bool) error {
	return s.withJob(id, func(j *job) error { j.watched = watched; return nil })
}

// ExpireJobToken makes the job's token expired.
func (s *Server) ExpireJobToken(id int64) error {
	return s.withJob(id, func(j *job) error { j.expired = true; return nil })
}

// LoseTrace forgets the live log, as a lost Redis does; the client is expected
// to rewind to 0.
func (s *Server) LoseTrace(id int64) error {
	return s.withJob(id, func(j *job) error {
		j.trace = nil
		j.strict.excuse416++
		return nil
	})
}

// Trace answers the raw log.
func (s *Server) Trace(id int64) (out []byte, err error) {
	err = s.withJob(id, func(j *job) error { out = slices.Clone(j.trace); return nil })
	return out, err
}

// ArtifactContent answers the stored file of a type, "archive" for the zip.
func (s *Server) ArtifactContent(id int64, kind string) (out []byte, err error) {
	err = s.withJob(id, func(j *job) error {
		a := j.artifact(kind)
		if a == nil {
			return fmt.Errorf("job %d has no %s artifact", id, kind)
		}
		out = slices.Clone(a.content)
		return nil
	})
	return out, err
}

// Calls answers every request served so far, the admin API's excluded.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.st.calls)
}

// Wait blocks until the job has one of the states, by default a final one.
func (s *Server) Wait(ctx context.Context, id int64, states ...Status) (Job, error) {
	var out Job
	err := s.waitFor(ctx, func() (bool, error) {
		j := s.st.jobs[id]
		if j == nil {
			return false, fmt.Errorf("job %d not found", id)
		}
		out = s.jobView(j)
		return reached(j.status, states), nil
	})
	if err != nil && out.ID != 0 {
		err = fmt.Errorf("job %d is %s: %w", id, out.Status, err)
	}
	return out, err
}

// WaitPipeline blocks until the pipeline has one of the states, by default a
// final one.
func (s *Server) WaitPipeline(ctx context.Context, id int64, states ...Status) (Pipeline, error) {
	var out Pipeline
	err := s.waitFor(ctx, func() (bool, error) {
		pl := s.st.pipelines[id]
		if pl == nil {
			return false, fmt.Errorf("pipeline %d not found", id)
		}
		out = s.pipelineView(pl)
		return reached(out.Status, states), nil
	})
	if err != nil && out.ID != 0 {
		err = fmt.Errorf("pipeline %d is %s: %w", id, out.Status, err)
	}
	return out, err
}

// WaitTrace blocks until the job's log contains the text.
func (s *Server) WaitTrace(ctx context.Context, id int64, want string) error {
	err := s.waitFor(ctx, func() (bool, error) {
		j := s.st.jobs[id]
		if j == nil {
			return false, fmt.Errorf("job %d not found", id)
		}
		return bytes.Contains(j.trace, []byte(want)), nil
	})
	if err != nil {
		return fmt.Errorf("log of job %d without %q: %w", id, want, err)
	}
	return nil
}

func reached(have Status, states []Status) bool {
	if len(states) == 0 {
		return have.Final()
	}
	return slices.Contains(states, have)
}

// waitFor runs the check under the mutex after every change of state.
func (s *Server) waitFor(ctx context.Context, check func() (bool, error)) error {
	for {
		s.mu.Lock()
		done, err := check()
		changed := s.changed
		s.mu.Unlock()
		if done || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// RunWatchdogs fails jobs GitLab would have given up by now (9).
func (s *Server) RunWatchdogs() {
	s.mu.Lock()
	defer s.mu.Unlock()
	const grace, silence = 15 * time.Minute, 30 * time.Minute
	now := s.now()
	for _, j := range slices.Clone(s.st.queue) {
		switch limit := time.Duration(s.jobTimeout(j)) * time.Second; {
		case j.status == Running && now.Sub(j.startedAt) > limit+grace:
			s.finish(j, Failed, "server_timeout_running", nil)
		case j.status.executing() && now.Sub(j.updatedAt) > silence:
			s.finish(j, Failed, "no_updates_running", nil)
		case j.status == Pending && now.Sub(j.pendingAt) > 24*time.Hour:
			s.finish(j, Failed, "stuck_pending_with_matching_runners", nil)
		case j.status == Pending && now.Sub(j.pendingAt) > time.Hour && !s.anyRunner(j):
			s.finish(j, Failed, "stuck_pending_no_matching_runners", nil)
		}
	}
}

func (s *Server) anyRunner(j *job) bool {
	for _, rn := range s.st.runners {
		if s.mayRun(rn, j) {
			return true
		}
	}
	return false
}
