package gatetest

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/pkg/gate"
	"github.com/towline/towline/pkg/grant"
)

// part is a segment of a token.
func part(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// attacks are tokens that an attacker could make who knows a good grant and what
// policy publishes.
func attacks(t *testing.T, b *bench, good string, c grant.Claims) map[string]string {
	t.Helper()
	parts := strings.Split(good, ".")
	kid := b.signer.KeyID()
	_, key, err := ed25519.GenerateKey(nil)
	b.must(err)
	stranger, err := grant.NewSigner(key)
	b.must(err)
	signed := func(s *grant.Signer, change func(*grant.Claims)) string {
		own := c
		if change != nil {
			change(&own)
		}
		token, err := s.Sign(own)
		b.must(err)
		return token
	}
	ofStranger := strings.Split(signed(stranger, nil), ".")
	none := part(t, map[string]any{"alg": "none", "typ": "JWT", "kid": kid}) + "." + parts[1]
	hs := part(t, map[string]any{"alg": "HS256", "typ": "JWT", "kid": kid}) + "." + parts[1]
	mac := hmac.New(sha256.New, b.signer.Public())
	mac.Write([]byte(hs))
	masters := map[string]any{}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	b.must(err)
	b.must(json.Unmarshal(raw, &masters))
	masters["identity"] = map[string]any{"mode": "impersonate", "user": "x", "groups": []string{"system:masters"}}
	past, future := jwt.NewNumericDate(time.Now().Add(-2*time.Hour)), jwt.NewNumericDate(time.Now().Add(time.Hour/2))
	return map[string]string{
		"alg none":                          none + ".",
		"alg none with a signature":         none + "." + parts[2],
		"HS256 with the public key":         hs + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)),
		"a stranger's key":                  strings.Join(ofStranger, "."),
		"a stranger's key under our kid":    part(t, map[string]any{"alg": "EdDSA", "typ": "JWT", "kid": kid}) + "." + ofStranger[1] + "." + ofStranger[2],
		"a kid that is a path":              part(t, map[string]any{"alg": "EdDSA", "typ": "JWT", "kid": "../../keys"}) + "." + parts[1] + "." + parts[2],
		"another identity, same signature":  parts[0] + "." + part(t, masters) + "." + parts[2],
		"expired":                           signed(b.signer, func(c *grant.Claims) { c.IssuedAt, c.ExpiresAt = past, jwt.NewNumericDate(time.Now().Add(-time.Hour)) }),
		"from the future":                   signed(b.signer, func(c *grant.Claims) { c.IssuedAt, c.NotBefore = future, future }),
		"for the egress proxy only":         signed(b.signer, func(c *grant.Claims) { c.Audience = jwt.ClaimStrings{grant.AudienceEgress} }),
		"the gate's own credential":         b.own.BearerToken,
		"good, but nobody has opened it":    signed(b.signer, nil),
		"good, with something at its end":   good + ".x",
		"good, in another encoding":         good + "=",
		"good, with its header in capitals": strings.ToUpper(parts[0]) + "." + parts[1] + "." + parts[2],
	}
}

// TestGrantAttacks: none of them opens a session, and none is a bearer's.
func TestGrantAttacks(t *testing.T) {
	b := open(t)
	var claims grant.Claims
	s := b.job(func(c *grant.Claims) { claims = *c })
	if _, err := whoami(t, b.client(s)); err != nil {
		t.Fatal(err)
	}
	for name, token := range attacks(t, b, s.token, claims) {
		if name != "good, but nobody has opened it" {
			if opened, err := b.gate.Open(t.Context(), token); !errors.Is(err, grant.ErrInvalid) {
				t.Errorf("%s: opened %v, %v", name, opened != nil, err)
			}
		}
		if _, err := whoami(t, b.client(&session{s.Session, token})); !apierrors.IsUnauthorized(err) || !strings.Contains(err.Error(), `gate rule "grant"`) {
			t.Errorf("%s, as a bearer: %v", name, err)
		}
	}
}

