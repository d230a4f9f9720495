package egress_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/services/tunnel/internal/egress"
)

// company is a proxy with a password that joins with one target only.
func company(t *testing.T, target string) *url.URL {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := (&http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}).BasicAuth()
		if r.Method != http.MethodConnect || user != "u" || password != "hunter2" {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		if r.Host != target {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		up, err := net.Dial("tcp", target)
		if err != nil {
			t.Error(err)
			return
		}
		down, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(down, "HTTP/1.1 200 Connection established\r\n\r\n")
		go func() { _, _ = io.Copy(up, buffered); _ = up.(*net.TCPConn).CloseWrite() }()
		_, _ = io.Copy(down, up)
		_ = down.Close()
		_ = up.Close()
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("u", "hunter2")
	return u
}

// greeter speaks first, as SSH and some others do.
func greeter(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.WriteString(c, "hello\n")
				line, _ := bufio.NewReader(c).ReadString('\n')
				_, _ = io.WriteString(c, "you said "+line)
				_ = c.Close()
			}()
		}
	}()
	return l.Addr().String()
}

func through(u *url.URL) func(*http.Request) (*url.URL, error) {
	return func(*http.Request) (*url.URL, error) { return u, nil }
}

func TestUpstreamProxy(t *testing.T) {
	target := greeter(t)
	for name, proxy := range map[string]*url.URL{"directly": nil, "through a proxy": company(t, target)} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		c, err := egress.Upstream(through(proxy))(ctx, "tcp", target)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := io.WriteString(c, "x\n"); err != nil {
			t.Fatal(err)
		}
		if all, err := io.ReadAll(c); err != nil || string(all) != "hello\nyou said x\n" {
			t.Errorf("%s: %q, %v", name, all, err)
		}
		_ = c.Close()
		cancel()
	}
}

func TestUpstreamProxyThatRefuses(t *testing.T) {
	proxy := company(t, "elsewhere:443")
	wrong := *proxy
	wrong.User = url.UserPassword("u", "hunter3")
	socks, gone := *proxy, *proxy
	socks.Scheme, gone.Host = "socks5", "127.0.0.1:1"
	for want, u := range map[string]*url.URL{
		"does not let through to 127.0.0.1:9: it answers 403": proxy, "it answers 407": &wrong, "use http:// or https://": &socks, "does not answer": &gone,
	} {
		_, err := egress.Upstream(through(u))(t.Context(), "tcp", "127.0.0.1:9")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%v, want %q and no password", err, want)
		}
	}
}
