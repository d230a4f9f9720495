package gate

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"time"

	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/towline/towline/pkg/grant"
)

// audit writes one line per request that may change something.
func (g *Gate) audit(c *grant.Claims, info *request.RequestInfo, code int, took time.Duration) {
	if !changes(info) {
		return
	}
	g.log.Info("kubernetes request",
		"job_id", c.Job.ID, "project", c.Job.ProjectPath, "user", c.Identity.User, "verb", info.Verb,
		"group", info.APIGroup, "resource", info.Resource, "subresource", info.Subresource,
		"namespace", info.Namespace, "name", info.Name, "path", info.Path, "code", code, "took_ms", took.Milliseconds())
}

// changes says whether a request may change something. Commands in a pod and
// connections to it do, although a WebSocket is opened with GET.
func changes(info *request.RequestInfo) bool {
	switch info.Subresource {
	case "exec", "attach", "portforward":
		return true
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
