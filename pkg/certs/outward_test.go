package certs_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towline/towline/pkg/certs"
)

// line is a connection that may be cut without a word, as by a firewall.
type line struct {
	net.Conn
	cut atomic.Bool
}

// Write implements net.Conn.
func (l *line) Write(p []byte) (int, error) {
	if l.cut.Load() {
		return len(p), nil
	}
	return l.Conn.Write(p)
}

// lines are the connections in memory to one server.
type lines struct {
	accepted chan net.Conn
	closed   chan struct{}
	made     []*line
}

func (l *lines) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	l.made = append(l.made, &line{Conn: ours})
	l.accepted <- theirs
	return l.made[len(l.made)-1], nil
}

// Accept implements net.Listener.
func (l *lines) Accept() (net.Conn, error) {
	select {
	case c := <-l.accepted:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *lines) Close() error { close(l.closed); return nil }

// Addr implements net.Listener.
func (l *lines) Addr() net.Addr { return &net.TCPAddr{} }

// All calls share one connection of HTTP/2: one that is dead is noticed and
// replaced in seconds.
func TestADeadConnectionIsReplaced(t *testing.T) {
	model := httptest.NewTLSServer(nil) // for its certificate
	model.Close()
	roots := x509.NewCertPool()
	roots.AddCert(model.Certificate())
	synctest.Test(t, func(t *testing.T) {
		l := &lines{accepted: make(chan net.Conn), closed: make(chan struct{})}
		server := &http.Server{
			TLSConfig: &tls.Config{Certificates: model.TLS.Certificates, MinVersion: tls.VersionTLS12}, ReadHeaderTimeout: time.Minute,
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Proto", r.Proto) }),
		}
		done := make(chan struct{})
		go func() { defer close(done); _ = server.ServeTLS(l, "", "") }()
		tr := certs.Outward()
		tr.Proxy, tr.DialContext = nil, l.dial
		tr.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
		call := func() error {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://example.com/", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := tr.RoundTrip(req)
			if err != nil {
				return err
			}
			if got := resp.Header.Get("Proto"); got != "HTTP/2.0" {
				t.Errorf("by %s", got)
			}
			return resp.Body.Close()
		}
		if err := call(); err != nil {
			t.Fatal(err)
		}
		l.made[0].cut.Store(true)
		began := time.Now()
		if err := call(); err == nil {
			t.Error("answered on a dead connection")
		}
		if err := call(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 20*time.Second || len(l.made) != 2 {
			t.Errorf("%d connections after %s", len(l.made), took)
		}
		tr.CloseIdleConnections()
		_ = server.Close()
		<-done
	})
}
