package keys

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/towline/towline/pkg/grant"
)

// maxKeyFile bounds a key file; an Ed25519 key takes 119 bytes.
const maxKeyFile = 16 << 10

// Keys is the signing key and what verifiers need of it.
type Keys struct {
	*grant.Signer
	// JWKS is what policy publishes.
	JWKS []byte
	// Generated says that the key exists in this process only.
	Generated bool
}

// Load reads an Ed25519 key in PKCS#8 PEM (RFC 8410), as openssl genpkey
// -algorithm ed25519 writes it. An empty path generates a key that dies with
// the process.
func Load(path string) (*Keys, error) {
	if path == "" {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("generate signing key: %w", err)
		}
		return made(key, true)
	}
	key, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("--signing-key-file=%s: %w", path, err)
	}
	return made(key, false)
}

func made(key ed25519.PrivateKey, generated bool) (*Keys, error) {
	signer, err := grant.NewSigner(key)
	if err != nil {
		return nil, err
	}
	set, err := grant.MarshalJWKS(signer.Public())
	if err != nil {
		return nil, err
	}
	return &Keys{Signer: signer, JWKS: set, Generated: generated}, nil
}

// errWanted says how to make a key that can be read.
var errWanted = errors.New("want one Ed25519 private key in PKCS#8 PEM; make it with: openssl genpkey -algorithm ed25519")

// read never returns an error that quotes the file.
func read(path string) (ed25519.PrivateKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	switch {
	case err != nil:
		return nil, errors.New("the file cannot be read")
	case len(b) > maxKeyFile:
		return nil, fmt.Errorf("over the limit of %d bytes; %w", maxKeyFile, errWanted)
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errWanted
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errWanted
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, errWanted
	}
	return key, nil
}
