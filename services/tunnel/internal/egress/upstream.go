package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
)

// maxProxyHeader bounds the answer of another proxy to CONNECT, in bytes.
const maxProxyHeader = 64 << 10

// Dialer connects to an address.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// Upstream dials through the proxy that choose names for a request to
// https://address, or directly where it names none; http.ProxyFromEnvironment
// is one. No error shows the proxy's password.
func Upstream(choose func(*http.Request) (*url.URL, error)) Dialer {
	direct := &net.Dialer{}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		proxy, err := choose(&http.Request{Method: http.MethodConnect, URL: &url.URL{Scheme: "https", Host: address}})
		if err != nil {
			return nil, fmt.Errorf("the proxy of the environment (HTTPS_PROXY) is no address")
		}
		if proxy == nil {
			return direct.DialContext(ctx, network, address)
		}
		c, err := dialProxy(ctx, direct, proxy)
		if err != nil {
			return nil, fmt.Errorf("the proxy %s does not answer: %w", proxy.Host, err)
		}
		if deadline, ok := ctx.Deadline(); ok {
			_ = c.SetDeadline(deadline)
		}
		joined, err := ask(c, proxy, address)
		if err != nil {
			_ = c.Close()
			return nil, fmt.Errorf("the proxy %s does not let through to %s: %w", proxy.Host, address, err)
		}
		return joined, nil
	}
}

func dialProxy(ctx context.Context, direct *net.Dialer, proxy *url.URL) (net.Conn, error) {
	port := proxy.Port()
	switch {
	case proxy.Scheme == "https" && port == "":
		port = "443"
	case port == "":
		port = "80"
	}
	address := net.JoinHostPort(proxy.Hostname(), port)
	switch proxy.Scheme {
	case "https":
		return (&tls.Dialer{NetDialer: direct, Config: &tls.Config{MinVersion: tls.VersionTLS12}}).DialContext(ctx, "tcp", address)
	case "http":
		return direct.DialContext(ctx, "tcp", address)
	}
	return nil, fmt.Errorf("%s:// is no kind of proxy that is known here; use http:// or https://", proxy.Scheme)
}

// ask sends CONNECT and returns the connection behind the proxy.
func ask(c net.Conn, proxy *url.URL, address string) (net.Conn, error) {
	head := "CONNECT " + address + " HTTP/1.1\r\nHost: " + address + "\r\n"
	if u := proxy.User; u != nil {
		password, _ := u.Password()
		head += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)) + "\r\n"
	}
	if _, err := io.WriteString(c, head+"\r\n"); err != nil {
		return nil, err
	}
	limited := &io.LimitedReader{R: c, N: maxProxyHeader}
	r := bufio.NewReader(limited)
	resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect}) //nolint:bodyclose // what follows is the connection
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s", resp.Status)
	}
	limited.N = 1<<63 - 1
	return &behind{Conn: c, r: r}, nil
}

// behind reads first what came together with the proxy's answer.
type behind struct {
	net.Conn
	r *bufio.Reader
}

func (b *behind) Read(p []byte) (int, error) { return b.r.Read(p) }

// CloseWrite passes the end of one direction on.
func (b *behind) CloseWrite() error {
	if c, ok := b.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return b.Conn.Close()
}
