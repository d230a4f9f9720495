package gitlabsim

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	maxPatch       = 1 << 20
	watchedSeconds = "3"
	idleSeconds    = "60"
	touchInterval  = 15 * time.Minute
)

var contentRangeForm = regexp.MustCompile(`^(\d+)-(\d+)$`)

// patchTrace is PATCH jobs/:id/trace (section 7).
func (s *Server) patchTrace(w http.ResponseWriter, r *http.Request) {
	id, _ := strconv.ParseInt(r.PathValue("job"), 10, 64)
	body, err := io.ReadAll(io.LimitReader(r.Body, s.opts.TraceSizeLimit+maxPatch))
	if err != nil {
		return // the connection is gone
	}
	token := r.Header.Get("JOB-TOKEN")
	if s.limited(w, PatchTrace, id, "patch:"+token, s.opts.PatchLimit) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checkQuery(PatchTrace, id, r, "debug_trace")
	j := s.authJob(w, r, PatchTrace, token)
	if j == nil {
		return
	}
	s.checkPatch(j, r, body)
	header := r.Header.Get("Content-Range")
	if header == "" {
		s.note(PatchTrace, j.id, "no Content-Range")
		refuse(w, http.StatusBadRequest, "Missing header Content-Range")
		return
	}
	s.beat(j)
	start := leadingInt(header)
	if start == 0 && r.URL.Query().Get("debug_trace") == "true" {
		j.debug = true
	}
	end := start + int64(len(body))
	if end > s.opts.TraceSizeLimit {
		s.finish(j, Failed, "trace_size_exceeded", nil)
		s.answerStatus(w, j)
		refuse(w, http.StatusForbidden, "")
		return
	}
	s.answerPatch(w, j, start, end, body)
}

// answerPatch appends when the start is the stored size, accepts an exact
// re-send whose end is the stored size, and answers 416 to the rest.
func (s *Server) answerPatch(w http.ResponseWriter, j *job, start, end int64, body []byte) {
	stored := int64(len(j.trace))
	if start == stored {
		s.appendTrace(j, body)
	} else if end == stored && start < stored && !bytes.Equal(j.trace[start:end], body) {
		s.note(PatchTrace, j.id, "bytes %d-%d sent again with different content", start, end-1)
	}
	stored = int64(len(j.trace))
	w.Header().Set("Range", "0-"+strconv.FormatInt(stored, 10))
	if stored != end {
		s.rewind(j, start, end, stored)
		refuse(w, http.StatusRequestedRangeNotSatisfiable, "")
		return
	}
	j.strict.last416 = false
	s.answerStatus(w, j)
	interval := idleSeconds
	if j.watched {
		interval = watchedSeconds
	}
	w.Header().Set("X-GitLab-Trace-Update-Interval", interval)
	statusBody(w, http.StatusAccepted)
}

func (s *Server) appendTrace(j *job, body []byte) {
	if len(body) == 0 {
		return
	}
	if len(j.trace) == 0 {
		s.event(j, EventFirstByte, "")
	}
	s.event(j, EventPatch, fmt.Sprintf("%d-%d", len(j.trace), len(j.trace)+len(body)-1))
	j.trace = append(j.trace, body...)
	s.touch()
}

// rewind classes a 416: explained by an injected fault, a client that lost its
// state, or a client that should know better.
func (s *Server) rewind(j *job, start, end, stored int64) {
	s.event(j, EventRewind, fmt.Sprintf("%d-%d at %d", start, end-1, stored))
	again := j.strict.last416
	j.strict.last416 = true
	if j.strict.excuse416 > 0 {
		j.strict.excuse416--
		return
	}
	what := fmt.Sprintf("bad range %d-%d, stored size %d", start, end-1, stored)
	if again {
		what += ", after a 416 that said so"
	}
	s.note(PatchTrace, j.id, "%s", what)
	s.st.anomalies[len(s.st.anomalies)-1].Rewind = !again
}

// checkPatch notes what GitLab accepts but a correct client does not send.
func (s *Server) checkPatch(j *job, r *http.Request, body []byte) {
	s.checkFirstPut(PatchTrace, j)
	if ct := r.Header.Get("Content-Type"); !strings.HasPrefix(ct, "text/plain") {
		s.note(PatchTrace, j.id, "Content-Type %q instead of text/plain", ct)
	}
	if len(body) == 0 {
		s.note(PatchTrace, j.id, "empty PATCH")
	}
	if len(body) > maxPatch {
		s.note(PatchTrace, j.id, "PATCH of %d bytes, more than 1 MiB", len(body))
	}
	header := r.Header.Get("Content-Range")
	if header == "" {
		return
	}
	m := contentRangeForm.FindStringSubmatch(header)
	if m == nil {
		s.note(PatchTrace, j.id, "Content-Range %q has a bad form", header)
		return
	}
	start, _ := strconv.ParseInt(m[1], 10, 64)
	end, _ := strconv.ParseInt(m[2], 10, 64)
	if len(body) > 0 && end != start+int64(len(body))-1 {
		s.note(PatchTrace, j.id, "Content-Range %q does not fit %d bytes", header, len(body))
	}
}

// leadingInt reads the number before the dash as Ruby's to_i does.
func leadingInt(header string) int64 {
	first, _, _ := strings.Cut(header, "-")
	digits := first
	for i, c := range first {
		if c < '0' || c > '9' {
			digits = first[:i]
			break
		}
	}
	v, _ := strconv.ParseInt(digits, 10, 64)
	return v
}

// beat moves updated_at at most every 15 minutes, as GitLab does (8.2, 9), and
// the manager's contact time.
func (s *Server) beat(j *job) {
	now := s.now()
	if j.manager != nil {
		j.manager.contactedAt = now
	}
	if now.Sub(j.updatedAt) > touchInterval {
		j.updatedAt = now
	}
}

func (s *Server) checkQuery(ep Endpoint, jobID int64, r *http.Request, known ...string) {
	for k := range r.URL.Query() {
		found := false
		for _, have := range known {
			found = found || have == k
		}
		if !found {
			s.note(ep, jobID, "unknown query key %q", k)
		}
	}
}