// ended are the grants whose jobs are over, as the ledger knows them.
type ended map[string]bool

// Revoked implements gate.Revocations.
func (e ended) Revoked(_ context.Context, jti string) (bool, error) { return e[jti], nil }

// TestAGrantIsOfNoUseElsewhere: another job's process, another runner, and
// whoever kept it after the job's end.
func TestAGrantIsOfNoUseElsewhere(t *testing.T) {
	b := open(t)
	over := ended{}
	second := *b
	var err error
	second.gate, err = gate.New(gate.Config{
		API: b.own, Verifier: grant.NewVerifier(grant.NewStaticKeys(b.signer.Public())), Revocations: over, Log: slog.New(slog.DiscardHandler),
	})
	b.must(err)
	second.serve()
	s := b.job(nil)
	elsewhere := func() error { _, err := whoami(t, second.client(s)); return err }
	if err := elsewhere(); !apierrors.IsUnauthorized(err) {
		t.Errorf("on another runner while the job runs: %v", err)
	}
	s.Close()
	over[s.Claims().ID] = true
	if _, err := whoami(t, b.client(s)); !apierrors.IsUnauthorized(err) || !strings.Contains(err.Error(), "its job is over") {
		t.Errorf("after the job's end: %v", err)
	}
	if _, err := second.gate.Open(t.Context(), s.token); !errors.Is(err, grant.ErrInvalid) {
		t.Errorf("opened again elsewhere: %v", err)
	}
	if err := elsewhere(); !apierrors.IsUnauthorized(err) {
		t.Errorf("elsewhere after the job's end: %v", err)
	}
}

// TestTheAgentsJobsMayActAsOthers: what kubectl --as does, for whom RBAC lets the
// agent's account.
func TestTheAgentsJobsMayActAsOthers(t *testing.T) {
	b := open(t)
	ns := b.cluster.Namespace(t)
	agent := grant.ServiceAccountUser(b.home, "towline-agent")
	_ = b.account("towline-agent")
	b.allow(ns, "User", "ada")
	b.mayImpersonate("towline-agent", "ada", "team")
	s := b.job(func(c *grant.Claims) { c.Identity = grant.Identity{Mode: grant.ModeAgent, User: agent} })
	as := func(to rest.ImpersonationConfig) *kubernetes.Clientset {
		cfg := b.config(s)
		cfg.Impersonate = to
		c, err := kubernetes.NewForConfig(cfg)
		b.must(err)
		return c
	}
	ada := as(rest.ImpersonationConfig{UserName: "ada", Groups: []string{"team"}})
	b.eventually("the agent may act as ada", func() bool { _, err := whoami(t, ada); return err == nil })
	who, err := whoami(t, ada)
	if err != nil || who.Username != "ada" || strings.Join(who.Groups, " ") != "system:authenticated team" {
		t.Errorf("%+v, %v", who, err)
	}
	if who, err := whoami(t, b.client(s)); err != nil || who.Username != agent {
		t.Errorf("without --as: %+v, %v", who, err)
	}
	if _, err := ada.CoreV1().ConfigMaps(ns).List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("ada's rights: %v", err)
	}
	if _, err := b.client(s).CoreV1().ConfigMaps(ns).List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("ada's rights without being ada: %v", err)
	}
	for name, to := range map[string]rest.ImpersonationConfig{
		"another user":     {UserName: "bob"},
		"another job":      {UserName: "gitlab:ci_job:8"},
		"another group":    {UserName: "ada", Groups: []string{"gitlab:project:42"}},
		"masters":          {UserName: "ada", Groups: []string{"system:masters"}},
		"a system user":    {UserName: "system:kube-controller-manager"},
		"a ServiceAccount": {UserName: grant.ServiceAccountUser(b.home, "towline-runner")},
		"a uid":            {UserName: "ada", UID: "1"},
		"an extra field":   {UserName: "ada", Extra: map[string][]string{"scopes": {"all"}}},
	} {
		if _, err := whoami(t, as(to)); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `gate rule "identity"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
