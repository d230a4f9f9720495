package gitlab

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/towline/towline/pkg/service"
)

// Logged is next with a line for each request, for debugging: what was asked, how
// it was answered, and the number under which GitLab's own logs have it. Queries,
// headers and bodies, which carry tokens, are not in it.
func Logged(next http.RoundTripper, log *slog.Logger) http.RoundTripper {
	return &logged{next: next, log: log}
}

type logged struct {
	next http.RoundTripper
	log  *slog.Logger
}

// RoundTrip implements http.RoundTripper.
func (l *logged) RoundTrip(req *http.Request) (*http.Response, error) {
	began := time.Now()
	resp, err := l.next.RoundTrip(req)
	attrs := []slog.Attr{
		slog.String("method", req.Method), slog.String("path", req.URL.Path),
		slog.String("request_id", req.Header.Get("X-Request-Id")), slog.Int64("took_ms", time.Since(began).Milliseconds()),
	}
	if err != nil {
		attrs = append(attrs, service.Err(err))
	} else {
		attrs = append(attrs, slog.Int("status", resp.StatusCode))
	}
	l.log.LogAttrs(req.Context(), slog.LevelDebug, "request to GitLab", attrs...)
	return resp, err
}
