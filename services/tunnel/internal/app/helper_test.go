package app

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/towline/towline/pkg/ledger/redistest"
	"github.com/towline/towline/pkg/outputtest"
	"github.com/towline/towline/pkg/service"
)

const token = "glrt-t1_runnersecret"

func none(string) string { return "" }

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func sealKey(t *testing.T) string {
	t.Helper()
	return file(t, "seal.key", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n")
}

// switchable is a server that can be made to answer anything.
type switchable struct {
	*httptest.Server
	mu      sync.Mutex
	handler http.HandlerFunc
	calls   []string
}

func serve(t *testing.T, h http.HandlerFunc) *switchable {
	t.Helper()
	s := &switchable{handler: h}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *switchable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.calls = append(s.calls, r.Method+" "+r.URL.Path)
	h := s.handler
	s.mu.Unlock()
	h(w, r)
}

func (s *switchable) set(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler = h
}

func (s *switchable) count(call string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.calls {
		if c == call {
			n++
		}
	}
	return n
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, `{"message":"`+http.StatusText(code)+`"}`)
	}
}

// quietGitLab knows the token and has no job.
func quietGitLab(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("RUNNER-TOKEN") != token {
		status(http.StatusForbidden)(w, r)
		return
	}
	if r.URL.Path == "/api/v4/jobs/request" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	status(http.StatusOK)(w, r)
}

// process is a tunnel as main runs it.
type process struct {
	t      *testing.T
	out    *outputtest.Buffer
	stop   func() error
	ended  chan struct{}
	gitlab *switchable
	policy *switchable
}

// start runs a tunnel against fakes; more options come last and win.
func start(t *testing.T, gitlab, policy *switchable, redisURL string, getenv func(string) string, more ...string) *process {
	t.Helper()
	p := &process{t: t, out: &outputtest.Buffer{}, ended: make(chan struct{}), gitlab: gitlab, policy: policy}
	args := append([]string{
		"--gitlab-url=" + gitlab.URL, "--agent=acme/agents:main", "--seal-key-file=" + sealKey(t), "--redis-url=" + redisURL,
		"--redis-prefix=" + redistest.Prefix(t), "--policy-url=" + policy.URL, "--listen=127.0.0.1:0", "--egress-listen=127.0.0.1:0", "--poll-interval=100ms",
	}, more...)
	ctx, cancel := context.WithCancel(t.Context())
	var err error
	go func() {
		defer close(p.ended)
		err = Run(ctx, args, getenv, p.out)
	}()
	p.stop = func() error { cancel(); <-p.ended; return err }
	t.Cleanup(func() { _ = p.stop() })
	return p
}

// admin is the address of /readyz, as the process logs it; "" until then.
func (p *process) admin() string {
	for line := range strings.Lines(p.out.String()) {
		var l struct{ Msg, Listen string }
		if json.Unmarshal([]byte(line), &l) == nil && l.Msg == "tunnel starts" {
			return l.Listen
		}
	}
	return ""
}

// report is what /readyz says; false while nothing listens.
func (p *process) report() (service.Report, bool) {
	resp, err := http.Get("http://" + p.admin() + "/readyz")
	if err != nil {
		return service.Report{}, false
	}
	defer resp.Body.Close()
	var r service.Report
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil || r.Ready != (resp.StatusCode == http.StatusOK) {
		p.t.Errorf("readyz answers %d, %v", resp.StatusCode, err)
	}
	return r, true
}

// link waits until a link's state contains text.
func (p *process) link(name, text string) {
	p.t.Helper()
	p.eventually("link "+name+" says "+text, func() bool {
		r, ok := p.report()
		return ok && strings.Contains(r.Links[name], text)
	})
}

func (p *process) ready() {
	p.t.Helper()
	p.eventually("ready", func() bool { r, ok := p.report(); return ok && r.Ready })
}

func (p *process) eventually(what string, ok func() bool) {
	p.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !ok() {
		select {
		case <-p.ended:
			p.t.Fatalf("the process ended before: %s\n%s", what, p.out)
		case <-tick.C:
		case <-deadline:
			p.t.Fatalf("still not so: %s\n%s", what, p.out)
		}
	}
}
