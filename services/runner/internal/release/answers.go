package release

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
)

// answers notes whether any answer has come to its end. One that is not the thing
// itself has done so with its first lines, except 502: that says the proxy, which
// has reached nobody.
type answers struct {
	next  http.RoundTripper
	whole atomic.Bool
}

// RoundTrip implements http.RoundTripper.
func (a *answers) RoundTrip(req *http.Request) (*http.Response, error) {
	answer, err := a.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	switch {
	case answer.StatusCode == http.StatusBadGateway:
	case answer.StatusCode != http.StatusOK, answer.Body == http.NoBody:
		a.whole.Store(true)
	default:
		answer.Body = &toItsEnd{answer.Body, &a.whole}
	}
	return answer, nil
}

// toItsEnd notes that a body has been read to its end.
type toItsEnd struct {
	io.ReadCloser
	ended *atomic.Bool
}

// Read implements io.Reader.
func (t *toItsEnd) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		t.ended.Store(true)
	}
	return n, err
}
