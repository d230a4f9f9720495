package gitlabsim

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"
)

// Fault is one scripted misbehaviour of an endpoint. What a fault causes is
// never counted as an anomaly.
type Fault struct {
	Endpoint Endpoint `json:"endpoint"`
	// Job limits the fault to one job, 0 means any.
	Job int64 `json:"job,omitempty"`
	// Final limits a fault of put_job to final states.
	Final bool `json:"final,omitempty"`
	// From is the first matching request that is hit, 1 (or 0) = the next one.
	From int `json:"from,omitempty"`
	// Times is how many requests are hit: 0 means one, negative means all.
	Times int `json:"times,omitempty"`
	// Delay is waited before anything else; a client that goes away ends it, and
	// its request is not applied.
	Delay time.Duration `json:"delay,omitempty"`
	// DropBefore closes the connection without applying the request;
	// DropAfter applies it and then closes the connection.
	DropBefore bool `json:"drop_before,omitempty"`
	DropAfter  bool `json:"drop_after,omitempty"`
	// Apply handles the request before Status, Header and Body replace parts of
	// the answer. Without Apply and with Status set the request has no effect.
	Apply  bool              `json:"apply,omitempty"`
	Status int               `json:"status,omitempty"`
	Header map[string]string `json:"header,omitempty"` // an empty value removes the header
	Body   string            `json:"body,omitempty"`
	// SetPayload replaces top-level keys of a JSON answer, for null and
	// malformed values in a job payload.
	SetPayload map[string]json.RawMessage `json:"set_payload,omitempty"`
	// Code is the gRPC status with which the job router answers instead.
	Code uint32 `json:"code,omitempty"`
	// BuildError makes building the job payload raise: the job is dropped with
	// scheduler_failure and the poll answers 204 (3.5).
	BuildError bool `json:"build_error,omitempty"`
}

type fault struct {
	Fault
	id   int64
	seen int
	hits int
}

type faultKey struct{}

// Inject arms a fault and answers its id.
func (s *Server) Inject(f Fault) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	armed := &fault{Fault: f, id: s.st.next("fault")}
	if armed.From == 0 {
		armed.From = 1
	}
	if armed.Times == 0 {
		armed.Times = 1
	}
	s.st.faults = append(s.st.faults, armed)
	return armed.id
}

// ClearFaults disarms all faults.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.st.faults = nil
}

// FaultHits answers how many requests a fault has hit so far.
func (s *Server) FaultHits(id int64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.st.faults {
		if f.id == id {
			return f.hits
		}
	}
	return 0
}

// Hit answers whether a fault has touched an endpoint of a job, which may still
// wait for its answer.
func (s *Server) Hit(job int64, ep Endpoint) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.st.jobs[job]
	return j != nil && j.strict.faulted[ep] > 0
}

// SetOutage turns a whole-server outage on or off: while it lasts, connections
// are reset, blocked polls included; the admin API keeps working.
func (s *Server) SetOutage(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if on == s.outage {
		return
	}
	s.outage = on
	if on {
		close(s.outageCh)
	} else {
		s.outageCh = make(chan struct{})
	}
}

// inOutage tells whether the request is to be dropped, and notes on its job
// that it was.
func (s *Server) inOutage(ep Endpoint, jobID int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j := s.st.jobs[jobID]; s.outage && j != nil {
		j.excuse(ep)
	}
	return s.outage
}

// takeFault picks the first armed fault for a request and counts all that
// match; it also notes on the job what its client may now do without blame.
func (s *Server) takeFault(ep Endpoint, jobID int64, final bool) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	var hit *fault
	for _, f := range s.st.faults {
		if f.Endpoint != ep || f.Job != 0 && f.Job != jobID || f.Final && !final {
			continue
		}
		f.seen++
		if hit == nil && f.seen >= f.From && (f.Times < 0 || f.hits < f.Times) {
			f.hits++
			hit = f
		}
	}
	if hit == nil {
		return nil
	}
	if j := s.st.jobs[jobID]; j != nil {
		j.excuse(ep)
	}
	return &hit.Fault
}

// isFinal tells whether a PUT reports a final state; the body can be read again.
func isFinal(r *http.Request) bool {
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxJSONBody+1))
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(raw), r.Body), r.Body}
	var body map[string]any
	if err != nil || decodeObject(raw, &body) != nil {
		return false
	}
	state := text(body, "state")
	return state == "success" || state == "failed"
}

// excuse notes that a fault touched an endpoint of the job.
func (j *job) excuse(ep Endpoint) {
	if j.strict.faulted == nil {
		j.strict.faulted = map[Endpoint]int{}
	}
	j.strict.faulted[ep]++
	if ep == PatchTrace || ep == PutJob {
		j.strict.excuse416++
	}
}

func (s *Server) applyFault(f *Fault, h http.HandlerFunc, w http.ResponseWriter, r *http.Request) {
	if f.Delay > 0 {
		// Only once the request is read does the server notice a client that goes
		// away.
		raw, _ := io.ReadAll(io.LimitReader(r.Body, s.opts.TraceSizeLimit+maxPatch))
		r.Body = io.NopCloser(bytes.NewReader(raw))
		t := time.NewTimer(f.Delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-r.Context().Done():
			return
		}
	}
	if f.DropBefore {
		reset(w)
	}
	handle := f.DropAfter || f.Apply || f.Status == 0
	out := &buffered{header: http.Header{}}
	if handle {
		h(out, r.WithContext(context.WithValue(r.Context(), faultKey{}, f)))
	}
	if f.DropAfter {
		reset(w)
	}
	out.send(f, w)
}

func faultOf(r *http.Request) *Fault {
	f, _ := r.Context().Value(faultKey{}).(*Fault)
	return f
}

// hidesAnswer tells whether the client cannot see the true answer.
func (f *Fault) hidesAnswer() bool { return f != nil && (f.DropAfter || f.Status != 0) }

// buffered holds an answer back so that a fault can change it.
type buffered struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (b *buffered) Header() http.Header { return b.header }

func (b *buffered) WriteHeader(status int) {
	if b.status == 0 {
		b.status = status
	}
}

func (b *buffered) Write(p []byte) (int, error) {
	b.WriteHeader(http.StatusOK)
	return b.body.Write(p)
}

func (b *buffered) send(f *Fault, w http.ResponseWriter) {
	for k, v := range b.header {
		w.Header()[k] = v
	}
	for k, v := range f.Header {
		if v == "" {
			w.Header().Del(k)
		} else {
			w.Header().Set(k, v)
		}
	}
	status, body := b.status, b.body.Bytes()
	if f.Status != 0 {
		status = f.Status
	}
	if f.Body != "" || f.Status != 0 && f.Status != b.status {
		body = []byte(f.Body)
	}
	if len(f.SetPayload) > 0 {
		body = replaceKeys(body, f.SetPayload)
	}
	if w.Header().Get("Content-Type") == "" && len(body) > 0 {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	if status != http.StatusNoContent {
		_, _ = w.Write(body)
	}
}

func replaceKeys(body []byte, set map[string]json.RawMessage) []byte {
	var m map[string]json.RawMessage
	if json.Unmarshal(body, &m) != nil {
		return body
	}
	for k, v := range set {
		m[k] = v
	}
	out, err := json.Marshal(m)
	if err != nil {
		return body
	}
	return out
}
