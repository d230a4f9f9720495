package gate_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/rest"

	"github.com/towline/towline/pkg/gate"
	"github.com/towline/towline/pkg/grant"
)

// office is what is known of grants and keys, which changes.
type office struct {
	mu      sync.Mutex
	revoked map[string]bool
	keys    grant.StaticKeys
	ill     bool
}

func (o *office) Revoked(_ context.Context, jti string) (bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ill {
		return false, errors.New("redis does not answer")
	}
	return o.revoked[jti], nil
}

func (o *office) Key(ctx context.Context, kid string) (ed25519.PublicKey, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ill {
		return nil, grant.ErrKeysUnavailable
	}
	return o.keys.Key(ctx, kid)
}

func (o *office) change(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f()
}

func newOffice() *office {
	return &office{revoked: map[string]bool{}, keys: grant.NewStaticKeys(signer.Public())}
}

func (o *office) gate(t *testing.T) *gate.Gate {
	t.Helper()
	g, err := gate.New(gate.Config{API: &rest.Config{Host: "https://192.0.2.1"}, Verifier: grant.NewVerifier(o), Revocations: o, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// admitted says whether the bearer of a token gets past the first check.
func admitted(t *testing.T, g *gate.Gate, token string) bool {
	t.Helper()
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/namespaces//pods", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := &answer{header: http.Header{}}
	g.ServeHTTP(w, r)
	return w.code == http.StatusBadRequest
}

// TestAGrantWhoseJobIsOverOpensNothing: a grant that was copied is replayed on
// another runner.
func TestAGrantWhoseJobIsOverOpensNothing(t *testing.T) {
	o := newOffice()
	token := sign(t, claims(func(c *grant.Claims) { c.ID = "over" }))
	o.change(func() { o.revoked["over"] = true })
	if s, err := o.gate(t).Open(t.Context(), token); !errors.Is(err, grant.ErrInvalid) || s != nil {
		t.Errorf("%v, %v", s, err)
	}
	o.change(func() { o.ill = true })
	withKeys := grant.NewVerifier(grant.NewStaticKeys(signer.Public()))
	g, err := gate.New(gate.Config{API: &rest.Config{Host: "https://192.0.2.1"}, Verifier: withKeys, Revocations: o, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := g.Open(t.Context(), token); !errors.Is(err, gate.ErrUnknowable) || s != nil {
		t.Errorf("revocations cannot be read: %v, %v", s, err)
	}
}

func TestAnOpenSessionEndsWhenItsGrantBecomesInvalid(t *testing.T) {
	for name, end := range map[string]func(*office){
		"revoked":                      func(o *office) { o.revoked["j"] = true },
		"signed with a withdrawn key":  func(o *office) { o.keys = nil },
		"neither, but nothing answers": func(o *office) { o.ill = true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOffice()
				g := o.gate(t)
				token := sign(t, claims(func(c *grant.Claims) { c.ID = "j" }))
				s, err := g.Open(t.Context(), token)
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				time.Sleep(10 * gate.FollowInterval)
				synctest.Wait()
				if !admitted(t, g, token) {
					t.Fatal("a good session ended")
				}
				o.change(func() { end(o) })
				time.Sleep(gate.FollowInterval + time.Second)
				synctest.Wait()
				if got, want := admitted(t, g, token), o.ill; got != want {
					t.Errorf("admitted: %v, want %v", got, want)
				}
			})
		})
	}
}
