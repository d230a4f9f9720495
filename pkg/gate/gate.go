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

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"

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
	log      *slog.Logger
	upstream *url.URL
	normal   http.RoundTripper
	upgrade  http.RoundTripper // HTTP/1.1 only: SPDY and WebSocket need it
	info     *request.RequestInfoFactory
	buffers  bufferPool
	about    *documents.Cache // what the API says about itself

	mu       sync.RWMutex
	sessions map[[sha256.Size]byte]*Session
}

// Session is one grant in use.
type Session struct {
	claims *grant.Claims
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

// Config is what a Gate needs. Only Rules may be left out.
type Config struct {
	// API is the API server behind the gate, with the gate's own credential,
	// which may do nothing but impersonate.
	API      *rest.Config
	Verifier Verifier
	Rules    Rules // nil: the cluster's owner has none
	Log      *slog.Logger
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
		verifier: c.Verifier, rules: c.Rules, log: c.Log, upstream: host, normal: normal, upgrade: upgrade,
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
	s.proxy = g.newProxy(claims)
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

func (g *Gate) newProxy(claims *grant.Claims) *httputil.ReverseProxy {
	id := claims.Identity
	as := transport.ImpersonationConfig{UserName: id.User, UID: id.UID, Groups: id.Groups, Extra: id.Extra}
	normal := g.about.Transport(transport.NewImpersonatingRoundTripper(as, earlyAnswers{g.normal}))
	upgrade := transport.NewImpersonatingRoundTripper(as, g.upgrade)
	return &httputil.ReverseProxy{
		Rewrite:       g.rewrite,
		Transport:     byKind{normal, upgrade},
		FlushInterval: -1,
		BufferPool:    &g.buffers,
		ErrorLog:      slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				g.log.Warn("kubernetes api does not answer", "path", r.URL.Path, "error", err.Error())
			}
			refuse(w, http.StatusServiceUnavailable, "ServiceUnavailable", "the Kubernetes API does not answer the runner: "+err.Error())
		},
	}
}

// ServeHTTP checks and forwards one request.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := g.session(r)
	if s == nil {
		refuse(w, http.StatusUnauthorized, "Unauthorized", "this grant is not valid here: it has expired, its job is over, or it belongs to another runner")
		return
	}
	info, refusal := g.check(s.claims, r)
	if refusal != nil {
		g.log.Warn("request refused", "job_id", s.claims.Job.ID, "verb", r.Method, "path", r.URL.Path, "reason", refusal.message)
		refuse(w, refusal.code, refusal.reason, refusal.message)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	rec := &statusRecorder{ResponseWriter: w, ctx: ctx}
	began := time.Now()
	// The proxy panics when an answer breaks off: what was done must be in the
	// log all the same.
	defer func() { g.audit(s.claims, info, rec.code, time.Since(began)) }()
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

// byKind sends upgrade requests over HTTP/1.1 and everything else over the
// shared connection.
type byKind struct{ normal, upgrade http.RoundTripper }

func (k byKind) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Upgrade") != "" {
		return k.upgrade.RoundTrip(r)
	}
	return k.normal.RoundTrip(r)
}

type bufferPool struct{ pool sync.Pool }

const copyBuffer = 32 << 10

func (b *bufferPool) Get() []byte {
	if v, ok := b.pool.Get().(*[]byte); ok {
		return *v
	}
	return make([]byte, copyBuffer)
}

func (b *bufferPool) Put(buf []byte) { b.pool.Put(&buf) }
