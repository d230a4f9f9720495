package grant

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// Limits on a JWKS.
const (
	MaxJWKS = 64 << 10
	MaxKeys = 32
)

// jwk is one key as RFC 7517 and RFC 8037 write it.
type jwk struct {
	Kty string `json:"kty"`
	Crv string `json:"crv,omitempty"`
	X   string `json:"x,omitempty"`
	D   string `json:"d,omitempty"`
	Kid string `json:"kid,omitempty"`
	Alg string `json:"alg,omitempty"`
	Use string `json:"use,omitempty"`
}

type jwks struct {
	Keys []jwk `json:"keys"`
}

// Thumbprint is the RFC 7638 thumbprint of a key, which is its id.
func Thumbprint(key ed25519.PublicKey) string {
	x := base64.RawURLEncoding.EncodeToString(key)
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + x + `"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// MarshalJWKS writes the keys as a JWKS, in the order given.
func MarshalJWKS(keys ...ed25519.PublicKey) ([]byte, error) {
	set := jwks{Keys: make([]jwk, 0, len(keys))}
	for _, k := range keys {
		if len(k) != ed25519.PublicKeySize {
			return nil, errors.New("not an Ed25519 public key")
		}
		set.Keys = append(set.Keys, jwk{
			Kty: "OKP", Crv: "Ed25519", X: base64.RawURLEncoding.EncodeToString(k), Kid: Thumbprint(k), Alg: "EdDSA", Use: "sig",
		})
	}
	return json.Marshal(set)
}

// ParseJWKS reads a JWKS. Keys of other kinds are skipped (RFC 7517, section
// 5). A set with a private key, with a key whose id is not its thumbprint, or
// without any key we can use is refused as a whole.
func ParseJWKS(b []byte) (StaticKeys, error) {
	if len(b) > MaxJWKS {
		return nil, fmt.Errorf("jwks: over the limit of %d bytes", MaxJWKS)
	}
	var set jwks
	if err := json.Unmarshal(b, &set); err != nil {
		return nil, errors.New("jwks: not valid JSON of a key set")
	}
	if len(set.Keys) > MaxKeys {
		return nil, fmt.Errorf("jwks: %d keys are over the limit of %d", len(set.Keys), MaxKeys)
	}
	out := make(StaticKeys, len(set.Keys))
	for i, k := range set.Keys {
		if k.D != "" {
			return nil, fmt.Errorf("jwks: key %d is private; it must be replaced", i)
		}
		if k.Kty != "OKP" || k.Crv != "Ed25519" || k.Alg != "" && k.Alg != "EdDSA" || k.Use != "" && k.Use != "sig" {
			continue
		}
		x, err := base64.RawURLEncoding.Strict().DecodeString(k.X)
		if err != nil || len(x) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("jwks: key %d is not an Ed25519 key", i)
		}
		if k.Kid != Thumbprint(x) {
			return nil, fmt.Errorf("jwks: key %d has an id that is not its thumbprint", i)
		}
		out[k.Kid] = x
	}
	if len(out) == 0 {
		return nil, errors.New("jwks: no Ed25519 key in it")
	}
	return out, nil
}

// StaticKeys is a fixed set of keys by id.
type StaticKeys map[string]ed25519.PublicKey

// NewStaticKeys makes a set of the given keys.
func NewStaticKeys(keys ...ed25519.PublicKey) StaticKeys {
	out := make(StaticKeys, len(keys))
	for _, k := range keys {
		out[Thumbprint(k)] = k
	}
	return out
}

// Key implements Keys.
func (s StaticKeys) Key(_ context.Context, kid string) (ed25519.PublicKey, error) {
	if k, ok := s[kid]; ok {
		return k, nil
	}
	return nil, ErrUnknownKey
}
