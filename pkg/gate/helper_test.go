package gate_test

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/pkg/gate"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/outputtest"
)

// ownToken is the credential of the gate itself.
const ownToken = "the-runners-own-token"

var signer = func() *grant.Signer {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	s, err := grant.NewSigner(key)
	if err != nil {
		panic(err)
	}
	return s
}()

// claims are what policy signs for job 7; change alters them.
func claims(change ...func(*grant.Claims)) grant.Claims {
	c := grant.Claims{
		RegisteredClaims: jwt.RegisteredClaims{ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))},
		Job:              grant.Job{ID: 7, PipelineID: 3, ProjectID: 42, ProjectPath: "group/app"},
		Identity: grant.Identity{
			Mode: grant.ModeCIJob, User: "gitlab:ci_job:7", UID: "uid-7",
			Groups: []string{"gitlab:ci_job", "gitlab:project:42"},
			Extra:  map[string][]string{"agent.gitlab.com/ci_job_id": {"7"}, "agent.gitlab.com/ci_pipeline_id": {"3"}},
		},
		Agent:         grant.Agent{ID: 1, Project: "group/conf", Name: "prod"},
		PayloadDigest: grant.Digest(nil),
	}
	for _, f := range change {
		f(&c)
	}
	return c
}

func within(namespaces ...string) func(*grant.Claims) {
	return func(c *grant.Claims) { c.Namespaces = namespaces }
}

func sign(tb testing.TB, c grant.Claims) string {
	tb.Helper()
	token, err := signer.Sign(c)
	if err != nil {
		tb.Fatal(err)
	}
	return token
}

// bench is a gate behind TLS in front of an API server of the test's own.
type bench struct {
	tb       testing.TB
	gate     *gate.Gate
	url      string
	client   *http.Client // HTTP/2
	h1       *http.Client
	tls      *tls.Config
	log      *journal
	upstream *httptest.Server
	own      *rest.Config // the gate's own credential
	seen     chan *http.Request
}

// open serves a gate. What answers behind it also puts each request into seen,
// as far as there is room.
func open(tb testing.TB, answer http.HandlerFunc) *bench {
	tb.Helper()
	b := &bench{tb: tb, log: &journal{}, seen: make(chan *http.Request, 64)}
	b.upstream = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case b.seen <- r.Clone(context.Background()):
		default:
		}
		if answer != nil {
			answer(w, r)
		}
	}))
	b.upstream.EnableHTTP2 = true
	b.upstream.StartTLS()
	tb.Cleanup(b.upstream.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.upstream.Certificate().Raw})
	b.own = &rest.Config{Host: b.upstream.URL, BearerToken: ownToken, TLSClientConfig: rest.TLSClientConfig{CAData: ca}}
	b.gate = newGate(tb, b.own, b.log)
	b.serve()
	return b
}

// rebuild makes the gate anew with other settings.
func (b *bench) rebuild(change func(*gate.Config)) {
	b.tb.Helper()
	c := gate.Config{API: b.own, Verifier: grant.NewVerifier(grant.NewStaticKeys(signer.Public())), Log: slog.New(slog.NewJSONHandler(b.log, nil))}
	change(&c)
	var err error
	if b.gate, err = gate.New(c); err != nil {
		b.tb.Fatal(err)
	}
	b.serve()
}

func newGate(tb testing.TB, cfg *rest.Config, log io.Writer) *gate.Gate {
	tb.Helper()
	verifier := grant.NewVerifier(grant.NewStaticKeys(signer.Public()))
	g, err := gate.New(gate.Config{API: cfg, Verifier: verifier, Log: slog.New(slog.NewJSONHandler(log, nil))})
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

func (b *bench) serve() {
	b.tb.Helper()
	cert, ca, err := gate.SelfSigned()
	if err != nil {
		b.tb.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(b.tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.tb.Fatal(err)
	}
	srv := &http.Server{Handler: b.gate, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), ReadHeaderTimeout: time.Minute}
	go func() {
		_ = srv.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", "http/1.1"}}))
	}()
	b.tb.Cleanup(func() { _ = srv.Close() })
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		b.tb.Fatal("the gate's CA is not PEM")
	}
	b.url, b.tls = "https://"+l.Addr().String(), &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}
	h2 := &http.Transport{TLSClientConfig: b.tls.Clone(), ForceAttemptHTTP2: true}
	h1 := &http.Transport{TLSClientConfig: b.tls.Clone(), TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}
	b.client, b.h1 = &http.Client{Transport: h2}, &http.Client{Transport: h1}
	b.tb.Cleanup(h2.CloseIdleConnections)
	b.tb.Cleanup(h1.CloseIdleConnections)
}

// session opens one for a new grant and returns its token.
func (b *bench) session(change ...func(*grant.Claims)) (string, *gate.Session) {
	b.tb.Helper()
	token := sign(b.tb, claims(change...))
	s, err := b.gate.Open(b.tb.Context(), token)
	if err != nil {
		b.tb.Fatal(err)
	}
	b.tb.Cleanup(s.Close)
	return token, s
}

func (b *bench) request(method, path, token string, body io.Reader) *http.Request {
	b.tb.Helper()
	r, err := http.NewRequestWithContext(b.tb.Context(), method, b.url+path, body)
	if err != nil {
		b.tb.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

func (b *bench) do(r *http.Request) *http.Response {
	b.tb.Helper()
	resp, err := b.client.Do(r)
	if err != nil {
		b.tb.Fatal(err)
	}
	b.tb.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// status reads an answer as kubectl does.
func status(tb testing.TB, resp *http.Response) metav1.Status {
	tb.Helper()
	var s metav1.Status
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		tb.Fatalf("the answer %s is no Status: %v", resp.Status, err)
	}
	if s.Kind != "Status" || s.APIVersion != "v1" || s.Status != metav1.StatusFailure || int(s.Code) != resp.StatusCode {
		tb.Errorf("Status = %+v with HTTP %d", s, resp.StatusCode)
	}
	if resp.Header.Get("Content-Type") != "application/json" {
		tb.Errorf("Content-Type = %q", resp.Header.Get("Content-Type"))
	}
	return s
}

// forwarded is the request that reached the API server, or nil.
func (b *bench) forwarded() *http.Request {
	select {
	case r := <-b.seen:
		return r
	default:
		return nil
	}
}

// journal is a log that tests can read.
type journal struct{ outputtest.Buffer }

// lines are the entries with a message.
func (j *journal) lines(tb testing.TB, msg string) []map[string]any {
	tb.Helper()
	var out []map[string]any
	for line := range strings.Lines(j.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			tb.Fatal(err)
		}
		if m["msg"] == msg {
			out = append(out, m)
		}
	}
	return out
}
