package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/towline/towline/pkg/policyapi"
)

// Limits on what GitLab says of its keys.
const (
	maxKeys     = policyapi.MaxJWKS
	maxIssuer   = 1024
	keysTimeout = 10 * time.Second
)

// IDTokenKeys is what GitLab's ID tokens are verified with.
type IDTokenKeys struct {
	Issuer string
	JWKS   []byte
}

// IDTokenKeys asks for the issuer and the keys (section 14). Both are read from
// the address that was configured: where the discovery document points to is
// not followed. An error that wraps ErrRefused means that there are none.
func (c *Client) IDTokenKeys(ctx context.Context) (*IDTokenKeys, error) {
	var discovery struct {
		Issuer string `json:"issuer"`
	}
	a, err := c.open(ctx, "/.well-known/openid-configuration")
	if err == nil {
		err = a.asJSON(&discovery)
	}
	if err != nil {
		return nil, fmt.Errorf("ask GitLab for the issuer of its ID tokens: %w", err)
	}
	if u, err := url.Parse(discovery.Issuer); err != nil || u.Hostname() == "" || len(discovery.Issuer) > maxIssuer {
		return nil, fmt.Errorf("ask GitLab for the issuer of its ID tokens: %w", errors.New("what it names is not an address"))
	}
	a, err = c.open(ctx, "/oauth/discovery/keys")
	if err == nil && !a.isJSON() {
		err = errNotJSON(a.code)
	}
	if err != nil {
		return nil, fmt.Errorf("ask GitLab for the keys of its ID tokens: %w", err)
	}
	return &IDTokenKeys{Issuer: discovery.Issuer, JWKS: a.body}, nil
}

// open reads what GitLab shows to everybody.
func (c *Client) open(ctx context.Context, path string) (*answer, error) {
	a, err := c.do(ctx, call{
		method: http.MethodGet, path: path, outside: true, header: map[string]string{"Accept": "application/json"},
		limit: maxKeys, timeout: keysTimeout, once: true,
	})
	switch {
	case err != nil:
		return nil, err
	case a.code == http.StatusOK:
		return a, nil
	case a.code == http.StatusUnauthorized, a.code == http.StatusForbidden, a.code == http.StatusNotFound:
		return nil, fmt.Errorf("%w (%s)", ErrRefused, a.message())
	}
	return nil, a.unexpected()
}
