package gitlabsim

import (
	"crypto/subtle"
	"net/http"
	"strconv"
)

// afterFinalTolerance is how many calls a client may still send after it was
// told of a final state it did not set itself: the last PATCH and the final
// PUT of an aborted job are harmless (section 9).
const afterFinalTolerance = 2

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// authJob answers 403 unless the token is the job's and the job is processing
// on a runner; unknown jobs give 403, not 404, by design (7). With the mutex
// held; nil means the answer has been written.
func (s *Server) authJob(w http.ResponseWriter, r *http.Request, ep Endpoint, token string) *job {
	id, err := strconv.ParseInt(r.PathValue("job"), 10, 64)
	j := s.st.jobs[id]
	if err != nil || j == nil {
		s.note(ep, id, "unknown job %q", r.PathValue("job"))
		refuse(w, http.StatusForbidden, "")
		return nil
	}
	if j.token == "" || !equal(token, j.token) {
		s.note(ep, j.id, "wrong job token")
		refuse(w, http.StatusForbidden, "")
		return nil
	}
	if j.erased {
		s.afterEnd(ep, j)
		s.forbidJob(w, j, "Job has been erased!")
		return nil
	}
	if j.expired {
		if j.status.executing() {
			s.finish(j, Failed, "job_token_expired", nil)
		}
		s.afterEnd(ep, j)
		s.forbidJob(w, j, "Job token has expired")
		return nil
	}
	if !j.status.executing() {
		s.afterEnd(ep, j)
		s.forbidJob(w, j, "Job is not processing on runner")
		return nil
	}
	return j
}

func (s *Server) forbidJob(w http.ResponseWriter, j *job, why string) {
	w.Header().Set("Job-Status", string(j.status))
	refuse(w, http.StatusForbidden, why)
}

// afterEnd counts calls of a client that already knows the job is over.
func (s *Server) afterEnd(ep Endpoint, j *job) {
	if j.strict.ownFinal {
		s.note(ep, j.id, "request after the final state was accepted")
		return
	}
	if j.strict.told {
		if j.strict.afterFinal++; j.strict.afterFinal > afterFinalTolerance && j.strict.faulted[PutJob] == 0 {
			s.note(ep, j.id, "request number %d after the client was told the job is %s", j.strict.afterFinal, j.status)
		}
	}
	j.strict.told = true
}

// answerStatus sets Job-Status and remembers that the client knows it.
func (s *Server) answerStatus(w http.ResponseWriter, j *job) {
	w.Header().Set("Job-Status", string(j.status))
	if j.status == Canceled || j.status == Failed {
		j.strict.told = true
	}
}

// checkFirstPut notes a job that is worked on without the early PUT running
// (8.4); it may have been eaten by a fault.
func (s *Server) checkFirstPut(ep Endpoint, j *job) {
	if j.strict.firstPut || j.strict.faulted[PutJob] > 0 || j.strict.faulted[JobsRequest] > 0 {
		return
	}
	j.strict.firstPut = true
	s.note(ep, j.id, "%s before the first PUT running", ep)
}
