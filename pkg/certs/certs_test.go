package certs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towline/towline/pkg/certs"
	"github.com/towline/towline/pkg/eventually"
	"github.com/towline/towline/pkg/service"
)

// authority is a CA of the test's own.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{}
	a.cert, a.key, a.pem = issue(t, name, nil)
	return a
}

func issue(t *testing.T, name string, by *authority) (*x509.Certificate, *ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: by == nil, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// leaf writes a certificate and its key.
func (a *authority) leaf(t *testing.T, certFile, keyFile string) {
	t.Helper()
	_, key, chain := issue(t, "leaf", a)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, certFile, chain)
	write(t, keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// files are a server's and its client's.
type files struct{ cert, key, ca string }

func newFiles(t *testing.T) files {
	dir := t.TempDir()
	return files{filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), filepath.Join(dir, "ca.crt")}
}

// serve answers every request, with TLS by these files.
func serve(t *testing.T, f files) string {
	t.Helper()
	plain, err := service.Listen(t.Context(), "listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := certs.Listener(plain, f.cert, f.key)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = service.Serve(t.Context(), l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }), slog.New(slog.DiscardHandler))
	}()
	t.Cleanup(func() { <-done })
	return plain.Addr().String()
}

// served is the certificate that a client sees which does not verify it.
func served(t *testing.T, address string) []byte {
	t.Helper()
	c, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw
}

func TestAReplacedCertificateIsServed(t *testing.T) {
	f, a := newFiles(t), newAuthority(t, "first")
	a.leaf(t, f.cert, f.key)
	address := serve(t, f)
	first := served(t, address)
	a.leaf(t, f.cert, f.key)
	eventually.Is(t, "the new certificate is served", func() bool { return string(served(t, address)) != string(first) })
	second := served(t, address)
	write(t, f.cert, []byte("half written"))
	if string(served(t, address)) != string(second) {
		t.Error("a broken file is served")
	}
}

func TestAReplacedAuthorityIsTrusted(t *testing.T) {
	f, a, b := newFiles(t), newAuthority(t, "a"), newAuthority(t, "b")
	a.leaf(t, f.cert, f.key)
	write(t, f.ca, b.pem)
	address := serve(t, f)
	trust, err := certs.Only(f.ca)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: trust.Transport()}
	ask := func() error {
		resp, err := client.Get("https://" + address)
		if err == nil {
			_ = resp.Body.Close()
		}
		return err
	}
	if err := ask(); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Fatalf("a stranger's certificate: %v", err)
	}
	write(t, f.ca, append(b.pem, a.pem...))
	eventually.Is(t, "the added authority is trusted", func() bool { return ask() == nil })
}

func TestFilesAreReadOnceInAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, b := newFiles(t), newAuthority(t, "a"), newAuthority(t, "b")
		write(t, f.ca, a.pem)
		trust, err := certs.Only(f.ca)
		if err != nil {
			t.Fatal(err)
		}
		before := trust.Client("x").RootCAs
		write(t, f.ca, append(b.pem, a.pem...))
		if trust.Client("x").RootCAs != before {
			t.Error("the file was looked at twice within the interval")
		}
		<-time.After(certs.Interval)
		if trust.Client("x").RootCAs.Equal(before) {
			t.Error("the change is not seen after the interval")
		}
	})
}

func TestBesideTheSystemsAuthorities(t *testing.T) {
	f, a := newFiles(t), newAuthority(t, "own")
	a.leaf(t, f.cert, f.key)
	write(t, f.ca, a.pem)
	trust, err := certs.Beside(f.ca)
	if err != nil {
		t.Fatal(err)
	}
	c, err := trust.Dial(t.Context(), "tcp", serve(t, f))
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if only, err := certs.Only(f.ca); err != nil || only.Client("").RootCAs.Equal(x509.NewCertPool()) {
		t.Errorf("the pool is empty; error %v", err)
	}
}

func TestFaultsNameTheOptionAndTheFile(t *testing.T) {
	f, a := newFiles(t), newAuthority(t, "a")
	a.leaf(t, f.cert, f.key)
	other := newFiles(t)
	a.leaf(t, other.cert, other.key)
	write(t, f.ca, []byte("hello"))
	listener := func(cert, key string) error {
		_, err := certs.Listener(nil, cert, key)
		return err
	}
	services := func(file string) error {
		_, err := certs.ForServices(file)
		return err
	}
	large := filepath.Join(t.TempDir(), "large")
	write(t, large, make([]byte, certs.MaxFile+1))
	for what, tt := range map[string]struct {
		err  error
		want string
	}{
		"no key":            {listener(f.cert, ""), "belong together"},
		"no certificate":    {listener("", f.key), "belong together"},
		"another's key":     {listener(f.cert, other.key), "does not match"},
		"no such file":      {listener("/does/not/exist", f.key), "/does/not/exist"},
		"no authority":      {services(f.ca), "holds no PEM certificate"},
		"no authority file": {services("/does/not/exist"), "--ca-file: "},
		"too large":         {services(large), "is over 1048576 bytes"},
	} {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", what, tt.err, tt.want)
		}
	}
	if trust, err := certs.ForServices(""); trust != nil || err != nil {
		t.Errorf("without a file: %v, %v", trust, err)
	}
}

// What is reached outside the cluster follows the file too, and what job
// processes are given.
func TestAReplacedAuthorityIsTrustedOutside(t *testing.T) {
	f, a, b := newFiles(t), newAuthority(t, "a"), newAuthority(t, "b")
	a.leaf(t, f.cert, f.key)
	write(t, f.ca, a.pem)
	address := serve(t, f)
	trust, err := certs.Beside(f.ca)
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := certs.Bundle(f.ca)
	if err != nil || bundle() != string(a.pem) {
		t.Fatalf("%q, %v", bundle(), err)
	}
	client := &http.Client{Transport: trust.Outside()}
	ask := func() error {
		resp, err := client.Get("https://" + address)
		if err == nil {
			_ = resp.Body.Close()
		}
		client.CloseIdleConnections()
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	first := string(served(t, address))
	write(t, f.ca, b.pem)
	b.leaf(t, f.cert, f.key)
	eventually.Is(t, "job processes are given the new authority", func() bool { return bundle() == string(b.pem) })
	eventually.Is(t, "the new certificate is served", func() bool { return string(served(t, address)) != first })
	eventually.Is(t, "the new authority is trusted", func() bool { return ask() == nil })
	write(t, f.ca, []byte("half written"))
	<-time.After(certs.Interval)
	if err := ask(); err != nil || bundle() != string(b.pem) {
		t.Errorf("a broken file is used: %v", err)
	}
}
