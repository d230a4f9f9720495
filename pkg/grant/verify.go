package grant

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// What Verify can answer besides claims. A grant that has expired or is of an
// unknown key is also invalid.
var (
	// ErrInvalid: the token is not a grant of ours for this audience.
	ErrInvalid = errors.New("invalid grant")
	// ErrExpired: it was one, its time is over.
	ErrExpired = errors.New("grant has expired")
	// ErrUnknownKey is what Keys answer for a key id nobody publishes. A replica
	// of policy may know a new key a moment before another does.
	ErrUnknownKey = errors.New("signed with a key that policy does not publish")
	// ErrKeysUnavailable: the keys could not be fetched, so nothing is known
	// about the token. The caller may try again.
	ErrKeysUnavailable = errors.New("signing keys are not available")
)

// Keys finds the public key of a key id. It returns ErrUnknownKey when there is
// none and ErrKeysUnavailable when it could not ask.
type Keys interface {
	Key(ctx context.Context, kid string) (ed25519.PublicKey, error)
}

// Verifier checks grants.
type Verifier struct {
	keys Keys
	now  func() time.Time
}

// NewVerifier checks with the given keys.
func NewVerifier(keys Keys) *Verifier { return &Verifier{keys: keys, now: time.Now} }

// Verify returns what a token grants to audience. It accepts EdDSA only, with
// our issuer, the audience, an expiry that is not over and claims that a
// decision can have led to. Errors are ErrInvalid, which ErrExpired or
// ErrUnknownKey may come with, or ErrKeysUnavailable; none quotes the token.
func (v *Verifier) Verify(ctx context.Context, token, audience string) (*Claims, error) {
	return v.verify(ctx, token, audience, Skew)
}

// VerifyPast is Verify for a grant whose time may have been over for age. It
// says what was granted once; nobody may be let in for it.
func (v *Verifier) VerifyPast(ctx context.Context, token, audience string, age time.Duration) (*Claims, error) {
	return v.verify(ctx, token, audience, age)
}

func (v *Verifier) verify(ctx context.Context, token, audience string, leeway time.Duration) (*Claims, error) {
	if len(token) > MaxToken {
		return nil, fmt.Errorf("%w: token is over the limit of %d bytes", ErrInvalid, MaxToken)
	}
	if audience == "" {
		return nil, fmt.Errorf("%w: no audience asked for", ErrInvalid)
	}
	var claims Claims
	_, err := v.parser(audience, leeway).ParseWithClaims(token, &claims, func(t *jwt.Token) (any, error) {
		return v.key(ctx, t)
	})
	switch {
	case errors.Is(err, ErrKeysUnavailable):
		return nil, ErrKeysUnavailable
	case errors.Is(err, jwt.ErrTokenExpired) && !errors.Is(err, jwt.ErrTokenUnverifiable):
		return nil, fmt.Errorf("%w: %w", ErrInvalid, ErrExpired)
	case errors.Is(err, ErrUnknownKey):
		return nil, fmt.Errorf("%w: %w", ErrInvalid, ErrUnknownKey)
	case err != nil:
		return nil, fmt.Errorf("%w: %s", ErrInvalid, reason(err))
	}
	if err := claims.validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return &claims, nil
}

func (v *Verifier) parser(audience string, leeway time.Duration) *jwt.Parser {
	return jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
		jwt.WithIssuer(Issuer),
		jwt.WithAudience(audience),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(leeway),
		jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(v.now),
	)
}

func (v *Verifier) key(ctx context.Context, t *jwt.Token) (any, error) {
	if _, critical := t.Header["crit"]; critical {
		return nil, errors.New("header asks for an extension that is not known") // RFC 7515, section 4.1.11
	}
	kid, _ := t.Header["kid"].(string)
	if kid == "" {
		return nil, errors.New("header names no key")
	}
	return v.keys.Key(ctx, kid)
}

// reason says in words what the JWT library found, without anything of the
// token's content.
func reason(err error) string {
	for _, known := range []struct {
		err  error
		text string
	}{
		{jwt.ErrTokenMalformed, "not a JWT"},
		{jwt.ErrTokenSignatureInvalid, "signature or algorithm is wrong"},
		{jwt.ErrTokenUnverifiable, "no key to check it with"},
		{jwt.ErrTokenInvalidIssuer, "issued by somebody else"},
		{jwt.ErrTokenInvalidAudience, "meant for another audience"},
		{jwt.ErrTokenNotValidYet, "not valid yet; compare the clocks of the pods"},
		{jwt.ErrTokenUsedBeforeIssued, "issued in the future; compare the clocks of the pods"},
		{jwt.ErrTokenRequiredClaimMissing, "a required claim is missing"},
	} {
		if errors.Is(err, known.err) {
			return known.text
		}
	}
	return "claims are not valid"
}
