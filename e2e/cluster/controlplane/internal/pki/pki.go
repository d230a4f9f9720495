package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// lifetime is long enough for any test run or demo and short enough that a
// forgotten kubeconfig is worth nothing.
const lifetime = 7 * 24 * time.Hour

// Pair is a certificate and its private key, both PEM encoded.
type Pair struct {
	Cert []byte
	Key  []byte
}

// WriteFiles stores the pair as NAME.crt and NAME.key in dir and returns both
// paths. Only the owner may read the key.
func (p Pair) WriteFiles(dir, name string) (certFile, keyFile string, err error) {
	certFile = filepath.Join(dir, name+".crt")
	keyFile = filepath.Join(dir, name+".key")
	if err := os.WriteFile(certFile, p.Cert, 0o600); err != nil {
		return "", "", fmt.Errorf("certificate %s: %w", name, err)
	}
	if err := os.WriteFile(keyFile, p.Key, 0o600); err != nil {
		return "", "", fmt.Errorf("key %s: %w", name, err)
	}
	return certFile, keyFile, nil
}

// Authority is a self-made certificate authority.
type Authority struct {
	// Pair is what the controller manager signs certificate requests with, and
	// its certificate is what clients trust.
	Pair
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes a certificate authority with the given common name.
func NewAuthority(commonName string) (*Authority, error) {
	tmpl := x509.Certificate{
		Subject:               pkix.Name{CommonName: commonName},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	pair, cert, key, err := issue(tmpl, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("authority %s: %w", commonName, err)
	}
	return &Authority{Pair: pair, cert: cert, key: key}, nil
}

// Server issues a serving certificate for the given names and addresses.
func (a *Authority) Server(commonName string, names []string, addresses []net.IP) (Pair, error) {
	pair, _, _, err := issue(x509.Certificate{
		Subject:     pkix.Name{CommonName: commonName},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    names,
		IPAddresses: addresses,
	}, a.cert, a.key)
	if err != nil {
		return Pair{}, fmt.Errorf("serving certificate %s: %w", commonName, err)
	}
	return pair, nil
}

// Client issues a client certificate: Kubernetes reads the common name as the
// user and the organizations as the user's groups.
func (a *Authority) Client(user string, groups ...string) (Pair, error) {
	pair, _, _, err := issue(x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, a.cert, a.key)
	if err != nil {
		return Pair{}, fmt.Errorf("client certificate %s: %w", user, err)
	}
	return pair, nil
}

// SigningKey returns the path of a private key in dir, making the key when the
// file does not exist. An existing key is kept, so that ServiceAccount tokens
// stay valid when a control plane is started again on the same directory.
func SigningKey(dir, name string) (string, error) {
	path := filepath.Join(dir, name+".key")
	switch _, err := os.Stat(path); {
	case err == nil:
		return path, nil
	case !errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("signing key: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", fmt.Errorf("signing key: %w", err)
	}
	encoded, err := encodeKey(key)
	if err != nil {
		return "", fmt.Errorf("signing key: %w", err)
	}
	if err := os.WriteFile(path, encoded, 0o600); err != nil {
		return "", fmt.Errorf("signing key: %w", err)
	}
	return path, nil
}

// issue makes a key and a certificate for it, signed by the parent or, without
// a parent, by itself.
func issue(tmpl x509.Certificate, parent *x509.Certificate, signer *ecdsa.PrivateKey) (Pair, *x509.Certificate, *ecdsa.PrivateKey, error) {
	fail := func(err error) (Pair, *x509.Certificate, *ecdsa.PrivateKey, error) {
		return Pair{}, nil, nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fail(err)
	}
	if tmpl.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return fail(err)
	}
	now := time.Now()
	tmpl.NotBefore, tmpl.NotAfter = now.Add(-time.Hour), now.Add(lifetime)
	if parent == nil {
		parent, signer = &tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, &tmpl, parent, key.Public(), signer)
	if err != nil {
		return fail(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return fail(err)
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return fail(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return Pair{Cert: certPEM, Key: keyPEM}, cert, key, nil
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}
