package gate_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/pkg/eventually"
	"github.com/towline/towline/pkg/gate"
	"github.com/towline/towline/pkg/grant"
)

func TestOnlyTheBearerOfAnOpenSessionPasses(t *testing.T) {
	b := open(t, nil)
	good, _ := b.session()
	closed, s := b.session()
	s.Close()
	s.Close() // twice is harmless
	never := sign(t, claims())
	for name, set := range map[string]func(http.Header){
		"no authorization":          func(h http.Header) { h.Del("Authorization") },
		"empty token":               func(h http.Header) { h.Set("Authorization", "Bearer ") },
		"a grant without a session": func(h http.Header) { h.Set("Authorization", "Bearer "+never) },
		"a closed session":          func(h http.Header) { h.Set("Authorization", "Bearer "+closed) },
		"another scheme":            func(h http.Header) { h.Set("Authorization", "Basic "+good) },
		"only part of the token":    func(h http.Header) { h.Set("Authorization", "Bearer "+good[:len(good)-1]) },
		"two headers, the good one first": func(h http.Header) {
			h["Authorization"] = []string{"Bearer " + good, "Bearer other"}
		},
		"two headers, the good one last": func(h http.Header) {
			h["Authorization"] = []string{"Bearer other", "Bearer " + good}
		},
		"two headers, both good": func(h http.Header) {
			h["Authorization"] = []string{"Bearer " + good, "Bearer " + good}
		},
		"the gate's own token": func(h http.Header) { h.Set("Authorization", "Bearer "+ownToken) },
	} {
		t.Run(name, func(t *testing.T) {
			r := b.request(http.MethodGet, "/api", good, nil)
			set(r.Header)
			resp := b.do(r)
			if resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("status = %d, want 401", resp.StatusCode)
			}
			if st := status(t, resp); st.Reason != "Unauthorized" || !strings.HasPrefix(st.Message, "towline: ") {
				t.Errorf("Status = %+v", st)
			}
			if b.forwarded() != nil {
				t.Error("the request reached the API server")
			}
		})
	}
	if resp := b.do(b.request(http.MethodGet, "/api", good, nil)); resp.StatusCode != http.StatusOK {
		t.Errorf("the bearer of the open session gets %d", resp.StatusCode)
	}
}

func TestOpenTakesOnlyWhatPolicySigned(t *testing.T) {
	b := open(t, nil)
	_, key, _ := ed25519.GenerateKey(nil)
	stranger, err := grant.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	forged, err := stranger.Sign(claims())
	if err != nil {
		t.Fatal(err)
	}
	good := sign(t, claims())
	for name, token := range map[string]string{
		"nothing":       "",
		"garbage":       "a.b.c",
		"another key":   forged,
		"changed":       good[:len(good)-4] + "AAAA",
		"egress only":   sign(t, claims(func(c *grant.Claims) { c.Audience = jwt.ClaimStrings{grant.AudienceEgress} })),
		"long expired":  sign(t, claims(ended(grant.Skew+time.Second))),
		"not yet valid": sign(t, claims(func(c *grant.Claims) { c.NotBefore = jwt.NewNumericDate(time.Now().Add(grant.Skew + time.Minute)) })),
	} {
		if s, err := b.gate.Open(t.Context(), token); !errors.Is(err, grant.ErrInvalid) || s != nil {
			t.Errorf("%s: session %v, error %v", name, s, err)
		} else if token != "" && strings.Contains(err.Error(), token) {
			t.Errorf("%s: the error quotes the token", name)
		}
	}
}

// ended makes a grant whose time was over some time ago.
func ended(ago time.Duration) func(*grant.Claims) {
	return func(c *grant.Claims) {
		c.IssuedAt = jwt.NewNumericDate(time.Now().Add(-time.Hour))
		c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(-ago))
	}
}

func TestAGrantWithinTheSkewStillWorks(t *testing.T) {
	b := open(t, nil)
	token, _ := b.session(ended(time.Second))
	if resp := b.do(b.request(http.MethodGet, "/api", token, nil)); resp.StatusCode != http.StatusOK {
		t.Errorf("status = %d: the gate and the verifier disagree about the skew", resp.StatusCode)
	}
}

func TestASessionEndsWithItsGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, &rest.Config{Host: "https://192.0.2.1"}, io.Discard)
		token := sign(t, claims(func(c *grant.Claims) { c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(time.Minute)) }))
		s, err := g.Open(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/namespaces//pods", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		code := func() int {
			w := &answer{header: http.Header{}}
			g.ServeHTTP(w, r)
			return w.code
		}
		time.Sleep(time.Minute + grant.Skew - time.Second)
		synctest.Wait()
		if got := code(); got != http.StatusBadRequest { // it got as far as the path
			t.Errorf("shortly before the end: %d", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := code(); got != http.StatusUnauthorized {
			t.Errorf("after the end: %d, want 401", got)
		}
	})
}

func TestAGrantHasOneSessionAtATime(t *testing.T) {
	b := open(t, nil)
	token, first := b.session()
	if s, err := b.gate.Open(t.Context(), token); !errors.Is(err, gate.ErrInUse) || s != nil {
		t.Fatalf("opened twice: %v, %v", s, err)
	}
	if resp := b.do(b.request(http.MethodGet, "/api", token, nil)); resp.StatusCode != http.StatusOK {
		t.Errorf("the refused opening ended the session: %d", resp.StatusCode)
	}
	first.Close()
	again, err := b.gate.Open(t.Context(), token)
	if err != nil {
		t.Fatalf("after it was closed: %v", err)
	}
	first.Close() // must not end the other
	if resp := b.do(b.request(http.MethodGet, "/api", token, nil)); resp.StatusCode != http.StatusOK {
		t.Errorf("the second session: %d", resp.StatusCode)
	}
	again.Close()
	if resp := b.do(b.request(http.MethodGet, "/api", token, nil)); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("after the second was closed: %d", resp.StatusCode)
	}
}

func TestASessionEndsWithItsContext(t *testing.T) {
	b := open(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	token := sign(t, claims())
	if _, err := b.gate.Open(ctx, token); err != nil {
		t.Fatal(err)
	}
	cancel()
	if resp := b.do(b.request(http.MethodGet, "/api", token, nil)); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("status = %d, want 401", resp.StatusCode)
	}
	eventually.Is(t, "the session makes room for another", func() bool {
		s, err := b.gate.Open(t.Context(), token)
		if err == nil {
			s.Close()
		}
		return err == nil
	})
}

func TestClaimsAreThoseThatPolicySigned(t *testing.T) {
	b := open(t, nil)
	_, s := b.session(within("a", "b"))
	if c := s.Claims(); c.Job.ID != 7 || c.Identity.User != "gitlab:ci_job:7" || len(c.Namespaces) != 2 {
		t.Errorf("claims = %+v", c)
	}
}

func TestNewNamesWhatIsWrongWithTheAddress(t *testing.T) {
	for name, cfg := range map[string]*rest.Config{
		"no address": {Host: "://"},
		"no CA":      {Host: "https://127.0.0.1", TLSClientConfig: rest.TLSClientConfig{CAFile: "/does/not/exist"}},
	} {
		if _, err := gate.New(gate.Config{API: cfg}); err == nil || !strings.Contains(err.Error(), "Kubernetes API") {
			t.Errorf("%s: error = %v", name, err)
		}
	}
}

// answer is the least that a handler can write to.
type answer struct {
	header http.Header
	code   int
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) Write(p []byte) (int, error) { return len(p), nil }
func (a *answer) WriteHeader(code int)        { a.code = code }
