package gate

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
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

	revocations Revocations
	systemNames []string

	mu       sync.RWMutex
	sessions map[string]*Session // by their grants' tokens
}

// Config is what a Gate needs. Rules, Audit, Revocations and SystemNames may be
// left out.
type Config struct {
	// API is the API server behind the gate, with the gate's own credential,
	// which may do nothing but impersonate.
	API      *rest.Config
	Verifier Verifier
	// Revocations says which grants are void before their time; nil: none is.
	Revocations Revocations
	Rules       Rules // nil: the cluster's owner has none
	Audit       Audit // nil: the log alone
	Log         *slog.Logger
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
		verifier: c.Verifier, revocations: c.Revocations, rules: c.Rules, trail: c.Audit, log: c.Log, systemNames: c.SystemNames, upstream: host, normal: normal, upgrade: upgrade,
		info:     &request.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")},
		sessions: map[string]*Session{},
		about:    documents.New(host.Path),
	}, nil
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
