// Package egress is the way out of the runner: an HTTP transport that leads
// through the supervisor's proxy and trusts the certificates that the operator
// names.
//
// Whatever speaks to GitLab or to a store on behalf of a job uses it: sources,
// artifacts, the cache's supervisor side. It reads no environment variable and
// never puts an address with a credential into an error.
package egress

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Limits on waiting for the other side.
const (
	dialTimeout   = 30 * time.Second
	headerTimeout = 10 * time.Minute // an upload is answered once it is stored
	idleTimeout   = time.Minute
)

// NewTransport returns a transport through proxy, a URL with credentials, or a
// direct one when proxy is empty. ca is PEM of certificates to trust beside the
// system's, or empty.
func NewTransport(proxy, ca string) (*http.Transport, error) {
	t := &http.Transport{
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: headerTimeout,
		IdleConnTimeout:       idleTimeout,
		ForceAttemptHTTP2:     true,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if proxy != "" {
		u, err := url.Parse(proxy)
		if err != nil {
			return nil, errors.New("the proxy's address cannot be read") // it holds a secret
		}
		t.Proxy = http.ProxyURL(u)
	}
	if ca != "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM([]byte(ca)) {
			return nil, errors.New("the CA bundle holds no certificate")
		}
		t.TLSClientConfig.RootCAs = pool
	}
	return t, nil
}
