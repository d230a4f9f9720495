package scenarios

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/e2e/rig"
	"github.com/towline/towline/pkg/certs"
	"github.com/towline/towline/pkg/ledger/redistest"
)

// authority issues certificates for this machine's loopback address.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	var err error
	if a.cert, a.key, err = signed(nil); err != nil {
		t.Fatal(err)
	}
	a.pem = encode("CERTIFICATE", a.cert.Raw)
	return a
}

// signed makes a certificate; without an issuer it is an authority's own.
func signed(by *authority) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, nil, err
	}
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "test " + serial.String()}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: by == nil, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, nil, err
	}
	c, err = x509.ParseCertificate(der)
	return c, key, err
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// pair is a fresh certificate of the authority with its key, as a Secret has it.
func (a *authority) pair(t *testing.T) map[string]string {
	t.Helper()
	cert, key, err := signed(a)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"tls.crt": encode("CERTIFICATE", cert.Raw), "tls.key": encode("PRIVATE KEY", der)}
}

// volumes are the Secrets and ConfigMaps of the installation as its pods see
// them.
type volumes map[string]*rig.Mount

func (v volumes) put(t *testing.T, name string, files map[string]string) {
	t.Helper()
	if err := v[name].Put(files); err != nil {
		t.Fatal(err)
	}
}

func newVolumes(t *testing.T, content map[string]map[string]string) volumes {
	t.Helper()
	v, dir := volumes{}, t.TempDir()
	for name, files := range content {
		m, err := rig.NewMount(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		v[name] = m
		v.put(t, name, files)
	}
	return v
}

// serveTLS puts TLS before an address, with a certificate that may change.
func serveTLS(t *testing.T, l net.Listener, pair *rig.Mount, target string) {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := certs.Server(pair.Path("tls.crt"), pair.Path("tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{
		ReadHeaderTimeout: jobWithin, ErrorLog: log.New(&bytes.Buffer{}, "", 0),
		Handler: &httputil.ReverseProxy{FlushInterval: -1, ErrorLog: log.New(&bytes.Buffer{}, "", 0), Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(u)
			p.Out.Host = p.In.Host
		}},
	}
	srv.SetKeepAlivesEnabled(false) // so that each request is a handshake
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(tls.NewListener(l, cfg))
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// freeAddress is for somebody who listens by himself.
func freeAddress(t *testing.T) string {
	t.Helper()
	l := listen(t)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

// served is the certificate that somebody at an address shows.
func served(t *testing.T, address string) string {
	t.Helper()
	address = strings.TrimPrefix(address, "https://")
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
	c, err := d.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return encode("CERTIFICATE", c.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw)
}

// secureRedis is a Redis with TLS and a user with the rights of the guide.
type secureRedis struct {
	*redistest.Server
	address string
}

func newSecureRedis(t *testing.T, user, password string, pair *rig.Mount) *secureRedis {
	t.Helper()
	guide, err := os.ReadFile(filepath.Join("..", "..", "docs", "guide", "redis.md"))
	if err != nil {
		t.Fatal(err)
	}
	rights := regexp.MustCompile("(?s)The user needs these rights.*?```\n(.*?)```").FindSubmatch(guide)
	if rights == nil {
		t.Fatal("the guide does not say any more what Redis' user needs")
	}
	r := &secureRedis{address: freeAddress(t)}
	_, port, _ := net.SplitHostPort(r.address)
	r.Server, err = redistest.Start(t.Context(), redistest.Options{Config: []string{
		"tls-port " + port, "tls-auth-clients no", "tls-cert-file " + pair.Path("tls.crt"), "tls-key-file " + pair.Path("tls.key"),
		fmt.Sprintf("user %s on >%s %s", user, password, strings.Join(strings.Fields(string(rights[1])), " ")),
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// do runs a command as Redis' administrator.
func (r *secureRedis) do(t *testing.T, args ...any) {
	t.Helper()
	if err := r.Client().Do(context.Background(), args...).Err(); err != nil {
		t.Fatalf("%v: %v", args, err)
	}
}
