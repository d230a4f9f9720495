package gate

import (
	"context"
	"io"
	"net/http"
)

// earlyAnswers lets an answer end before its request has: an API server that
// refuses a request answers without reading the body. Over HTTP/2 the client
// then stops sending the body and waits for the end of the answer, the proxy
// waits in Body.Close for the end of the body, and neither ever ends. Closing
// the answer gives the request up instead.
type earlyAnswers struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (e earlyAnswers) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return e.next.RoundTrip(r)
	}
	ctx, cancel := context.WithCancel(r.Context())
	resp, err := e.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Body = &answer{resp.Body, cancel}
	return resp, nil
}

// answer is the body of an answer. Its Close ends the request first.
type answer struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close implements io.Closer.
func (a *answer) Close() error {
	a.cancel()
	return a.ReadCloser.Close()
}
