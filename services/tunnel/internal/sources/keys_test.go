package sources

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

// keyring is a GitLab with one key.
type keyring struct {
	mu    sync.Mutex
	kid   string
	err   error
	looks int
	slow  time.Duration
}

func (k *keyring) IDTokenKeys(ctx context.Context) (*gitlab.IDTokenKeys, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.looks++
	select {
	case <-time.After(k.slow):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if k.err != nil {
		return nil, k.err
	}
	set := `{"keys":[]}`
	if k.kid != "" {
		set = fmt.Sprintf(`{"keys":[{"kid":%q}]}`, k.kid)
	}
	return &gitlab.IDTokenKeys{Issuer: "https://gitlab.example.com", JWKS: []byte(set)}, nil
}

// count is how often GitLab was asked.
func (k *keyring) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.looks
}

func tokenOf(kid string) []string {
	encode := base64.RawURLEncoding.EncodeToString
	return []string{encode(fmt.Appendf(nil, `{"alg":"RS256","kid":%q}`, kid)) + "." + encode([]byte("{}")) + ".c2ln"}
}

func TestKeysAreReadOnceAndAgainAfterARotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gl := &keyring{kid: "one"}
		k := NewKeys(gl, slog.New(slog.DiscardHandler))
		ask := func(kid, want string, looks int) {
			t.Helper()
			got, err := k.For(t.Context(), tokenOf(kid))
			if err != nil || string(got.JWKS) != fmt.Sprintf(`{"keys":[{"kid":%q}]}`, want) || got.Issuer != "https://gitlab.example.com" {
				t.Errorf("%+v, %v", got, err)
			}
			if n := gl.count(); n != looks {
				t.Errorf("%d looks, want %d", n, looks)
			}
		}
		ask("one", "one", 1)
		ask("one", "one", 1)
		gl.kid = "two"
		ask("one", "one", 1)
		began := time.Now()
		ask("two", "two", 2) // asked a moment ago: it waits for its turn
		if waited := time.Since(began); waited != keysPause {
			t.Errorf("waited %s, want %s", waited, keysPause)
		}
		ask("two", "two", 2)
		time.Sleep(keysFresh)
		ask("two", "two", 3)
		// Whoever makes up keys delays nobody else, and costs GitLab little.
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { _, _ = k.For(t.Context(), tokenOf("made up")) })
		}
		ask("two", "two", 3)
		wg.Wait()
		if gl.looks != 4 {
			t.Errorf("%d looks, want 4", gl.looks)
		}
	})
}

func TestKeysOutliveAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gl := &keyring{kid: "one"}
		k := NewKeys(gl, slog.New(slog.DiscardHandler))
		if _, err := k.For(t.Context(), tokenOf("one")); err != nil {
			t.Fatal(err)
		}
		gl.err = errors.New("GitLab is away")
		time.Sleep(keysKept - time.Second)
		if got, err := k.For(t.Context(), tokenOf("one")); got == nil || err != nil {
			t.Errorf("%+v, %v", got, err)
		}
		time.Sleep(time.Second)
		if got, err := k.For(t.Context(), tokenOf("one")); got != nil || err == nil {
			t.Errorf("keys of yesterday: %+v, %v", got, err)
		}
		looks := gl.looks
		for range 10 {
			_, _ = k.For(t.Context(), tokenOf("one"))
		}
		if gl.looks != looks {
			t.Errorf("%d looks without a pause", gl.looks-looks)
		}
		gl.err = nil
		time.Sleep(keysPause)
		if got, err := k.For(t.Context(), tokenOf("one")); got == nil || err != nil {
			t.Errorf("after the outage: %+v, %v", got, err)
		}
	})
}

func TestAGitLabWithoutKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKeys(&keyring{err: fmt.Errorf("x: %w", gitlab.ErrRefused)}, slog.New(slog.DiscardHandler))
		if got, err := k.For(t.Context(), tokenOf("one")); got != nil || err != nil {
			t.Errorf("%+v, %v", got, err)
		}
		k = NewKeys(&keyring{}, slog.New(slog.DiscardHandler))
		if got, err := k.For(t.Context(), []string{"rubbish"}); got != nil || err == nil {
			t.Errorf("an empty set: %+v, %v", got, err)
		}
	})
}

func TestWhoGivesUpDoesNotSpeakForGitLab(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gl := &keyring{kid: "one", slow: 5 * time.Second}
		k := NewKeys(gl, slog.New(slog.DiscardHandler))
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for range 2 { // one asks, one waits for its turn
			wg.Go(func() {
				if _, err := k.For(short, tokenOf("one")); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error = %v", err)
				}
			})
		}
		wg.Wait()
		if got, err := k.For(t.Context(), tokenOf("one")); got == nil || err != nil {
			t.Errorf("%+v, %v", got, err)
		}
	})
}
