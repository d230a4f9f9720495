package egress

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towline/towline/pkg/grant"
)

// outage is what checks grants, and cannot for a while.
type outage struct {
	over       time.Time
	keys       error // of policy
	redis      error
	void       bool
	known      grant.Keys
	keyChecks  int
	redisReads int
}

func (o *outage) now(err error) error {
	if time.Now().Before(o.over) {
		return err
	}
	return nil
}

// Key implements grant.Keys.
func (o *outage) Key(ctx context.Context, kid string) (ed25519.PublicKey, error) {
	o.keyChecks++
	if err := o.now(o.keys); err != nil {
		return nil, err
	}
	return o.known.Key(ctx, kid)
}

// Revoked implements Revocations.
func (o *outage) Revoked(context.Context, string) (bool, error) {
	o.redisReads++
	return o.void, o.now(o.redis)
}

// TestWhatPassesIsWaitedOut: nothing is answered before a grant is known to be
// good or bad, or the bound is over.
func TestWhatPassesIsWaitedOut(t *testing.T) {
	away := errors.New("redis does not answer")
	for name, tt := range map[string]struct {
		signer      string
		lasts       time.Duration
		keys, redis error
		void        bool
		leaves      time.Duration // when the client goes, if it does
		code        int
		text        string
		took        time.Duration // at least, and at most a pause more
	}{
		"nothing is away":                {signer: "a", code: 200},
		"Redis restarts":                 {signer: "a", lasts: 8 * time.Second, redis: away, code: 200, took: 8 * time.Second},
		"Redis restarts, and it is void": {signer: "a", lasts: 8 * time.Second, redis: away, void: true, code: 407, text: "the job is over", took: 8 * time.Second},
		"keys cannot be fetched yet":     {signer: "a", lasts: 5 * time.Second, keys: grant.ErrKeysUnavailable, code: 200, took: 5 * time.Second},
		"a replica of policy lags":       {signer: "a", lasts: 12 * time.Second, keys: grant.ErrUnknownKey, code: 200, took: 12 * time.Second},
		"Redis stays away":               {signer: "a", lasts: time.Hour, redis: away, code: 503, text: "revocations cannot be read now; try again", took: checkFor},
		"policy stays away":              {signer: "a", lasts: time.Hour, keys: grant.ErrKeysUnavailable, code: 503, text: "policy's keys cannot be read now; try again", took: checkFor},
		"a foreign key":                  {signer: "b", code: 407, text: "does not publish", took: checkFor},
		"void":                           {signer: "a", void: true, code: 407, text: "the job is over"},
		"the client goes away":           {signer: "a", lasts: time.Hour, redis: away, leaves: 3 * time.Second, code: 503, text: "try again", took: 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &outage{over: time.Now().Add(tt.lasts), keys: tt.keys, redis: tt.redis, void: tt.void, known: grant.NewStaticKeys(signer(t, "a").Public())}
				p := &Proxy{Verifier: grant.NewVerifier(o), Revocations: o, Allowed: map[string]bool{}, Log: slog.New(slog.DiscardHandler)}
				code, body, took := askFor(t, p, sign(t, signer(t, tt.signer), nil), tt.leaves)
				if tt.code == 200 { // the grant is accepted, the host is not
					tt.code, tt.text = 403, "--egress-hosts"
				}
				if code != tt.code || !strings.Contains(body, tt.text) {
					t.Errorf("%d %q, want %d %q", code, body, tt.code, tt.text)
				}
				if most := tt.took + 2*time.Second; took < tt.took || took > most || tt.took == 0 && took != 0 {
					t.Errorf("after %s, want %s to %s", took, tt.took, most)
				}
				if tt.took == 0 && (o.keyChecks != 1 || o.redisReads != 1) || o.keyChecks > 25 {
					t.Errorf("%d checks of the key, %d of revocations", o.keyChecks, o.redisReads)
				}
			})
		})
	}
}

// askFor makes a request whose client leaves after a time, if that is not 0.
func askFor(t *testing.T, p *Proxy, token string, leaves time.Duration) (code int, body string, took time.Duration) {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	if leaves > 0 {
		defer time.AfterFunc(leaves, leave).Stop()
	}
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "http://plain.example.com/", nil)
	r.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("job:"+token)))
	w, began := httptest.NewRecorder(), time.Now()
	p.ServeHTTP(w, r)
	return w.Code, w.Body.String(), time.Since(began)
}
