package gitlabsim

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// CreateRunner makes a runner with a glrt-t1_ token (2.1).
func (s *Server) CreateRunner(opts RunnerOptions) (Runner, error) {
	scope, err := normalScope(opts.Scope)
	if err != nil {
		return Runner{}, err
	}
	opts.Scope = scope
	s.mu.Lock()
	defer s.mu.Unlock()
	token := orDefault(opts.FixedToken, "glrt-t1_"+randomText(20))
	if s.runnerByToken(token) != nil {
		return Runner{}, errors.New("the token of the runner is taken")
	}
	opts.FixedToken = "" // it is the runner's until it resets it
	rn := &runner{id: s.st.next("runner"), token: token, opts: opts, createdAt: s.now(), inflight: map[int64]time.Time{}}
	s.tickRunner(rn)
	s.st.runners[rn.id] = rn
	return rn.view(), nil
}

func (rn *runner) view() Runner {
	out := Runner{ID: rn.id, Token: rn.token, Deleted: rn.deleted, RunnerOptions: rn.opts, Managers: []Manager{}}
	out.Tags = slices.Clone(rn.opts.Tags)
	for _, m := range rn.managers {
		v := Manager{SystemID: m.systemID, Features: maps.Clone(m.features), ContactedAt: m.contactedAt}
		v.Version, v.Executor = text(m.info, "version"), text(m.info, "executor")
		out.Managers = append(out.Managers, v)
	}
	return out
}

func (s *Server) withRunner(id int64, f func(*runner)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	rn := s.st.runners[id]
	if rn == nil {
		return fmt.Errorf("runner %d not found", id)
	}
	f(rn)
	return nil
}

// Runner answers a runner with its managers.
func (s *Server) Runner(id int64) (out Runner, err error) {
	err = s.withRunner(id, func(rn *runner) { out = rn.view() })
	return out, err
}

// UpdateRunner replaces tags, protection, pause and the like; the scope stays.
func (s *Server) UpdateRunner(id int64, opts RunnerOptions) error {
	return s.withRunner(id, func(rn *runner) {
		opts.Scope = rn.opts.Scope
		rn.opts = opts
		s.tickRunner(rn)
	})
}

// PauseRunner pauses or resumes a runner.
func (s *Server) PauseRunner(id int64, paused bool) error {
	return s.withRunner(id, func(rn *runner) {
		rn.opts.Paused = paused
		s.tickRunner(rn)
	})
}

// DeleteRunner revokes a runner: its token is answered 403 from now on.
func (s *Server) DeleteRunner(id int64) error {
	return s.withRunner(id, s.dropRunner)
}
