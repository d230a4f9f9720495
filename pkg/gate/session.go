package gate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"time"

	"github.com/towline/towline/pkg/grant"
)

// What Open can answer besides what its Verifier does.
var (
	// ErrInUse means that a grant has an open session already. It is free again
	// when that one is closed.
	ErrInUse = errors.New("this grant is in use already")
	// ErrUnknowable means that nothing could be learnt about a grant's
	// revocation. The caller may try again.
	ErrUnknowable = errors.New("whether this grant is revoked cannot be found out now")
)

// FollowInterval is how often the grants of open sessions are looked at again: a
// grant that was revoked, or whose key was taken away, ends its session.
const FollowInterval = 15 * time.Second

// followTimeout bounds one such look.
const followTimeout = 10 * time.Second

// Revocations says which grants are void before their time.
type Revocations interface {
	Revoked(ctx context.Context, jti string) (bool, error)
}

// Session is one grant in use.
type Session struct {
	claims *grant.Claims
	stamp  http.Header // the identity of the grant
	others impersonations
	proxy  *httputil.ReverseProxy
	ctx    context.Context
	cancel context.CancelFunc
	close  func()
}

// Claims returns what policy signed.
func (s *Session) Claims() *grant.Claims { return s.claims }

// Close ends the session: its grant is refused from now on and its open
// requests are cut off.
func (s *Session) Close() { s.close() }

// Open verifies a grant and admits its bearer until the session is closed, ctx
// ends, the grant is revoked or it expires, which is as late as its Verifier has
// it. A grant has one session at a time: ErrInUse.
func (g *Gate) Open(ctx context.Context, token string) (*Session, error) {
	claims, err := g.admissible(ctx, token)
	if err != nil {
		return nil, err
	}
	sctx, cancel := context.WithDeadline(ctx, claims.ExpiresAt.Add(grant.Skew))
	s := &Session{claims: claims, ctx: sctx, cancel: cancel}
	s.close = sync.OnceFunc(func() {
		cancel()
		g.mu.Lock()
		delete(g.sessions, token)
		g.mu.Unlock()
	})
	s.stamp = stamped(claims.Identity)
	s.proxy = g.newProxy(s)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sessions[token] != nil {
		cancel()
		return nil, ErrInUse
	}
	g.sessions[token] = s
	context.AfterFunc(sctx, s.close)
	go g.follow(s, token)
	return s, nil
}

// admissible is what a grant says that is signed and not revoked.
func (g *Gate) admissible(ctx context.Context, token string) (*grant.Claims, error) {
	claims, err := g.verifier.Verify(ctx, token, grant.AudienceGate)
	if err != nil || g.revocations == nil {
		return claims, err
	}
	revoked, err := g.revocations.Revoked(ctx, claims.ID)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnknowable, err)
	case revoked:
		return nil, fmt.Errorf("%w: it was revoked: its job is over", grant.ErrInvalid)
	}
	return claims, nil
}

// follow ends a session whose grant has become invalid. While nothing can be
// learnt of it, it goes on: it was good, and it expires.
func (g *Gate) follow(s *Session, token string) {
	t := time.NewTicker(FollowInterval)
	defer t.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-t.C:
		}
		ctx, cancel := context.WithTimeout(s.ctx, followTimeout)
		_, err := g.admissible(ctx, token)
		cancel()
		if errors.Is(err, grant.ErrInvalid) {
			g.log.Warn("session ended before its job", "job_id", s.claims.Job.ID, "reason", err.Error())
			s.close()
			return
		}
	}
}

func (g *Gate) session(r *http.Request) *Session {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || len(r.Header.Values("Authorization")) != 1 {
		return nil
	}
	g.mu.RLock()
	s := g.sessions[token]
	g.mu.RUnlock()
	if s == nil || s.ctx.Err() != nil {
		return nil
	}
	return s
}
