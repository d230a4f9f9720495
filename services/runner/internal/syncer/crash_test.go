//go:build integration

package syncer

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/towline/towline/pkg/gate"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/syncspec"
)

var crashAt = flag.Int64("crash", 0, "kill the sync at this request only, to replay a failure")

// runner is a runner of one entry that dies at a request, or lives.
type runner struct {
	*site
	death
	next  http.RoundTripper
	pid   string // file with the number of the sync process
	calls atomic.Int64
	stop  func()
	done  chan struct{}
}

// death is what happens at a request of the sync.
type death struct {
	at     int64 // 0: nothing
	behind bool  // the request is still done
	whole  bool  // the runner dies with its sync process
}

var errDead = errors.New("the process is dead")

// RoundTrip counts what passes the gate.
func (r *runner) RoundTrip(req *http.Request) (*http.Response, error) {
	n := r.calls.Add(1)
	if r.at == 0 || n < r.at {
		return r.next.RoundTrip(req)
	}
	if n == r.at {
		if r.behind {
			if resp, err := r.next.RoundTrip(req); err == nil {
				resp.Body.Close()
			}
		}
		r.kill()
	}
	return nil, errDead
}

func (r *runner) kill() {
	if r.whole {
		r.stop() // it has no time left to say anything: its lease just ends
	}
	text, err := os.ReadFile(r.pid)
	if err != nil {
		r.Errorf("no sync process to kill: %v", err)
		return
	}
	pid, err := strconv.Atoi(string(text))
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil && !errors.Is(err, syscall.ESRCH) { // it may have ended with its runner
		r.Errorf("kill the sync process: %v", err)
	}
}

// start starts a runner with a gate of its own.
func (s *site) start(d death) *runner {
	s.Helper()
	r := &runner{site: s, death: d, pid: filepath.Join(s.TempDir(), "pid"), done: make(chan struct{})}
	cfg := rest.CopyConfig(s.config)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		r.next = next
		return r
	})
	log := slog.New(slog.DiscardHandler)
	g, err := gate.New(gate.Config{API: cfg, Verifier: grant.NewVerifier(grant.NewStaticKeys(s.signer.Public())), Log: log})
	s.must(err)
	cert, ca, err := gate.SelfSigned()
	s.must(err)
	server := httptest.NewUnstartedServer(g)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", "http/1.1"}}
	server.EnableHTTP2 = true
	server.StartTLS()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	s.must(err)
	number, err := strconv.ParseUint(port, 10, 16)
	s.must(err)
	w := New(Config{
		Ledger: s.ledger, Seal: s.box, Gate: g, GatePort: uint16(number), CA: ca, Runner: "r1", Slots: 1, Command: []string{os.Args[0], actAsSync, r.pid},
		Dir: s.TempDir(), Sandbox: "off", Ready: func() bool { return true }, Log: log,
	})
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	// Nobody waits for it earlier: it may be asking Redis for a second.
	s.Cleanup(func() { cancel(); <-r.done })
	go func() {
		defer close(r.done)
		_ = w.Run(ctx)
		server.Close()
	}()
	return r
}

// every how many requests a sync dies.
const every = 10

// stateOf is a set of objects: those from first to last, with a value, and an
// immutable Secret with the same.
func stateOf(first, last int, value string) (files map[string]string, text string) {
	files = map[string]string{"s.yaml": fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: fixed}\nimmutable: true\nstringData: {value: %q}\n", value)}
	var out []string
	for n := first; n <= last; n++ {
		files[fmt.Sprintf("c%02d.yaml", n)] = fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%02d}\ndata: {value: %q}\n", n, value)
		out = append(out, fmt.Sprintf("ConfigMap/c%02d=%s", n, value))
	}
	return files, strings.Join(append(out, "Secret/fixed="+value), " ")
}

// TestCrashAtEveryTenthCall kills the sync process, and the runner with it, at
// every tenth request that passes the gate. The next attempt, at the same commit
// or at another, brings the cluster to what is wanted: no object is lost, none is left behind, and those that
// stay are the same. -crash=N replays one.
func TestCrashAtEveryTenthCall(t *testing.T) {
	for _, how := range []death{{}, {behind: true, whole: true}} {
		t.Run(fmt.Sprintf("behind=%v whole=%v", how.behind, how.whole), func(t *testing.T) {
			const most = 400
			reached := true
			for at := int64(every); reached && at < most; at += every {
				how.at = at
				if *crashAt != 0 {
					how.at = *crashAt
				}
				reached = newSite(t).crash(how)
				if *crashAt != 0 {
					return
				}
			}
			if reached {
				t.Errorf("a sync of %d requests?", most)
			}
		})
	}
}

// crash is one sync that dies, and what becomes of it. It says whether it died.
func (s *site) crash(how death) (died bool) {
	s.Helper()
	first, before := stateOf(0, 19, "one")
	second, after := stateOf(5, 24, "two")
	s.sync(first)
	text, was := s.owned()
	if text != before {
		s.Fatalf("%s, want %s", text, before)
	}
	dying := s.start(how)
	s.want(second)
	report, ended := s.result(dying.done)
	died = dying.calls.Load() >= how.at
	switch want := map[bool]syncspec.State{true: syncspec.Failed, false: syncspec.Succeeded}[died]; {
	case ended != (died && how.whole):
		s.Errorf("request %d: the runner has ended: %v", how.at, ended)
	case ended:
		s.leaseEnds()
	case report.State != want:
		s.Errorf("request %d: the sync %s: %s", how.at, report.State, report.Summary())
	}
	dying.stop()
	if how.at%(2*every) != 0 { // another commit has come meanwhile, without what the dead one made
		second, after = stateOf(5, 14, "three")
	}
	s.sync(second)
	text, is := s.owned()
	if text != after {
		s.Errorf("died at request %d: %s, want %s", how.at, text, after)
	}
	for name, uid := range was {
		if now := is[name]; strings.HasPrefix(name, "ConfigMap/") && now != "" && now != uid {
			s.Errorf("died at request %d: %s was made anew", how.at, name)
		}
	}
	s.Logf("request %d of %d: died %v", how.at, dying.calls.Load(), died)
	s.sync(map[string]string{"none.yaml": "# nothing\n"})
	if text, _ := s.owned(); text != "" {
		s.Errorf("died at request %d: left behind: %s", how.at, text)
	}
	return died
}
