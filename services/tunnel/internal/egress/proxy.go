package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"time"

	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/pkg/service"
)

// Limits of the proxy.
const (
	dialTimeout   = 10 * time.Second
	tunnelIdle    = 5 * time.Minute
	maxTunnelLife = 2 * time.Hour
	// checkFor is how long a grant that cannot be checked is checked again before
	// the client hears of it. Redis, policy and keys on their way to each of its
	// replicas are away that long when they are replaced; git asks only once.
	checkFor = 20 * time.Second
)

// checking paces the checks of one grant. Keys are fetched by one for all.
var checking = retry.Policy{Min: 200 * time.Millisecond, Max: 2 * time.Second}

// Verifier checks a grant's signature, audience and times.
type Verifier interface {
	Verify(ctx context.Context, token, audience string) (*grant.Claims, error)
}

// Revocations says which grants are void before their time.
type Revocations interface {
	Revoked(ctx context.Context, jti string) (bool, error)
}

// Proxy is an http.Handler. It is safe for concurrent use.
type Proxy struct {
	Verifier    Verifier
	Revocations Revocations
	Allowed     map[string]bool // host:port
	Dial        func(ctx context.Context, network, addr string) (net.Conn, error)
	Log         *slog.Logger

	once  sync.Once
	plain *httputil.ReverseProxy
	open  tunnels
}

// ServeHTTP forwards one request or opens one tunnel.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.once.Do(p.init)
	claims, err := p.authenticate(r)
	if errors.Is(err, errUnknowable) {
		refuse(w, r, http.StatusServiceUnavailable, err.Error()+"; try again")
		return
	}
	if err != nil {
		w.Header().Set("Proxy-Authenticate", `Basic realm="towline"`)
		refuse(w, r, http.StatusProxyAuthRequired, "this job's grant is not accepted here: "+err.Error())
		return
	}
	target, ok := p.target(r)
	if !ok {
		p.Log.Warn("egress refused", service.JobID(claims.Job.ID), "target", target)
		refuse(w, r, http.StatusForbidden, target+" is not among the hosts that jobs and syncs may reach; the cluster's owner can add it to --egress-hosts")
		return
	}
	if r.Method == http.MethodConnect {
		p.connect(w, r, claims, target)
		return
	}
	ctx, stop := p.follow(r.Context(), claims)
	defer stop()
	p.plain.ServeHTTP(w, r.WithContext(ctx))
}

func (p *Proxy) init() {
	p.plain = &httputil.ReverseProxy{
		// Hop-by-hop headers are dropped already. What was checked is what is
		// dialled; the query stays as it was sent.
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Host, _ = p.target(r.In)
			r.Out.URL.RawQuery = r.In.URL.RawQuery
		},
		Transport: &http.Transport{
			DialContext: p.dial, ResponseHeaderTimeout: tunnelIdle, IdleConnTimeout: time.Minute,
			DisableCompression: true, // bytes are forwarded as they are
		},
		FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			refuse(w, r, http.StatusBadGateway, r.URL.Host+" does not answer: "+err.Error())
		},
		ErrorLog: slog.NewLogLogger(p.Log.Handler(), slog.LevelDebug),
	}
}

func (p *Proxy) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if p.Dial != nil {
		return p.Dial(ctx, network, addr)
	}
	return (&net.Dialer{}).DialContext(ctx, network, addr)
}

// errUnknowable means that nothing is known about a grant at the moment.
var errUnknowable = errors.New("the job's grant cannot be checked")

// authenticate reads the grant from the password of the proxy's basic
// authentication. What passes by itself is waited out, up to checkFor and while
// the client is there; a grant that is known to be bad is refused at once.
func (p *Proxy) authenticate(r *http.Request) (*grant.Claims, error) {
	basic := &http.Request{Header: http.Header{"Authorization": r.Header.Values("Proxy-Authorization")}}
	_, token, ok := basic.BasicAuth()
	if !ok {
		return nil, errors.New("no grant was sent")
	}
	ctx, cancel := context.WithTimeout(r.Context(), checkFor)
	defer cancel()
	var claims *grant.Claims
	err := errUnknowable // until the first check
	checking.Loop(ctx, func(ctx context.Context) retry.Result {
		claims, err = p.check(ctx, token)
		if errors.Is(err, errUnknowable) || errors.Is(err, grant.ErrUnknownKey) {
			return retry.Result{Outcome: retry.Failed}
		}
		return retry.Result{Outcome: retry.Done}
	})
	return claims, err
}

// check verifies a grant once. errUnknowable passes, and so does
// grant.ErrUnknownKey where a replica of policy lags behind another.
func (p *Proxy) check(ctx context.Context, token string) (*grant.Claims, error) {
	claims, err := p.Verifier.Verify(ctx, token, grant.AudienceEgress)
	switch {
	case errors.Is(err, grant.ErrKeysUnavailable):
		return nil, fmt.Errorf("%w: policy's keys cannot be read now", errUnknowable)
	case err != nil:
		return nil, err
	}
	revoked, err := p.Revocations.Revoked(ctx, claims.ID)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: revocations cannot be read now", errUnknowable)
	case revoked:
		return nil, errors.New("the job is over")
	}
	return claims, nil
}

// target is the host and port a request is for, and whether it is allowed.
func (p *Proxy) target(r *http.Request) (string, bool) {
	host := r.Host
	if r.Method != http.MethodConnect {
		if r.URL.Scheme != "http" {
			return r.URL.Redacted(), false
		}
		host = r.URL.Host
	}
	name, port, err := net.SplitHostPort(host)
	switch {
	case r.Method == http.MethodConnect: // the port is part of what is asked for
	case err != nil:
		host = net.JoinHostPort(strings.Trim(host, "[]"), "80")
	case port == "":
		host = net.JoinHostPort(name, "80")
	}
	host = strings.ToLower(host)
	return host, p.Allowed[host]
}

// connect joins the client with the target until both are done, or the grant is.
func (p *Proxy) connect(w http.ResponseWriter, r *http.Request, claims *grant.Claims, target string) {
	up, err := p.dial(r.Context(), "tcp", target)
	if err != nil {
		refuse(w, r, http.StatusBadGateway, target+" does not answer: "+err.Error())
		return
	}
	defer up.Close()
	down, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		p.Log.Warn("egress tunnel not opened", service.Err(err))
		return
	}
	defer down.Close()
	if _, err := io.WriteString(down, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	deadline := time.Now().Add(maxTunnelLife)
	_ = up.SetDeadline(deadline)
	_ = down.SetDeadline(deadline)
	// The server cancels the request's own context when the client is done with
	// sending, which is not the end of a tunnel.
	ctx, stop := p.follow(context.WithoutCancel(r.Context()), claims)
	defer stop()
	t := p.open.add(up, down)
	defer p.open.remove(t)
	defer context.AfterFunc(ctx, t.close)()
	var wg sync.WaitGroup
	wg.Go(func() { t.carry(up, buffered, true) })
	wg.Go(func() { t.carry(down, up, false) })
	wg.Wait()
}

func closeWrite(c net.Conn) {
	if t, ok := c.(interface{ CloseWrite() error }); ok { // TCP and TLS
		_ = t.CloseWrite()
		return
	}
	_ = c.Close()
}
