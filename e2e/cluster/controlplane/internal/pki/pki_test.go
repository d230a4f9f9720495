package pki

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"testing"
)

func TestAuthoritySignsServerAndClient(t *testing.T) {
	ca, err := NewAuthority("test-ca")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca.Cert) {
		t.Fatal("the authority's certificate is not PEM")
	}

	server, err := ca.Server("kube-apiserver", []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"localhost", "127.0.0.1"} {
		opts := x509.VerifyOptions{Roots: roots, DNSName: name}
		if _, err := leaf(t, server).Verify(opts); err != nil {
			t.Errorf("serving certificate for %s: %v", name, err)
		}
	}

	client, err := ca.Client("alice", "admins", "readers")
	if err != nil {
		t.Fatal(err)
	}
	cert := leaf(t, client)
	opts := x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if _, err := cert.Verify(opts); err != nil {
		t.Errorf("client certificate: %v", err)
	}
	if got := cert.Subject.CommonName; got != "alice" {
		t.Errorf("user = %q, want alice", got)
	}
	if got := cert.Subject.Organization; len(got) != 2 {
		t.Errorf("groups = %q, want two", got)
	}
}

func TestSigningKeyIsKept(t *testing.T) {
	dir := t.TempDir()
	path, err := SigningKey(dir, "sa")
	if err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := SigningKey(dir, "sa"); err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("the second start replaced the signing key")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, %v; want 0600", info.Mode().Perm(), err)
	}
}

func leaf(t *testing.T, p Pair) *x509.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf
}
