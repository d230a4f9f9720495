package grant

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Signer makes grants with one key.
type Signer struct {
	key ed25519.PrivateKey
	kid string
}

// NewSigner takes an Ed25519 key; its id is the thumbprint of the public half.
func NewSigner(key ed25519.PrivateKey) (*Signer, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, errors.New("not an Ed25519 private key")
	}
	public, _ := key.Public().(ed25519.PublicKey)
	return &Signer{key: key, kid: Thumbprint(public)}, nil
}

// KeyID is the key's id (kid): its RFC 7638 thumbprint.
func (s *Signer) KeyID() string { return s.kid }

// Public is the public half of the key.
func (s *Signer) Public() ed25519.PublicKey {
	public, _ := s.key.Public().(ed25519.PublicKey)
	return public
}

// Sign returns the token for c. Issuer and key id are the signer's; audience
// (gate and egress), subject, jti, iat and nbf are set where c leaves them out.
// The expiry is the caller's. Claims that a Verifier would refuse are refused.
func (s *Signer) Sign(c Claims) (string, error) {
	now := jwt.NewNumericDate(time.Now())
	c.Issuer = Issuer
	if len(c.Audience) == 0 {
		c.Audience = jwt.ClaimStrings{AudienceGate, AudienceEgress}
	}
	if c.Subject == "" {
		c.Subject = c.Job.Subject()
		if c.Sync != nil {
			c.Subject = c.Sync.Subject()
		}
	}
	if c.ID == "" {
		c.ID = newID()
	}
	if c.IssuedAt == nil {
		c.IssuedAt = now
	}
	if c.NotBefore == nil {
		c.NotBefore = c.IssuedAt
	}
	if c.ExpiresAt == nil || !c.ExpiresAt.After(c.NotBefore.Time) {
		return "", errors.New("sign grant: exp is missing or not after nbf")
	}
	if err := c.validate(); err != nil {
		return "", fmt.Errorf("sign grant: %w", err)
	}
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, c)
	token.Header["kid"] = s.kid
	signed, err := token.SignedString(s.key)
	if err != nil {
		return "", fmt.Errorf("sign grant: %w", err)
	}
	if len(signed) > MaxToken {
		return "", fmt.Errorf("sign grant: %d bytes are over the limit of %d; the identity has too many groups or extra fields", len(signed), MaxToken)
	}
	return signed, nil
}

// newID is 128 random bits.
func newID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails, by its documentation
	return hex.EncodeToString(b)
}
