package gate

import (
	"log/slog"
	"maps"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/transport"

	"github.com/towline/towline/pkg/grant"
)

// newProxy is the way of one session to the API server. Answers of known length
// go out as they come; the proxy flushes those without one, such as watches, by
// itself.
func (g *Gate) newProxy(s *Session) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:    func(p *httputil.ProxyRequest) { g.rewrite(s, p) },
		Transport:  byKind{g.about.Transport(earlyAnswers{g.normal}), g.upgrade},
		BufferPool: &g.buffers,
		ErrorLog:   slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				g.log.Warn("kubernetes api does not answer", "path", r.URL.Path, "error", err.Error())
			}
			(&refusal{
				code: http.StatusServiceUnavailable, reason: metav1.StatusReasonServiceUnavailable,
				message: "the Kubernetes API does not answer the runner: " + err.Error(),
			}).write(w)
		},
	}
}

// rewrite aims the request at the API server, drops everything by which a client
// could speak of an identity, and stamps the one to act as.
func (g *Gate) rewrite(s *Session, p *httputil.ProxyRequest) {
	p.Out.URL.Scheme, p.Out.URL.Host = g.upstream.Scheme, g.upstream.Host
	p.Out.URL.Path = strings.TrimSuffix(g.upstream.Path, "/") + p.In.URL.Path
	p.Out.Host = ""
	p.Out.Trailer = nil
	for name := range p.Out.Header {
		if speaksOfIdentity(http.CanonicalHeaderKey(name)) {
			delete(p.Out.Header, name)
		}
	}
	// Its own, where check has found that it may.
	identity := s.stamp
	if own := impersonation(p.In.Header); len(own) > 0 {
		identity = own
	}
	maps.Copy(p.Out.Header, identity)
}

// stamped are the headers of an identity, as client-go writes them.
func stamped(id grant.Identity) http.Header {
	var out capture
	as := transport.ImpersonationConfig{UserName: id.User, UID: id.UID, Groups: id.Groups, Extra: id.Extra}
	_, _ = transport.NewImpersonatingRoundTripper(as, &out).RoundTrip(&http.Request{Header: http.Header{}}) //nolint:bodyclose // there is no answer
	return out.header
}

// capture keeps the headers of a request instead of sending it.
type capture struct{ header http.Header }

// RoundTrip implements http.RoundTripper.
func (c *capture) RoundTrip(r *http.Request) (*http.Response, error) {
	c.header = r.Header
	return nil, http.ErrNotSupported
}

// speaksOfIdentity says whether a header names a user, carries a credential, or
// says where a request comes from, which the API server believes and audits.
func speaksOfIdentity(header string) bool {
	switch header {
	case "Authorization", "Proxy-Authorization", "Cookie", "Forwarded", "X-Real-Ip":
		return true
	}
	return strings.HasPrefix(header, impersonateHeader) || strings.HasPrefix(header, remoteHeader) || strings.HasPrefix(header, "X-Forwarded-")
}

// byKind sends upgrade requests over HTTP/1.1 and everything else over the
// shared connection.
type byKind struct{ normal, upgrade http.RoundTripper }

// RoundTrip implements http.RoundTripper.
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
