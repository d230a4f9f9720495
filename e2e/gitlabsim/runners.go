package gitlabsim

import (
	"net/http"
	"regexp"
	"time"
)

// infoLifetime is how long stored runner info is kept before a call replaces
// it (3.1: 40 to 55 minutes).
const infoLifetime = 40 * time.Minute

// tolerated is how many calls with a token the test revoked are no anomaly:
// three unhealthy answers and one forced check (3.3), and one to be kind.
const toleratedRefusals = 5

var systemIDForm = regexp.MustCompile(`^[sr]_[0-9a-zA-Z]{12}$`)

// authRunner finds the runner of a body token, else answers 400 or 403.
func (s *Server) authRunner(w http.ResponseWriter, r *http.Request, ep Endpoint, body map[string]any) *runner {
	token := text(body, "token")
	if token == "" {
		token = r.Header.Get("RUNNER-TOKEN")
		s.anomaly(ep, 0, "no token in the body")
	}
	if token == "" {
		invalid(w, "token is missing")
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rn := s.runnerByToken(token)
	if rn == nil {
		s.note(ep, 0, "unknown runner token")
		refuse(w, http.StatusForbidden, "")
		return nil
	}
	if rn.deleted {
		if rn.refusals++; rn.refusals > toleratedRefusals {
			s.note(ep, 0, "runner %d was removed and still calls", rn.id)
		}
		refuse(w, http.StatusForbidden, "")
		return nil
	}
	return rn
}

// runnerByToken needs the mutex.
func (s *Server) runnerByToken(token string) *runner {
	for _, rn := range s.st.runners {
		if rn.token == token {
			return rn
		}
	}
	return nil
}

// contact finds or makes the manager row of a call (2.2) and checks what the
// runner says about itself; the mutex is held.
func (s *Server) contact(ep Endpoint, jobID int64, rn *runner, body map[string]any) *manager {
	id := text(body, "system_id")
	if id == "" {
		s.note(ep, jobID, "no system_id")
		id = "<legacy>"
	} else if !systemIDForm.MatchString(id) {
		s.note(ep, jobID, "system_id %q has a bad form", id)
	}
	var m *manager
	for _, known := range rn.managers {
		if known.systemID == id {
			m = known
		}
	}
	if m == nil {
		m = &manager{systemID: id}
		rn.managers = append(rn.managers, m)
		if len(rn.managers) > s.opts.MaxManagers {
			s.note(ep, jobID, "runner %d shows system_id number %d (%s)", rn.id, len(rn.managers), id)
		}
	}
	s.heartbeat(ep, jobID, m, object(body, "info"), body["info"] != nil)
	return m
}

// heartbeat stores info when the stored one is old and compares features.
func (s *Server) heartbeat(ep Endpoint, jobID int64, m *manager, info map[string]any, present bool) {
	now := s.now()
	m.contactedAt = now
	var features map[string]bool
	if present {
		features = s.featuresOf(ep, jobID, info)
		if m.shown != nil && !sameFeatures(m.shown, features) {
			s.note(ep, jobID, "features changed between calls of %s", m.systemID)
		}
		m.shown = features
	} else {
		s.note(ep, jobID, "no info")
	}
	if m.storedAt.IsZero() || now.Sub(m.storedAt) >= infoLifetime {
		m.info, m.features, m.storedAt = info, features, now
	}
}

func sameFeatures(a, b map[string]bool) bool {
	if len(a) != len(b) {
		return false
	}
	for k := range a {
		if !b[k] {
			return false
		}
	}
	return true
}

// verifyRunner is POST runners/verify (2.3).
func (s *Server) verifyRunner(w http.ResponseWriter, r *http.Request) {
	body, ok := s.readJSON(w, r, RunnersVerify, 0, verifySchema)
	if !ok {
		return
	}
	rn := s.authRunner(w, r, RunnersVerify, body)
	if rn == nil {
		return
	}
	s.mu.Lock()
	s.contact(RunnersVerify, 0, rn, body)
	answer := map[string]any{"id": rn.id, "token": rn.token, "token_expires_at": nil}
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, answer)
}

// deleteManager is DELETE runners/managers (2.3).
func (s *Server) deleteManager(w http.ResponseWriter, r *http.Request) {
	body, ok := s.readJSON(w, r, RunnersOther, 0, tokenSchema)
	if !ok {
		return
	}
	rn := s.authRunner(w, r, RunnersOther, body)
	if rn == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, m := range rn.managers {
		if m.systemID == text(body, "system_id") {
			rn.managers = append(rn.managers[:i:i], rn.managers[i+1:]...)
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	s.note(RunnersOther, 0, "DELETE of an unknown runner manager")
	refuse(w, http.StatusNotFound, "")
}

// unregisterRunner is DELETE runners: the whole runner goes, which a glrt-
// runner must never ask for (2.3).
func (s *Server) unregisterRunner(w http.ResponseWriter, r *http.Request) {
	body, ok := s.readJSON(w, r, RunnersOther, 0, tokenSchema)
	if !ok {
		return
	}
	rn := s.authRunner(w, r, RunnersOther, body)
	if rn == nil {
		return
	}
	s.mu.Lock()
	s.note(RunnersOther, 0, "runner %d deleted itself", rn.id)
	s.dropRunner(rn)
	s.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

// resetRunnerToken is POST runners/reset_authentication_token (2.3).
func (s *Server) resetRunnerToken(w http.ResponseWriter, r *http.Request) {
	body, ok := s.readJSON(w, r, RunnersOther, 0, tokenSchema)
	if !ok {
		return
	}
	rn := s.authRunner(w, r, RunnersOther, body)
	if rn == nil {
		return
	}
	s.mu.Lock()
	rn.token = "glrt-t1_" + randomText(20)
	token := rn.token
	s.mu.Unlock()
	writeJSON(w, http.StatusCreated, map[string]any{"token": token, "token_expires_at": nil})
}

// dropRunner revokes the token and releases its blocked poll; the mutex is held.
func (s *Server) dropRunner(rn *runner) {
	rn.deleted = true
	s.tickRunner(rn)
}

// tickRunner changes the runner's queue value (3.4); the mutex is held.
func (s *Server) tickRunner(rn *runner) {
	rn.queueKey = randomHex(16)
	if rn.changed != nil {
		close(rn.changed)
	}
	rn.changed = make(chan struct{})
}
