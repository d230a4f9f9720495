package gitlabsim

import (
	"net/http"
	"time"
)

const (
	maxPollsPerSecond = 10
	// overlapGrace is how long two polls of one token may overlap: a cancelled
	// request needs a moment to be noticed here.
	overlapGrace = 500 * time.Millisecond
)

// requestJob is POST jobs/request (section 3): Workhorse's long poll, then the
// application.
func (s *Server) requestJob(w http.ResponseWriter, r *http.Request) {
	body, ok := s.readJSON(w, r, JobsRequest, 0, requestSchema)
	if !ok {
		return
	}
	token, last := text(body, "token"), text(body, "last_update")
	done := s.enterPoll(token)
	got := false
	defer func() { done(got) }()
	if s.opts.LongPoll > 0 && isJSON(r) {
		w.Header().Set("Gitlab-Ci-Builds-Polling", "yes")
		if token != "" && last != "" && s.watch(r, w, token, last) {
			return
		}
	}
	got = s.railsRequest(w, r, body)
}

// watch blocks while the queue value equals last. It answers 204 itself and
// returns true unless the value differs already: then the request goes on to
// the application (3.4).
func (s *Server) watch(r *http.Request, w http.ResponseWriter, token, last string) (answered bool) {
	s.mu.Lock()
	rn := s.runnerByToken(token)
	if rn == nil || rn.queueKey != last {
		s.mu.Unlock()
		return false
	}
	changed, outage := rn.changed, s.outageCh
	s.mu.Unlock()
	t := time.NewTimer(s.opts.LongPoll)
	defer t.Stop()
	select {
	case <-r.Context().Done():
		return true
	case <-outage:
		if _, direct := w.(*recorder); direct {
			reset(w)
		}
		panic(http.ErrAbortHandler)
	case <-changed:
	case <-t.C:
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}

// railsRequest answers what the application behind Workhorse would; it
// returns whether a job was handed out.
func (s *Server) railsRequest(w http.ResponseWriter, r *http.Request, body map[string]any) bool {
	if s.limited(w, JobsRequest, 0, "request:"+text(body, "token"), s.opts.RequestLimit) {
		return false
	}
	rn := s.authRunner(w, r, JobsRequest, body)
	if rn == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Context().Err() != nil {
		return false // the client is gone; it must not be given a job
	}
	m := s.contact(JobsRequest, 0, rn, body)
	value := rn.queueKey
	if rn.opts.Paused || text(body, "last_update") == value {
		noJob(w, value)
		return false
	}
	features := s.checkedFeatures(m, body)
	f := faultOf(r)
	payload, j := s.assign(rn, m, features, f != nil && f.BuildError)
	if j == nil {
		noJob(w, value)
		return false
	}
	if f != nil {
		j.excuse(JobsRequest)
	}
	if s.opts.MutatePayload != nil {
		s.opts.MutatePayload(payload)
	}
	writeJSON(w, http.StatusCreated, payload)
	return true
}

// checkedFeatures are the ones the feature check uses: this call's, or the
// stored ones when it carries none.
func (s *Server) checkedFeatures(m *manager, body map[string]any) map[string]bool {
	if object(body, "info") != nil {
		return m.shown
	}
	return m.features
}

func noJob(w http.ResponseWriter, value string) {
	w.Header().Set("X-GitLab-Last-Update", value)
	w.WriteHeader(http.StatusNoContent)
}

// enterPoll counts a poll of a token and answers the function that ends it.
func (s *Server) enterPoll(token string) (done func(gotJob bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rn := s.runnerByToken(token)
	if rn == nil {
		return func(bool) {}
	}
	rn.lastPoll++
	id := rn.lastPoll
	for other := range rn.inflight {
		time.AfterFunc(overlapGrace, func() { s.checkOverlap(rn, other, id) })
	}
	rn.inflight[id] = s.now()
	return func(gotJob bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(rn.inflight, id)
		if !gotJob {
			s.countPoll(rn)
		}
	}
}

func (s *Server) checkOverlap(rn *runner, a, b int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, first := rn.inflight[a]
	_, second := rn.inflight[b]
	if first && second {
		s.note(JobsRequest, 0, "more than one jobs/request of runner %d at the same time", rn.id)
	}
}

// countPoll notes more than ten polls without a job in one second, unless the
// queue changed meanwhile, which ends polls.
func (s *Server) countPoll(rn *runner) {
	now := s.now()
	if rn.pollsKey != rn.queueKey {
		rn.pollsKey, rn.polls = rn.queueKey, nil
	}
	recent := rn.polls[:0]
	for _, at := range rn.polls {
		if now.Sub(at) < time.Second {
			recent = append(recent, at)
		}
	}
	rn.polls = append(recent, now)
	if len(rn.polls) > maxPollsPerSecond {
		s.note(JobsRequest, 0, "runner %d polls more than %d times a second", rn.id, maxPollsPerSecond)
		rn.polls = nil
	}
}
