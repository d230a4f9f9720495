package egress

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/towline/towline/pkg/grant"
)

func signer(t *testing.T, seed string) *grant.Signer {
	t.Helper()
	s, err := grant.NewSigner(ed25519.NewKeyFromSeed([]byte(strings.Repeat(seed, ed25519.SeedSize))))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// claims of a good grant; change makes them worse.
func sign(t *testing.T, s *grant.Signer, change func(*grant.Claims)) string {
	t.Helper()
	c := grant.Claims{
		Job:      grant.Job{ID: 1001},
		Identity: grant.Identity{Mode: grant.ModeCIJob, User: "gitlab:ci_job:1001"},
		Agent:    grant.Agent{Project: "acme/agents", Name: "main"}, PayloadDigest: grant.Digest(nil), ConfigRevision: "r",
	}
	c.ID, c.ExpiresAt = "jti-1", jwt.NewNumericDate(time.Now().Add(time.Hour))
	if change != nil {
		change(&c)
	}
	token, err := s.Sign(c)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// revoked is the list of void grants; "?" in it means that it cannot be read.
type revoked map[string]bool

func (r revoked) Revoked(_ context.Context, jti string) (bool, error) {
	if r["?"] {
		return false, errors.New("redis does not answer")
	}
	return r[jti], nil
}

// yard is a proxy in front of a world in which names lead to local servers.
type yard struct {
	*Proxy
	t     *testing.T
	addr  string // of the proxy
	token string

	mu    sync.Mutex
	world map[string]string // host:port -> address of a local server
	dials []string
}

func newYard(t *testing.T, allowed ...string) *yard {
	t.Helper()
	s := signer(t, "a")
	y := &yard{t: t, token: sign(t, s, nil), world: map[string]string{}}
	y.Proxy = &Proxy{
		Verifier: grant.NewVerifier(grant.NewStaticKeys(s.Public())), Revocations: revoked{},
		Allowed: map[string]bool{}, Dial: y.dialWorld, Log: slog.New(slog.DiscardHandler),
	}
	for _, h := range allowed {
		y.Allowed[h] = true
	}
	srv := httptest.NewServer(y.Proxy)
	t.Cleanup(srv.Close)
	y.addr = srv.Listener.Addr().String()
	return y
}

func (y *yard) dialWorld(ctx context.Context, network, addr string) (net.Conn, error) {
	y.mu.Lock()
	y.dials = append(y.dials, addr)
	to, ok := y.world[addr]
	y.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("dial %s: no such host", addr)
	}
	return (&net.Dialer{}).DialContext(ctx, network, to)
}

func (y *yard) dialed() []string {
	y.mu.Lock()
	defer y.mu.Unlock()
	return append([]string(nil), y.dials...)
}

// serve puts an HTTP server at a name of the world.
func (y *yard) serve(name string, h http.HandlerFunc) {
	y.t.Helper()
	srv := httptest.NewServer(h)
	y.t.Cleanup(srv.Close)
	y.world[name] = srv.Listener.Addr().String()
}

// listen puts a TCP server at a name of the world.
func (y *yard) listen(name string, serve func(*net.TCPConn)) {
	y.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		y.t.Fatal(err)
	}
	y.t.Cleanup(func() { _ = l.Close() })
	y.world[name] = l.Addr().String()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); serve(c.(*net.TCPConn)) }()
		}
	}()
}

// conn is a client's connection to the proxy.
type conn struct {
	*net.TCPConn
	t *testing.T
	r *bufio.Reader
}

func (y *yard) conn() *conn {
	y.t.Helper()
	c, err := net.Dial("tcp", y.addr)
	if err != nil {
		y.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	y.t.Cleanup(func() { _ = c.Close() })
	return &conn{c.(*net.TCPConn), y.t, bufio.NewReader(c)}
}

// send writes a request with the grant in it and reads the answer's head.
func (c *conn) send(token, method, target string, headers ...string) *http.Response {
	c.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", method, target)
	if token != "" {
		fmt.Fprintf(&b, "Proxy-Authorization: Basic %s\r\n", base64.StdEncoding.EncodeToString([]byte("job:"+token)))
	}
	host := "Host: irrelevant.invalid"
	for _, h := range headers {
		if strings.HasPrefix(h, "Host:") {
			host = ""
		}
		b.WriteString(h + "\r\n")
	}
	if host != "" {
		b.WriteString(host + "\r\n")
	}
	if _, err := io.WriteString(c, b.String()+"\r\n"); err != nil {
		c.t.Fatal(err)
	}
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.t.Fatal(err)
	}
	return resp
}

func text(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
