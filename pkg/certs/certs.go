package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// dialTimeout bounds the handshake of a client.
const dialTimeout = 10 * time.Second

// Server returns a configuration that serves with the certificate (PEM, with
// its chain) and key in these files. An error names the files.
func Server(certFile, keyFile string) (*tls.Config, error) {
	w, err := newWatched(func(b [][]byte) (*tls.Certificate, error) {
		pair, err := tls.X509KeyPair(b[0], b[1])
		return &pair, err
	}, certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", certFile, keyFile, err)
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return w.get(), nil },
	}, nil
}

// Trust is a set of authorities in a file. It is safe for concurrent use.
type Trust struct{ pool *watched[*x509.CertPool] }

// Only trusts the authorities of a PEM file and no others.
func Only(file string) (*Trust, error) {
	return trust(file, func() *x509.CertPool { return x509.NewCertPool() })
}

// Beside trusts the authorities of a PEM file beside those of the system.
func Beside(file string) (*Trust, error) {
	return trust(file, func() *x509.CertPool {
		if pool, err := x509.SystemCertPool(); err == nil {
			return pool
		}
		return x509.NewCertPool()
	})
}

func trust(file string, base func() *x509.CertPool) (*Trust, error) {
	w, err := newWatched(func(b [][]byte) (*x509.CertPool, error) {
		pool := base()
		if !pool.AppendCertsFromPEM(b[0]) {
			return nil, errors.New(file + " holds no PEM certificate")
		}
		return pool, nil
	}, file)
	if err != nil {
		return nil, err
	}
	return &Trust{w}, nil
}

// Client returns a configuration for one connection. A nil Trust is the
// system's.
func (t *Trust) Client(serverName string) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: serverName}
	if t != nil {
		c.RootCAs = t.pool.get()
	}
	return c
}

// Dial connects to a TLS server; the name it must prove is the host of address.
// A nil Trust is the system's.
func (t *Trust) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return (&tls.Dialer{Config: t.Client(host)}).DialContext(ctx, network, address)
}

// Transport returns a transport that trusts t for https; a nil Trust is the
// system's. Proxies of the environment do not apply to connections it dials
// itself, so it is for the services inside the cluster only.
func (t *Trust) Transport() *http.Transport {
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.Proxy = nil
	tr.DialTLSContext = t.Dial
	return tr
}

const (
	// idleConnections to one address outside the cluster are kept open, for those
	// that do not speak HTTP/2: to make one costs more than what is asked on it.
	idleConnections = 32
	// silentFor is how long a connection of HTTP/2 may bring nothing before it is
	// asked whether it lives, and pingWithin how long it has for the answer. All
	// calls share one, which a firewall may have forgotten: without a question they
	// would wait on it until the system gives it up, a quarter of an hour later.
	silentFor  = 10 * time.Second
	pingWithin = 5 * time.Second
)

// Outward returns a transport for addresses outside the cluster, which it
// reaches through the proxies of the environment, by the system's authorities.
func Outward() *http.Transport {
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.MaxIdleConnsPerHost = idleConnections
	tr.HTTP2 = &http.HTTP2Config{SendPingTimeout: silentFor, PingTimeout: pingWithin}
	return tr
}

// Outside is Outward by the authorities of t. When they change, new connections
// are made with the new ones.
func (t *Trust) Outside() http.RoundTripper {
	return &outside{trust: t}
}

// outside keeps one transport for each state of the authorities.
type outside struct {
	trust *Trust

	mu   sync.Mutex
	pool *x509.CertPool
	now  *http.Transport
}

// RoundTrip implements http.RoundTripper.
func (o *outside) RoundTrip(r *http.Request) (*http.Response, error) {
	return o.transport().RoundTrip(r)
}

// CloseIdleConnections is what http.Client looks for.
func (o *outside) CloseIdleConnections() { o.transport().CloseIdleConnections() }

func (o *outside) transport() *http.Transport {
	o.mu.Lock()
	defer o.mu.Unlock()
	pool := o.trust.pool.get()
	if pool == o.pool {
		return o.now
	}
	if o.now != nil {
		o.now.CloseIdleConnections()
	}
	o.pool, o.now = pool, Outward()
	o.now.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	return o.now
}

// Bundle returns what a PEM file of authorities holds, each time it is asked; a
// file that cannot be used changes nothing. Files that others read get it.
func Bundle(file string) (func() string, error) {
	w, err := newWatched(func(b [][]byte) (string, error) {
		if !x509.NewCertPool().AppendCertsFromPEM(b[0]) {
			return "", errors.New(file + " holds no PEM certificate")
		}
		return string(b[0]), nil
	}, file)
	if err != nil {
		return nil, err
	}
	return w.get, nil
}

// Listener returns l with TLS by the certificate and key in these files, or l
// itself when neither is named. An error names the options.
func Listener(l net.Listener, certFile, keyFile string) (net.Listener, error) {
	if certFile == "" && keyFile == "" {
		return l, nil
	}
	if certFile == "" || keyFile == "" {
		return nil, errors.New("--tls-cert-file and --tls-key-file belong together: give both, or neither to serve without TLS")
	}
	c, err := Server(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert-file and --tls-key-file: %w", err)
	}
	return tls.NewListener(l, c), nil
}

// ForServices reads the value of --ca-file, whom a service trusts inside the
// cluster; "" is nil, the system's authorities.
func ForServices(file string) (*Trust, error) {
	if file == "" {
		return nil, nil
	}
	t, err := Only(file)
	if err != nil {
		return nil, fmt.Errorf("--ca-file: %w", err)
	}
	return t, nil
}
