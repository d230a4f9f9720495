package gate_test

import (
	"crypto/ed25519"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

// forwardable is an independent and simple reading of what a grant for the
// namespaces may reach: it looks at the bytes of the request line only.
func forwardable(method, raw string, namespaces []string) bool {
	path, _, _ := strings.Cut(raw, "?")
	if strings.Contains(path, "//") || strings.Contains(path, "%2F") || strings.Contains(path, "%2f") || strings.Contains(path, "%25") || !strings.HasPrefix(path, "/") {
		return false
	}
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if slices.Contains(parts, "..") || slices.Contains(parts, ".") {
		return false
	}
	switch parts[0] {
	case "api":
		parts = parts[1:]
	case "apis":
		parts = parts[min(2, len(parts)):] // the group
	default:
		return method == "GET" || method == "HEAD" // no resource
	}
	if len(parts) < 2 { // at most a version
		return method == "GET" || method == "HEAD"
	}
	parts = parts[1:]
	if parts[0] == "watch" || parts[0] == "proxy" {
		parts = parts[1:]
	}
	switch {
	case len(parts) == 0:
		return false
	case parts[0] != "namespaces": // reviews of oneself are all that is left
		return method == "POST" && strings.HasPrefix(parts[0], "selfsubject")
	case len(parts) < 2:
		return false
	}
	return slices.Contains(namespaces, parts[1])
}

// FuzzCheck sends any request line and header through the gate with a grant for
// two namespaces. What is forwarded must be inside them and carry our identity
// and no other.
func FuzzCheck(f *testing.F) {
	for _, line := range append(slices.Clone(inside), outside...) {
		method, path, _ := strings.Cut(line, " ")
		f.Add(method, path, "Accept", "*/*")
	}
	f.Add("GET", "/api/v1/namespaces/a/../c/pods", "Impersonate-User", "root")
	f.Add("GET", "/api/v1/namespaces/a%2f..%2fc/pods", "x-remote-user", "root")
	f.Add("PUT", "/api/v1/namespaces/a/finalize", "Connection", "Impersonate-User")
	f.Add("GET", "http://evil/api/v1/namespaces/a/pods", "Upgrade", "websocket")
	f.Add("GET", "/api/v1/watch/namespaces/c/pods", "Sec-WebSocket-Protocol", "base64url.bearer.authorization.k8s.io.eA")

	through := make(chan *http.Request, 1)
	upstream := roundTripper(func(r *http.Request) (*http.Response, error) {
		through <- r
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	})
	g := newGate(f, &rest.Config{Host: "https://192.0.2.1", BearerToken: ownToken, Transport: upstream}, io.Discard)
	b := &bench{tb: f, gate: g}
	namespaces := []string{"a", "b"}
	token, _ := b.session(within(namespaces...))

	f.Fuzz(func(t *testing.T, method, path, header, value string) {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return // the HTTP server would not get further
		}
		r := &http.Request{Method: method, URL: u, RequestURI: path, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: "gate", Body: http.NoBody, RemoteAddr: "127.0.0.1:1"}
		r.Header = http.Header{header: {value}}
		if http.CanonicalHeaderKey(header) != "Authorization" {
			r.Header["Authorization"] = []string{"Bearer " + token}
		}
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r.WithContext(t.Context()))
		var sent *http.Request
		select {
		case sent = <-through:
		default:
			if w.Code < http.StatusBadRequest {
				t.Fatalf("%s %q: answered %d without asking", method, path, w.Code)
			}
			return
		}
		if !forwardable(method, path, namespaces) {
			t.Fatalf("%s %q was forwarded as %s", method, path, sent.URL)
		}
		if sent.URL.Host != "192.0.2.1" || sent.URL.EscapedPath() != u.EscapedPath() {
			t.Fatalf("%s %q went to %s", method, path, sent.URL)
		}
		checkIdentity(t, sent.Header)
	})
}

func checkIdentity(t *testing.T, h http.Header) {
	t.Helper()
	for name, values := range h {
		key := http.CanonicalHeaderKey(name)
		switch {
		case strings.HasPrefix(key, "Impersonate-"), key == "Authorization":
			if want := stamped[name]; !slices.Equal(values, want) {
				t.Fatalf("%s = %q, want %q", name, values, want)
			}
		case strings.HasPrefix(key, "X-Remote-"), strings.HasPrefix(key, "X-Forwarded-"), key == "Cookie", key == "X-Real-Ip",
			strings.Contains(strings.ToLower(strings.Join(values, " ")), "bearer.authorization") && key == "Sec-Websocket-Protocol":
			t.Fatalf("%s = %q arrived", name, values)
		}
	}
	if h.Get("Impersonate-User") != "gitlab:ci_job:7" {
		t.Fatalf("without our identity: %v", h)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// FuzzToken: no text but the grant itself opens the gate.
func FuzzToken(f *testing.F) {
	g := newGate(f, &rest.Config{Host: "https://192.0.2.1", Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		panic("forwarded")
	})}, io.Discard)
	token, _ := (&bench{tb: f, gate: g}).session()
	_, key, _ := ed25519.GenerateKey(nil)
	f.Add("Bearer " + token[1:])
	f.Add("bearer " + token)
	f.Add("Bearer  " + token)
	f.Add("Bearer " + token + " ")
	f.Add(string(key))
	f.Fuzz(func(t *testing.T, authorization string) {
		if authorization == "Bearer "+token {
			return
		}
		r := httptest.NewRequest(http.MethodGet, "/api", nil)
		r.Header.Set("Authorization", authorization)
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		if w.Code != http.StatusUnauthorized {
			t.Fatalf("%q: %d", authorization, w.Code)
		}
	})
}
