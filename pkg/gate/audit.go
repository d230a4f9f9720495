package gate

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strings"
	"time"

	"k8s.io/apiserver/pkg/endpoints/request"
)

// Audit takes the records of what jobs did. Record is called concurrently, from
// within requests: it must not block.
type Audit interface {
	Record(r Record)
}

// Record says what a request did that may change something, or that was refused
// as one.
type Record struct {
	Time        time.Time `json:"time"` // when it was over
	JobID       int64     `json:"job_id"`
	PipelineID  int64     `json:"pipeline_id,omitempty"`
	Project     string    `json:"project"`
	Agent       string    `json:"agent"`
	Grant       string    `json:"grant"` // the grant's id (jti)
	Mode        string    `json:"mode"`
	User        string    `json:"user"`
	As          string    `json:"as,omitempty"` // whom the job asked to act as, in mode agent
	Verb        string    `json:"verb"`
	Group       string    `json:"group"`
	Resource    string    `json:"resource"`
	Subresource string    `json:"subresource"`
	Namespace   string    `json:"namespace"`
	Name        string    `json:"name"` // empty where the body has it, as in create
	Path        string    `json:"path"`
	Code        int       `json:"code"`               // 0: no answer came
	Rule        string    `json:"rule,omitempty"`     // of the gate, that refused it
	AuditID     string    `json:"audit_id,omitempty"` // under which the API server's own audit log has it
	TookMS      int64     `json:"took_ms"`
}

// maxText bounds each text of a record that a client chooses, in bytes.
const maxText = 1 << 10

// auditIDHeader is how the API server names a request in its audit log.
const auditIDHeader = "Audit-Id"

// outcome is how a request ended.
type outcome struct {
	code          int
	rule, auditID string
	took          time.Duration
}

// audit records a request that may change something.
func (g *Gate) audit(s *Session, r *http.Request, info *request.RequestInfo, end outcome) {
	if info == nil { // refused before it was understood
		info = &request.RequestInfo{Verb: strings.ToLower(r.Method), Path: r.URL.Path}
	}
	if !changes(info) {
		return
	}
	c := s.claims
	rec := Record{
		Time: time.Now().UTC(), JobID: c.Job.ID, PipelineID: c.Job.PipelineID, Project: c.Project(), Agent: c.Agent.Context(), Grant: c.ID,
		Mode: c.Identity.Mode, User: c.Identity.User, As: cut(r.Header.Get(userHeader)), Verb: cut(info.Verb), Group: cut(info.APIGroup), Resource: cut(info.Resource),
		Subresource: cut(info.Subresource), Namespace: cut(info.Namespace), Name: cut(info.Name), Path: cut(info.Path),
		Code: end.code, Rule: end.rule, AuditID: end.auditID, TookMS: end.took.Milliseconds(),
	}
	if end.rule == "" { // a refusal has its own line
		g.log.Info("kubernetes request",
			"job_id", rec.JobID, "project", rec.Project, "user", rec.User, "verb", rec.Verb,
			"group", rec.Group, "resource", rec.Resource, "subresource", rec.Subresource,
			"namespace", rec.Namespace, "name", rec.Name, "path", rec.Path, "code", rec.Code, "audit_id", rec.AuditID, "took_ms", rec.TookMS)
	}
	if g.trail != nil {
		g.trail.Record(rec)
	}
}

func cut(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxText)], "?") }

// changes says whether a request may change something. Commands in a pod and
// connections to it do, although a WebSocket is opened with GET.
func changes(info *request.RequestInfo) bool {
	switch info.Subresource {
	case "exec", "attach", "portforward":
		return true
	}
	if selfReview(info) {
		return false
	}
	switch info.Verb {
	case "get", "list", "watch", "head", "options":
		return false
	}
	return true
}

// statusRecorder remembers the status of an answer. ctx ends with the request or
// its session.
type statusRecorder struct {
	http.ResponseWriter
	ctx  context.Context
	code int
}

// WriteHeader implements http.ResponseWriter.
func (s *statusRecorder) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

// Hijack implements http.Hijacker: the proxy takes the connection over once the
// API server has agreed to another protocol. The connection ends with the
// session: the proxy alone would close the API server's side and then wait for
// the client to leave.
func (s *statusRecorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(s.ResponseWriter).Hijack()
	if err == nil {
		s.code = http.StatusSwitchingProtocols
		context.AfterFunc(s.ctx, func() { _ = conn.Close() })
	}
	return conn, rw, err
}

// Unwrap lets the proxy flush the real writer.
func (s *statusRecorder) Unwrap() http.ResponseWriter { return s.ResponseWriter }
