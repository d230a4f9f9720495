package keys

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towline/towline/pkg/grant"
)

var quiet = slog.New(slog.DiscardHandler)

func pemFile(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return file(t, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func file(t *testing.T, content []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestLoad(t *testing.T) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k, err := Load(pemFile(t, key), quiet)
	if err != nil || k.Generated || k.KeyID() != grant.Thumbprint(public) {
		t.Fatalf("%v, %v", k, err)
	}
	set, err := grant.ParseJWKS(k.JWKS())
	if err != nil || !set[k.KeyID()].Equal(public) {
		t.Errorf("%v, %v", set, err)
	}
}

func TestLoadGenerates(t *testing.T) {
	a, errA := Load("", quiet)
	b, errB := Load("", quiet)
	if errA != nil || errB != nil || !a.Generated || a.KeyID() == b.KeyID() {
		t.Errorf("%v, %v", errA, errB)
	}
}

func TestLoadRefuses(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"missing":   filepath.Join(t.TempDir(), "none.pem"),
		"other key": pemFile(t, ec),
		"not PEM":   file(t, []byte("hush-hush")),
		"broken":    file(t, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("hush-hush")})),
		"large":     file(t, make([]byte, maxKeyFile+1)),
		"empty":     file(t, nil),
		"no files":  t.TempDir(),
	} {
		_, err := Load(path, quiet)
		if err == nil || !strings.HasPrefix(err.Error(), "--signing-key-file="+path) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
