package idtoken

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
)

// Limits on a key set.
const (
	maxKeys = 32
	minBits = 2048 // of RSA keys
	maxBits = 8192
)

// The algorithms of GitLab's tokens; a key is good for one of them only.
const (
	rs256 = "RS256"
	es256 = "ES256"
)

// key is a public key and what it may be used for.
type key struct {
	algorithm string
	public    any
}

// jwk is one key as RFC 7517 and RFC 7518 write it.
type jwk struct {
	Kty string `json:"kty"`
	Kid string `json:"kid"`
	Use string `json:"use"`
	Alg string `json:"alg"`
	N   string `json:"n"`
	E   string `json:"e"`
	Crv string `json:"crv"`
	X   string `json:"x"`
	Y   string `json:"y"`
	D   string `json:"d"`
}

// parseKeys reads a key set by key id. Keys of other kinds are skipped (RFC
// 7517, section 5); a set with a private key, with two keys of one id, or with
// a key that is not what it says is refused as a whole.
func parseKeys(jwks []byte) (map[string]key, error) {
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if json.Unmarshal(jwks, &set) != nil {
		return nil, errors.New("GitLab's key set is not one")
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("GitLab's key set has %d keys, over the limit of %d", len(set.Keys), maxKeys)
	}
	out := make(map[string]key, len(set.Keys))
	for i, k := range set.Keys {
		if k.D != "" {
			return nil, fmt.Errorf("key %d of GitLab's key set is private; it must be replaced", i)
		}
		parsed, use, err := k.parse()
		switch {
		case err != nil:
			return nil, fmt.Errorf("key %d of GitLab's key set %w", i, err)
		case !use:
			continue
		}
		if _, twice := out[k.Kid]; twice {
			return nil, fmt.Errorf("key %d of GitLab's key set has the id of another one", i)
		}
		out[k.Kid] = parsed
	}
	if len(out) == 0 {
		return nil, errors.New("GitLab's key set has no key for RS256 or ES256")
	}
	return out, nil
}

// parse reads one key; use is false for one that is not for tokens.
func (k jwk) parse() (parsed key, use bool, err error) {
	if k.Kid == "" || k.Use != "" && k.Use != "sig" {
		return key{}, false, nil
	}
	switch {
	case k.Kty == "RSA" && (k.Alg == "" || k.Alg == rs256):
		public, err := k.rsa()
		return key{rs256, public}, true, err
	case k.Kty == "EC" && k.Crv == "P-256" && (k.Alg == "" || k.Alg == es256):
		public, err := k.ecdsa()
		return key{es256, public}, true, err
	}
	return key{}, false, nil
}

func (k jwk) rsa() (*rsa.PublicKey, error) {
	n, err1 := base64.RawURLEncoding.DecodeString(k.N)
	e, err2 := base64.RawURLEncoding.DecodeString(k.E)
	if err1 != nil || err2 != nil || len(n) == 0 || len(e) == 0 || len(e) > 4 {
		return nil, errors.New("is not an RSA key")
	}
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	switch bits := public.N.BitLen(); {
	case bits < minBits || bits > maxBits:
		return nil, fmt.Errorf("has %d bits, want %d to %d", bits, minBits, maxBits)
	case public.E < 3 || public.E%2 == 0 || public.N.Bit(0) == 0:
		return nil, errors.New("is not an RSA key")
	}
	return public, nil
}

func (k jwk) ecdsa() (*ecdsa.PublicKey, error) {
	const size = 32
	x, err1 := base64.RawURLEncoding.DecodeString(k.X)
	y, err2 := base64.RawURLEncoding.DecodeString(k.Y)
	if err1 != nil || err2 != nil || len(x) != size || len(y) != size {
		return nil, errors.New("is not a P-256 key")
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	if err != nil {
		return nil, errors.New("is not a P-256 key")
	}
	return public, nil
}
