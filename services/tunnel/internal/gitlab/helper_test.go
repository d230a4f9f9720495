package gitlab_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

var update = flag.Bool("update", false, "write the golden files")

const (
	runnerToken = "glrt-t1_runnersecret"
	jobToken    = "glcbt-64_jobsecret"
)

// seen is a request as GitLab received it.
type seen struct {
	Method, URI string
	Header      http.Header
	Body        []byte
}

// reply is what the server answers next.
type reply struct {
	code   int
	header map[string]string
	body   string
}

// server is a GitLab that plays replies one after the other, the last one again
// and again, and refuses what no runner sends.
type server struct {
	*httptest.Server
	t       *testing.T
	mu      sync.Mutex
	replies []reply
	calls   []seen
}

func serve(t *testing.T, replies ...reply) *server {
	t.Helper()
	s := &server{t: t, replies: replies}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Errorf("body: %v", err)
	}
	s.mu.Lock()
	s.calls = append(s.calls, seen{r.Method, r.RequestURI, r.Header.Clone(), body})
	next := s.replies[0]
	if len(s.replies) > 1 {
		s.replies = s.replies[1:]
	}
	s.mu.Unlock()
	checkHeaders(s.t, r)
	for k, v := range next.header {
		w.Header().Set(k, v)
	}
	w.WriteHeader(next.code)
	_, _ = io.WriteString(w, next.body)
}

var (
	agentText = regexp.MustCompile(`^towline 1\.2\.3 \(go[^;]*; [a-z0-9]+/[a-z0-9]+\)$`)
	requestID = regexp.MustCompile(`^[0-9a-f]{32}$`)
)

// checkHeaders is what every call to GitLab has in common.
func checkHeaders(t *testing.T, r *http.Request) {
	t.Helper()
	if ua := r.Header.Get("User-Agent"); !agentText.MatchString(ua) {
		t.Errorf("%s %s: User-Agent %q", r.Method, r.URL.Path, ua)
	}
	if id := r.Header.Get("X-Request-Id"); !requestID.MatchString(id) {
		t.Errorf("%s %s: X-Request-Id %q", r.Method, r.URL.Path, id)
	}
}

func (s *server) seen() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]seen(nil), s.calls...)
}

// only is the one request that was made.
func (s *server) only() seen {
	s.t.Helper()
	all := s.seen()
	if len(all) != 1 {
		s.t.Fatalf("%d requests, want 1", len(all))
	}
	return all[0]
}

func client(t *testing.T, url string, h *http.Client) *gitlab.Client {
	t.Helper()
	c, err := gitlab.New(gitlab.Config{
		URL: url, Token: func() string { return runnerToken }, Version: "1.2.3", Name: "towline test", HTTP: h, LongPoll: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// golden compares a request body with its file. What differs between machines
// is replaced.
func golden(t *testing.T, name string, body []byte) {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("body %q: %v", body, err)
	}
	if info, ok := v["info"].(map[string]any); ok {
		if info["platform"] != runtime.GOOS || info["architecture"] != runtime.GOARCH {
			t.Errorf("info = %v", info)
		}
		info["platform"], info["architecture"] = "<os>", "<arch>"
	}
	got, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(bytes.TrimSpace(want)), string(bytes.TrimSpace(got))); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// noSecret fails when an error repeats a token.
func noSecret(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, s := range []string{runnerToken, jobToken, "glpat-secret"} {
		if strings.Contains(err.Error(), s) {
			t.Errorf("error shows a token: %v", err)
		}
	}
}

var asJSON = map[string]string{"Content-Type": "application/json"}

func with(more map[string]string) map[string]string {
	h := map[string]string{"Content-Type": "application/json"}
	for k, v := range more {
		h[k] = v
	}
	return h
}

// transport answers without a network, so that time can be synthetic.
type transport func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func response(code int, header map[string]string, body string) *http.Response {
	r := &http.Response{StatusCode: code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	return r
}

func basicAuth(s seen) (name, password string, ok bool) {
	return (&http.Request{Header: s.Header}).BasicAuth()
}
