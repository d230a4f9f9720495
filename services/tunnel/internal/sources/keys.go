package sources

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

const (
	// keysFresh is how long keys are used without another look.
	keysFresh = 10 * time.Minute
	// keysPause is the least time between two looks: a token that names an
	// unknown key is no more than a hint that GitLab has a new one.
	keysPause = 5 * time.Second
	// keysKept is how long the last known keys serve while GitLab does not give
	// any; it is what GitLab lets caches do.
	keysKept = 24 * time.Hour
)

// Keyring has the keys of ID tokens.
type Keyring interface {
	IDTokenKeys(ctx context.Context) (*gitlab.IDTokenKeys, error)
}

// Keys holds what GitLab's ID tokens are verified with, read when first needed.
// It is safe for concurrent use; it verifies nothing.
type Keys struct {
	GitLab Keyring
	Log    *slog.Logger

	turn  chan struct{} // held by whoever looks or reads the fields below
	known *policyapi.IDTokenKeys
	names map[string]bool // key ids of known
	asOf  time.Time       // when known was read
	next  time.Time       // when GitLab may be asked again
	fault error           // of the last look
}

// NewKeys asks nothing yet.
func NewKeys(gitLab Keyring, log *slog.Logger) *Keys {
	return &Keys{GitLab: gitLab, Log: log, turn: make(chan struct{}, 1)}
}

// For returns the keys to verify these tokens with, or nil when this GitLab has
// none to give. An error means that they cannot be known now. A token that names
// an unknown key waits once for the next look, which may bring that key.
func (k *Keys) For(ctx context.Context, tokens []string) (*policyapi.IDTokenKeys, error) {
	known, wait, err := k.get(ctx, tokens)
	if err != nil || wait <= 0 || !retry.Sleep(ctx, wait) {
		return known, err
	}
	known, _, err = k.get(ctx, tokens)
	return known, err
}

// get returns what is known now, after a look if one is due, and how long it is
// until the next one if these tokens need it.
func (k *Keys) get(ctx context.Context, tokens []string) (known *policyapi.IDTokenKeys, wait time.Duration, err error) {
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
	now := time.Now()
	switch due := k.due(now, tokens); {
	case due && !now.Before(k.next):
		k.look(ctx, now)
	case due:
		wait = k.next.Sub(now)
	}
	switch {
	case k.known != nil && now.Sub(k.asOf) < keysKept:
		return k.known, wait, nil
	case errors.Is(k.fault, gitlab.ErrRefused):
		return nil, 0, nil
	}
	return nil, 0, k.fault
}

// due says whether GitLab should be asked again.
func (k *Keys) due(now time.Time, tokens []string) bool {
	if k.known == nil || now.Sub(k.asOf) >= keysFresh {
		return true
	}
	for _, t := range tokens {
		if id := keyID(t); id != "" && !k.names[id] {
			return true
		}
	}
	return false
}

func (k *Keys) look(ctx context.Context, now time.Time) {
	got, err := k.GitLab.IDTokenKeys(ctx)
	var names map[string]bool
	if err == nil {
		names, err = keyIDs(got.JWKS)
	}
	if ctx.Err() != nil {
		k.fault = ctx.Err()
		return // the caller has gone, which says nothing of GitLab
	}
	k.next = now.Add(max(keysPause, gitlab.After(err)))
	if k.fault = err; err != nil {
		k.Log.Warn("keys of GitLab's ID tokens not read", service.Err(err))
		return
	}
	k.known, k.names, k.asOf = &policyapi.IDTokenKeys{Issuer: got.Issuer, JWKS: got.JWKS}, names, now
}

// keyIDs are the ids in a key set.
func keyIDs(jwks []byte) (map[string]bool, error) {
	var set struct {
		Keys []struct {
			ID string `json:"kid"`
		} `json:"keys"`
	}
	if json.Unmarshal(jwks, &set) != nil || len(set.Keys) == 0 {
		return nil, errors.New("GitLab's key set has no keys in it")
	}
	names := make(map[string]bool, len(set.Keys))
	for _, key := range set.Keys {
		names[key.ID] = true
	}
	return names, nil
}

// keyID is the key that a token says it was signed with, or "".
func keyID(token string) string {
	t, _, err := jwt.NewParser().ParseUnverified(token, &jwt.RegisteredClaims{})
	if err != nil {
		return ""
	}
	id, _ := t.Header["kid"].(string)
	return id
}
