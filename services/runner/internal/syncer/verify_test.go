package syncer

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/gate"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/seal"
	"github.com/towline/towline/pkg/syncspec"
)

// outage is what a sync needs to be verified, and does not have before it is
// over.
type outage struct {
	over     time.Time
	keys     error // what policy's keys are meanwhile
	revoked  error // what Redis says of revocations
	box      error // what opens no task
	old, new *seal.Box
	public   grant.Keys
}

func (o *outage) now(err error) error {
	if time.Now().After(o.over) {
		return nil
	}
	return err
}

// Key implements grant.Keys.
func (o *outage) Key(ctx context.Context, kid string) (ed25519.PublicKey, error) {
	if err := o.now(o.keys); err != nil {
		return nil, err
	}
	return o.public.Key(ctx, kid)
}

// Revoked implements gate.Revocations.
func (o *outage) Revoked(context.Context, string) (bool, error) { return false, o.now(o.revoked) }

// Seal implements ledger.Sealer.
func (o *outage) Seal(plain []byte, purpose string) ([]byte, error) {
	return o.new.Seal(plain, purpose)
}

// Open implements ledger.Sealer. Meanwhile the new key is not here.
func (o *outage) Open(sealed []byte, purpose string) ([]byte, error) {
	if o.now(o.box) != nil {
		return o.old.Open(sealed, purpose)
	}
	return o.new.Open(sealed, purpose)
}

// order is a sync as the tunnel hands it on, which removes what entry has.
func order(t *testing.T, o *outage) (sealed []byte) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const entry, commit = "shop", "714a629c0b401fdce83e847fc9589983fc6f46bc"
	_, key, err := ed25519.GenerateKey(nil)
	must(err)
	signer, err := grant.NewSigner(key)
	must(err)
	o.public = grant.NewStaticKeys(signer.Public())
	o.old, err = seal.New(bytes.Repeat([]byte{7}, seal.KeySize))
	must(err)
	o.new, err = seal.New(bytes.Repeat([]byte{8}, seal.KeySize))
	must(err)
	task, err := json.Marshal(syncspec.Task{Schema: syncspec.Schema, ProjectID: 42, Commit: commit, Remove: true, Entry: agentconfig.Manifests{Name: entry, Project: entry}})
	must(err)
	token, err := signer.Sign(grant.Claims{
		RegisteredClaims: jwt.RegisteredClaims{ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))},
		Sync:             &grant.Sync{Entry: entry, Project: entry, Commit: commit},
		Identity:         grant.Identity{Mode: grant.ModeGitOps, User: grant.GitOpsUser + entry},
		Agent:            grant.Agent{ID: 7, Project: "acme/agents", Name: "production"}, PayloadDigest: grant.Digest(task),
	})
	must(err)
	text, err := json.Marshal(syncspec.Order{Task: task, Grant: token})
	must(err)
	sealed, err = ledger.SealTask(o, entry, text)
	must(err)
	return sealed
}

// TestASyncWaitsForWhatPassesByItself, for as long as a job does.
func TestASyncWaitsForWhatPassesByItself(t *testing.T) {
	const restart, kubelet = 50 * time.Second, 100 * time.Second
	away := errors.New("connection refused")
	for name, tt := range map[string]struct {
		outage
		lasts time.Duration
		give  time.Duration // after which the sync is not wanted any more
		fails error
	}{
		"policy is away":              {outage: outage{keys: grant.ErrKeysUnavailable}, lasts: restart},
		"policy's other replica lags": {outage: outage{keys: grant.ErrUnknownKey}, lasts: kubelet},
		"Redis is away":               {outage: outage{revoked: away}, lasts: restart},
		"the sealing key is not here": {outage: outage{box: away}, lasts: kubelet},
		"policy stays away":           {outage: outage{keys: grant.ErrKeysUnavailable}, lasts: time.Hour, fails: grant.ErrKeysUnavailable},
		"the sealing key stays away":  {outage: outage{box: away}, lasts: time.Hour, fails: seal.ErrUnknownKey},
		"it is superseded meanwhile":  {outage: outage{keys: grant.ErrKeysUnavailable}, lasts: restart, give: time.Second, fails: grant.ErrKeysUnavailable},
		"what never passes":           {outage: outage{keys: grant.ErrInvalid}, lasts: time.Second, fails: grant.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &tt.outage
				sealed := order(t, o)
				o.over = time.Now().Add(tt.lasts)
				log := slog.New(slog.DiscardHandler)
				g, err := gate.New(gate.Config{API: &rest.Config{Host: "http://127.0.0.1:1"}, Verifier: grant.NewVerifier(o), Revocations: o, Log: log})
				if err != nil {
					t.Fatal(err)
				}
				w := New(Config{Seal: o, Gate: g, Log: log, Dir: t.TempDir()})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tt.give > 0 {
					time.AfterFunc(tt.give, cancel)
				}
				began := time.Now()
				c := &claim{name: "shop"}
				err = w.open(ctx, c, sealed)
				took := time.Since(began)
				switch most := 2*time.Minute + 5*time.Second; {
				case !errors.Is(err, tt.fails):
					t.Errorf("%v after %s, want %v", err, took, tt.fails)
				case err == nil && took < tt.lasts, took > most, tt.give > 0 && took > tt.give, tt.lasts == time.Second && took != 0:
					t.Errorf("it took %s", took)
				}
				if err == nil {
					c.session.Close()
				}
			})
		})
	}
}
