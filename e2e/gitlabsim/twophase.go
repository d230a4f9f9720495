package gitlabsim

import (
	"net/http"
	"time"
)

// ackWithin is how long a job that was handed out in two phases waits for its
// runner's confirmation (8.4).
const ackWithin = 2 * time.Minute

// awaitsAck tells whether a pending job is another runner's for now; the mutex
// is held.
func (s *Server) awaitsAck(j *job) bool { return s.now().Before(j.ackUntil) }

// acknowledge is PUT jobs/:id of a job that waits for its confirmation: pending
// keeps it waiting, running starts it, anything else is refused, as is a
// confirmation that comes too late. The mutex is held.
func (s *Server) acknowledge(w http.ResponseWriter, j *job, state string) {
	status := http.StatusOK
	switch waits := s.awaitsAck(j); {
	case waits && state == "pending":
		j.ackUntil = s.now().Add(ackWithin)
		j.manager.contactedAt = s.now()
	case waits && state == "running":
		j.status, j.ackUntil = Running, time.Time{}
		j.startedAt, j.updatedAt = s.now(), s.now()
		j.strict.firstPut = true
		s.event(j, EventFirstPut, "")
		s.touch()
	default:
		status = http.StatusBadRequest
	}
	w.Header().Set("Job-Status", string(j.status))
	statusBody(w, status)
}
