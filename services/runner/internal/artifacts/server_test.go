package artifacts

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

const token = "glcbt-64_s3cret"

// request is what the server saw of one call.
type request struct {
	method, path, query, token, filename string
	content                              []byte
	chunked                              bool
}

// gitlab is the artifact side of GitLab, strict about what it accepts. It gives
// the scripted answers first and then does its work.
type gitlab struct {
	*httptest.Server
	t       testing.TB
	mu      sync.Mutex
	answers []http.HandlerFunc
	seen    []request
	archive []byte // what a download gets
}

func newGitLab(t testing.TB, answers ...http.HandlerFunc) *gitlab {
	t.Helper()
	g := &gitlab{t: t, answers: answers}
	g.Server = httptest.NewServer(g)
	t.Cleanup(g.Close)
	return g
}

func (g *gitlab) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	got := request{
		method: r.Method, path: r.URL.Path, query: r.URL.RawQuery, token: r.Header.Get("JOB-TOKEN"),
		chunked: len(r.TransferEncoding) == 1 && r.TransferEncoding[0] == "chunked",
	}
	if ua := r.UserAgent(); ua != "towline-runner/test" {
		g.t.Errorf("User-Agent %q", ua)
	}
	if r.Method == http.MethodPost {
		if err := got.read(r); err != nil {
			g.t.Errorf("body: %v", err)
		}
	}
	g.seen = append(g.seen, got)
	if len(g.answers) > 0 {
		answer := g.answers[0]
		g.answers = g.answers[1:]
		if answer != nil {
			answer(w, r)
			return
		}
	}
	switch {
	case got.token != token && g.archive == nil:
		status(http.StatusForbidden)(w, r)
	case r.Method == http.MethodPost:
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, `"201"`)
	default:
		_, _ = w.Write(g.archive)
	}
}

// read takes the one part "file" of the body.
func (got *request) read(r *http.Request) error {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		return fmt.Errorf("content type %q: %w", kind, err)
	}
	mr := multipart.NewReader(r.Body, params["boundary"])
	part, err := mr.NextPart()
	if err != nil {
		return err
	}
	if part.FormName() != "file" || part.Header.Get("Content-Type") != "application/octet-stream" {
		return fmt.Errorf("part %q of type %q", part.FormName(), part.Header.Get("Content-Type"))
	}
	got.filename = part.FileName()
	if got.content, err = io.ReadAll(part); err != nil {
		return err
	}
	if _, err := mr.NextPart(); err != io.EOF {
		return fmt.Errorf("a second part, or %w", err)
	}
	return nil
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"message":"%d %s"}`, code, http.StatusText(code))
	}
}

func times(n int, h http.HandlerFunc) []http.HandlerFunc {
	var out []http.HandlerFunc
	for range n {
		out = append(out, h)
	}
	return out
}

// drop ends the connection without an answer.
func drop(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		conn.Close()
	}
}

func (g *gitlab) requests() []request {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.seen
}

// testLog collects lines.
type testLog struct{ strings.Builder }

func (l *testLog) Notice(s string) { l.WriteString("N " + s + "\n") }
func (l *testLog) Warn(s string)   { l.WriteString("W " + s + "\n") }
func (l *testLog) Raw(s string)    { l.WriteString("  " + s + "\n") }
func (l *testLog) Error(s string)  { l.WriteString("E " + s + "\n") }

// bench is a client with its directories. Its pauses are recorded, not waited.
type bench struct {
	*Client
	log    *testLog
	dir    string
	root   *os.Root
	pauses []time.Duration
}

func newBench(t testing.TB, url string, files map[string]string) *bench {
	t.Helper()
	b := &bench{log: &testLog{}, dir: t.TempDir()}
	root, err := os.OpenRoot(b.dir)
	must(t, err)
	temp, err := os.OpenRoot(t.TempDir())
	must(t, err)
	t.Cleanup(func() { root.Close(); temp.Close() })
	for name, content := range files {
		must(t, root.WriteFile(name, []byte(content), 0o644))
	}
	b.root = root
	b.Client, err = New(Config{URL: url, UserAgent: "towline-runner/test", Job: 1001, Token: token, Temp: temp, Log: b.log})
	must(t, err)
	t.Cleanup(b.Close)
	b.pause = func(ctx context.Context, d time.Duration) bool {
		b.pauses = append(b.pauses, d)
		return ctx.Err() == nil
	}
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// text is the log without the address of the test's server.
func (b *bench) text(g *gitlab) string {
	return strings.NewReplacer(b.dir, "DIR", strings.TrimPrefix(g.URL, "http://"), "HOST").Replace(b.log.String())
}

func (b *bench) left(t testing.TB) {
	t.Helper()
	entries, err := os.ReadDir(b.Temp.Name())
	if err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func reader(b []byte) *bytes.Reader { return bytes.NewReader(b) }
