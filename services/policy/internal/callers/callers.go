package callers

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	authentication "k8s.io/api/authentication/v1"
	kerrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/towline/towline/pkg/retry"
)

const (
	// AcceptedFor is how long a token that was accepted is not asked about
	// again; a deleted ServiceAccount may call so much longer.
	AcceptedFor = 30 * time.Second
	// RefusedFor is the same for a token that was refused.
	RefusedFor = 5 * time.Second
	// ProbeInterval is how often the Kubernetes API is tried.
	ProbeInterval = 15 * time.Second
	// DownInterval is the same while it checks no tokens: a pod may start before
	// its network and its permission are there.
	DownInterval = time.Second

	maxToken   = 16 << 10
	maxCached  = 1024
	maxReviews = 8 // at the same time
)

// What Authenticate can fail with.
var (
	ErrUnauthenticated = errors.New("the token is not valid for this service")
	ErrForbidden       = errors.New("this ServiceAccount may not call policy")
	ErrUnavailable     = errors.New("tokens cannot be checked now")
)

// Reviews creates TokenReviews; client-go's TokenReviewInterface does.
type Reviews interface {
	Create(ctx context.Context, r *authentication.TokenReview, o meta.CreateOptions) (*authentication.TokenReview, error)
}

// Link is told whether the Kubernetes API checks tokens.
type Link interface {
	Up()
	Down(why error)
}

// Callers knows who may call. Make it with New.
type Callers struct {
	reviews  Reviews
	audience string
	allowed  []string
	slots    chan struct{}

	mu    sync.Mutex
	cache map[[sha256.Size]byte]answer
}

type answer struct {
	user  string
	err   error
	until time.Time
}

// New lets in the allowed users, for example
// system:serviceaccount:towline:towline-tunnel, with tokens for audience.
func New(reviews Reviews, audience string, allowed []string) *Callers {
	return &Callers{
		reviews: reviews, audience: audience, allowed: slices.Clone(allowed),
		slots: make(chan struct{}, maxReviews), cache: map[[sha256.Size]byte]answer{},
	}
}

// Authenticate returns the user behind a token.
func (c *Callers) Authenticate(ctx context.Context, token string) (user string, err error) {
	if token == "" || len(token) > maxToken {
		return "", ErrUnauthenticated
	}
	key := sha256.Sum256([]byte(token))
	if a, ok := c.cached(key); ok {
		return a.user, a.err
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return "", ErrUnavailable
	}
	if a, ok := c.cached(key); ok { // somebody asked while we waited
		return a.user, a.err
	}
	user, err = c.review(ctx, token)
	if !errors.Is(err, ErrUnavailable) {
		c.keep(key, user, err)
	}
	return user, err
}

func (c *Callers) cached(key [sha256.Size]byte) (answer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.cache[key]
	return a, ok && time.Now().Before(a.until)
}

func (c *Callers) keep(key [sha256.Size]byte, user string, err error) {
	now, lasts := time.Now(), AcceptedFor
	if err != nil {
		lasts = RefusedFor
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.cache) >= maxCached {
		for k, a := range c.cache {
			if !now.Before(a.until) {
				delete(c.cache, k)
			}
		}
		if len(c.cache) >= maxCached {
			clear(c.cache)
		}
	}
	c.cache[key] = answer{user, err, now.Add(lasts)}
}

func (c *Callers) review(ctx context.Context, token string) (string, error) {
	r, err := c.ask(ctx, token)
	switch {
	case err != nil:
		return "", fmt.Errorf("%w: %w", ErrUnavailable, err)
	case !r.Status.Authenticated || !slices.Contains(r.Status.Audiences, c.audience):
		return "", ErrUnauthenticated
	case !slices.Contains(c.allowed, r.Status.User.Username):
		return r.Status.User.Username, ErrForbidden
	}
	return r.Status.User.Username, nil
}

func (c *Callers) ask(ctx context.Context, token string) (*authentication.TokenReview, error) {
	return c.reviews.Create(ctx, &authentication.TokenReview{
		Spec: authentication.TokenReviewSpec{Token: token, Audiences: []string{c.audience}},
	}, meta.CreateOptions{})
}

// Watch tells link whether tokens can be checked, until ctx ends.
func (c *Callers) Watch(ctx context.Context, link Link) error {
	for ctx.Err() == nil {
		next := ProbeInterval
		if err := c.probe(ctx); err == nil {
			link.Up()
		} else if ctx.Err() == nil {
			link.Down(err)
			next = DownInterval
		}
		retry.Sleep(ctx, next)
	}
	return nil
}

// probe asks about a token that cannot be valid: that tries the road, our own
// credentials and our permission at once.
func (c *Callers) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ProbeInterval)
	defer cancel()
	_, err := c.ask(ctx, "towline-probe")
	switch {
	case err == nil:
		return nil
	case kerrors.IsForbidden(err):
		return fmt.Errorf("the Kubernetes API does not let us check tokens: %w; bind the ClusterRole system:auth-delegator to policy's ServiceAccount", err)
	case kerrors.IsUnauthorized(err):
		return fmt.Errorf("the Kubernetes API does not know us: %w; check the mounted ServiceAccount token or --kubeconfig", err)
	default:
		return fmt.Errorf("the Kubernetes API cannot be reached: %w; check the NetworkPolicy and --kubeconfig", err)
	}
}
