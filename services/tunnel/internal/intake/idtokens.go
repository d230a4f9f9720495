package intake

import (
	"context"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/pkg/policyapi"
)

// Keyring has what ID tokens are verified with.
type Keyring interface {
	// For returns nil without an error when GitLab has no keys to give.
	For(ctx context.Context, tokens []string) (*policyapi.IDTokenKeys, error)
}

// keys asks for keys only if there is something to verify.
func (a *Admission) keys(ctx context.Context, tokens []string) (*policyapi.IDTokenKeys, error) {
	if len(tokens) == 0 {
		return nil, nil
	}
	return a.Keys.For(ctx, tokens)
}

// idTokens finds the ID tokens for Towline among a job's variables, whose names
// the author chose. It looks at their form and audience alone: whether they are
// what they seem is policy's to say. The first policyapi.MaxIDTokens count.
func idTokens(vars jobspec.Variables) []string {
	var out []string
	for _, v := range vars {
		if len(v.Value) <= policyapi.MaxIDToken && forUs(v.Value) && !slices.Contains(out, v.Value) {
			if out = append(out, v.Value); len(out) == policyapi.MaxIDTokens {
				break
			}
		}
	}
	return out
}

// forUs says whether a text is a JWT whose audience names Towline.
func forUs(text string) bool {
	if !strings.HasPrefix(text, "eyJ") || strings.ContainsAny(text, "\r\n") {
		return false
	}
	var claims jwt.RegisteredClaims
	_, _, err := jwt.NewParser().ParseUnverified(text, &claims)
	return err == nil && slices.Contains(claims.Audience, policyapi.IDTokenAudience)
}
