package gate

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/pkg/gate/documents"
	"github.com/towline/towline/pkg/grant"
)

// Verifier checks a grant's signature, audience and times.
type Verifier interface {
	Verify(ctx context.Context, token, audience string) (*grant.Claims, error)
}

// ErrInUse means that a grant has an open session already. It is free again when
// that one is closed.
var ErrInUse = errors.New("this grant is in use already")

// Gate is an http.Handler in front of one Kubernetes API. It is safe for
// concurrent use.
type Gate struct {
	verifier Verifier
	rules    Rules
	trail    Audit
	log      *slog.Logger
	upstream *url.URL
	normal   http.RoundTripper
	upgrade  http.RoundTripper // HTTP/1.1 only: SPDY and WebSocket need it
	info     *request.RequestInfoFactory
	buffers  bufferPool
	about    *documents.Cache // what the API says about itself

	systemNames []string

	mu       sync.RWMutex
	sessions map[[sha256.Size]byte]*Session
}

// Session is one grant in use.
type Session struct {
	claims *grant.Claims
	stamp  http.Header // the identity of the grant
	others impersonations
	proxy  *httputil.ReverseProxy
	ctx    context.Context
	cancel context.CancelFunc
	close  func()
}

// Claims returns what policy signed.
func (s *Session) Claims() *grant.Claims { return s.claims }

// Close ends the session: its grant is refused from now on and its open
// requests are cut off.
func (s *Session) Close() { s.close() }

// Config is what a Gate needs. Rules, Audit and SystemNames may be left out.
type Config struct {
	// API is the API server behind the gate, with the gate's own credential,
	// which may do nothing but impersonate.
	API      *rest.Config
	Verifier Verifier
	Rules    Rules // nil: the cluster's owner has none
	Audit    Audit // nil: the log alone
	Log      *slog.Logger
	// SystemNames are the users and groups of Kubernetes' own (system:...) that
	// a job with access_as: agent may act as.
	SystemNames []string
}

// New returns a Gate. It dials nothing.
func New(c Config) (*Gate, error) {
	cfg := c.API
	host, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("address of the Kubernetes API: %w", err)
	}
	normal, err := rest.TransportFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("transport to the Kubernetes API: %w", err)
	}
	h1 := rest.CopyConfig(cfg)
	h1.NextProtos = []string{"http/1.1"}
	upgrade, err := rest.TransportFor(h1)
	if err != nil {
		return nil, fmt.Errorf("transport to the Kubernetes API: %w", err)
	}
	return &Gate{
		verifier: c.Verifier, rules: c.Rules, trail: c.Audit, log: c.Log, systemNames: c.SystemNames, upstream: host, normal: normal, upgrade: upgrade,
		info:     &request.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")},
		sessions: map[[sha256.Size]byte]*Session{},
		about:    documents.New(host.Path),
	}, nil
}

// Open verifies a grant and admits its bearer until the session is closed, ctx
// ends or the grant expires, which is as late as its Verifier has it. A grant has
// one session at a time: ErrInUse.
func (g *Gate) Open(ctx context.Context, token string) (*Session, error) {
	claims, err := g.verifier.Verify(ctx, token, grant.AudienceGate)
	if err != nil {
		return nil, err
	}
	sctx, cancel := context.WithDeadline(ctx, claims.ExpiresAt.Add(grant.Skew))
	key := sha256.Sum256([]byte(token))
	s := &Session{claims: claims, ctx: sctx, cancel: cancel}
	s.close = sync.OnceFunc(func() {
		cancel()
		g.mu.Lock()
		delete(g.sessions, key)
		g.mu.Unlock()
	})
	s.stamp = stamped(claims.Identity)
	s.proxy = g.newProxy(s)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sessions[key] != nil {
		cancel()
		return nil, ErrInUse
	}
	g.sessions[key] = s
	context.AfterFunc(sctx, s.close)
	return s, nil
}

// ServeHTTP checks and forwards one request.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := g.session(r)
	if s == nil {
		(&refusal{
			code: http.StatusUnauthorized, rule: ruleGrant, reason: metav1.StatusReasonUnauthorized,
			message: "this grant is not valid here: it has expired, its job is over, or it belongs to another runner",
		}).write(w)
		return
	}
	began := time.Now()
	info, refused := g.check(s, r)
	if refused != nil {
		g.log.Warn("request refused", "job_id", s.claims.Job.ID, "verb", r.Method, "path", r.URL.Path, "rule", refused.rule, "reason", refused.message)
		refused.write(w)
		g.audit(s, r, info, outcome{code: refused.code, rule: refused.rule, took: time.Since(began)})
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	rec := &statusRecorder{ResponseWriter: w, ctx: ctx}
	// The proxy panics when an answer breaks off: what was done must be in the
	// log all the same.
	defer func() {
		g.audit(s, r, info, outcome{code: rec.code, took: time.Since(began), auditID: w.Header().Get(auditIDHeader)})
	}()
	s.proxy.ServeHTTP(rec, r.WithContext(ctx))
}

func (g *Gate) session(r *http.Request) *Session {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || len(r.Header.Values("Authorization")) != 1 {
		return nil
	}
	g.mu.RLock()
	s := g.sessions[sha256.Sum256([]byte(token))]
	g.mu.RUnlock()
	if s == nil || s.ctx.Err() != nil {
		return nil
	}
	return s
}
