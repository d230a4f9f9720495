package gitlabsim

import (
	"fmt"
	"hash/crc32"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// giveUpPersisting is when the server stops waiting for log chunks (8.2).
const giveUpPersisting = 5 * time.Minute

// finalPut is the decoded body of a PUT (8.1).
type finalPut struct {
	state, reason, checksum, sum string
	size, exit                   int64
	hasSize, hasExit             bool
}

// putJob is PUT jobs/:id (section 8).
func (s *Server) putJob(w http.ResponseWriter, r *http.Request) {
	id, _ := strconv.ParseInt(r.PathValue("job"), 10, 64)
	body, ok := s.readJSON(w, r, PutJob, id, putSchema)
	if !ok {
		return
	}
	token := text(body, "token")
	if token == "" {
		s.anomaly(PutJob, id, "no token in the body")
		invalid(w, "token is missing")
		return
	}
	if s.limited(w, PutJob, id, "job:"+token, s.opts.JobLimit) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	put, bad := readPut(body)
	if bad != "" {
		s.note(PutJob, id, "%s is invalid", bad)
		invalid(w, bad+" is invalid")
		return
	}
	if h := r.Header.Get("JOB-TOKEN"); h != "" && !equal(h, token) {
		s.note(PutJob, id, "JOB-TOKEN header differs from the token in the body")
	}
	if j := s.st.jobs[id]; j != nil && j.token != "" && equal(token, j.token) && j.status == Pending && !j.ackUntil.IsZero() {
		s.acknowledge(w, j, put.state)
		return
	}
	j := s.authJob(w, r, PutJob, token)
	if j == nil {
		return
	}
	s.beat(j)
	if info := object(body, "info"); info != nil && j.manager != nil {
		s.heartbeat(PutJob, j.id, j.manager, info, true)
	}
	s.answerPut(w, r, j, put)
}

func readPut(body map[string]any) (p finalPut, bad string) {
	out := object(body, "output")
	p = finalPut{state: text(body, "state"), reason: text(body, "failure_reason"), checksum: text(body, "checksum"), sum: text(out, "checksum")}
	var valid bool
	if p.size, p.hasSize, valid = integer(out, "bytesize"); !valid {
		return p, "output[bytesize]"
	}
	if p.exit, p.hasExit, valid = integer(body, "exit_code"); !valid {
		return p, "exit_code"
	}
	return p, ""
}

func (s *Server) answerPut(w http.ResponseWriter, r *http.Request, j *job, put finalPut) {
	switch put.state {
	case "running":
		what := EventPutRunning
		if j.at(EventFirstPut).IsZero() {
			what = EventFirstPut
		}
		j.strict.firstPut = true
		s.event(j, what, "")
		s.answerStatus(w, j)
		statusBody(w, http.StatusOK)
	case "success", "failed":
		s.finalPut(w, r, j, put)
	default:
		s.note(PutJob, j.id, "unknown state %q", put.state)
		s.answerStatus(w, j)
		statusBody(w, http.StatusBadRequest)
	}
}

// finalPut records the pending state, waits for persistence when configured,
// and ends the job; a canceling job becomes canceled whatever it reports (9).
func (s *Server) finalPut(w http.ResponseWriter, r *http.Request, j *job, put finalPut) {
	s.event(j, EventFinalPut, put.state)
	j.announced, j.announcedLen = put.sum, put.size
	s.checkFinal(j, put)
	if put.sum != "" && s.persisting(j) {
		s.answerStatus(w, j)
		w.Header().Set("X-GitLab-Trace-Update-Interval", strconv.Itoa(backoff(s.now().Sub(j.pendingState))))
		statusBody(w, http.StatusAccepted)
		return
	}
	if !faultOf(r).hidesAnswer() {
		j.strict.ownFinal = true
	}
	reason := put.reason
	if reason == "" || !slices.Contains(failureReasons, reason) {
		reason = "unknown_failure"
	}
	var exit *int
	if put.hasExit {
		code := int(min(max(put.exit, 0), 32767))
		exit = &code
	}
	if put.state == "success" {
		s.finish(j, Success, "", nil)
	} else {
		s.finish(j, Failed, reason, exit)
	}
	w.Header().Set("Job-Status", string(j.status))
	statusBody(w, http.StatusOK)
}

// persisting tells whether this final PUT is answered 202, and counts it.
func (s *Server) persisting(j *job) bool {
	if j.pendingState.IsZero() {
		j.pendingState = s.now()
	}
	if j.persisted >= s.opts.PersistAnswers || s.now().Sub(j.pendingState) > giveUpPersisting {
		return false
	}
	j.persisted++
	return true
}

// backoff is the update interval of a 202 answer: 1 s for the first 4 s, then
// 2 s until 8, 4 s until 16 and so on, at most 64 (8.2).
func backoff(age time.Duration) int {
	seconds, limit := 1, 4*time.Second
	for age >= limit && seconds < 64 {
		seconds, limit = seconds*2, limit*2
	}
	return seconds
}

// checkFinal notes what is wrong with a final PUT.
func (s *Server) checkFinal(j *job, put finalPut) {
	cancelled := j.status == Canceling
	if !cancelled || len(j.trace) > 0 {
		s.checkFirstPut(PutJob, j)
	}
	computed := checksum(j.trace)
	switch {
	case put.sum == "" || !put.hasSize && len(j.trace) > 0:
		s.note(PutJob, j.id, "final PUT without checksum and bytesize")
	case put.size != int64(len(j.trace)):
		s.note(PutJob, j.id, "final PUT announces %d bytes of log, %d arrived", put.size, len(j.trace))
	case put.sum != computed:
		s.note(PutJob, j.id, "final PUT announces checksum %s, the log has %s", put.sum, computed)
	}
	if put.checksum != "" && put.checksum != put.sum {
		s.note(PutJob, j.id, "checksum and output.checksum differ")
	}
	if put.reason != "" && !slices.Contains(failureReasons, put.reason) {
		s.note(PutJob, j.id, "failure_reason %q is not one of GitLab's", put.reason)
	}
	if put.state == "failed" && put.reason == "" {
		s.note(PutJob, j.id, "failed without failure_reason")
	}
	if put.state == "success" && (put.reason != "" || put.hasExit && put.exit != 0) {
		s.note(PutJob, j.id, "success with failure_reason or exit_code")
	}
}

// checksum is CRC-32 IEEE in the form of 8.1.
func checksum(trace []byte) string { return fmt.Sprintf("crc32:%08x", crc32.ChecksumIEEE(trace)) }
