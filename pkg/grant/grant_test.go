package grant

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
)

func newSigner(t testing.TB, seed byte) *Signer {
	t.Helper()
	s, err := NewSigner(ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune(seed)), ed25519.SeedSize))))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sample() Claims {
	return Claims{
		RegisteredClaims: jwt.RegisteredClaims{ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))},
		Job:              Job{ID: 1001, PipelineID: 6, ProjectID: 150, ProjectPath: "group/app"},
		Identity: Identity{
			Mode: ModeCIJob, User: "gitlab:ci_job:1001", Groups: []string{"gitlab:ci_job"},
			Extra: map[string][]string{"agent.gitlab.com/ci_job_id": {"1001"}},
		},
		Agent: Agent{Project: "group/agents", Name: "prod"}, Namespaces: []string{"app"}, DefaultNamespace: "app",
		PayloadDigest: Digest([]byte("payload")), ConfigRevision: "r1",
	}
}

func TestSignAndVerify(t *testing.T) {
	s := newSigner(t, 'a')
	token, err := s.Sign(sample())
	if err != nil {
		t.Fatal(err)
	}
	v := NewVerifier(NewStaticKeys(s.Public()))
	for _, audience := range []string{AudienceGate, AudienceEgress} {
		got, err := v.Verify(t.Context(), token, audience)
		if err != nil {
			t.Fatal(err)
		}
		want := sample()
		if got.ID == "" || len(got.ID) != 32 || got.IssuedAt == nil || got.NotBefore == nil {
			t.Errorf("registered claims: %+v", got.RegisteredClaims)
		}
		if got.Issuer != "towline-policy" || got.Subject != "job:1001" {
			t.Errorf("iss %q, sub %q", got.Issuer, got.Subject)
		}
		want.RegisteredClaims = got.RegisteredClaims
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("claims (-want +got):\n%s", diff)
		}
	}
	other, err := s.Sign(sample())
	if err != nil || other == token {
		t.Errorf("two grants are the same (%v)", err)
	}
}

// The wire form is a contract with runners of other versions.
func TestWireForm(t *testing.T) {
	s := newSigner(t, 'a')
	token, err := s.Sign(sample())
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(token, ".")
	var header, claims map[string]any
	for i, into := range []*map[string]any{&header, &claims} {
		b, _ := base64.RawURLEncoding.DecodeString(parts[i])
		if err := json.Unmarshal(b, into); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(map[string]any{"alg": "EdDSA", "typ": "JWT", "kid": s.KeyID()}, header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	for _, k := range []string{"jti", "iat", "nbf", "exp"} {
		delete(claims, k)
	}
	want := map[string]any{
		"iss": "towline-policy", "sub": "job:1001", "aud": []any{"gate", "egress"},
		"job": map[string]any{"id": 1001.0, "pipeline_id": 6.0, "project_id": 150.0, "project_path": "group/app"},
		"identity": map[string]any{
			"mode": "ci_job", "user": "gitlab:ci_job:1001", "groups": []any{"gitlab:ci_job"},
			"extra": map[string]any{"agent.gitlab.com/ci_job_id": []any{"1001"}},
		},
		"agent":      map[string]any{"project": "group/agents", "name": "prod"},
		"namespaces": []any{"app"}, "default_namespace": "app",
		"payload_digest":  "sha256:239f59ed55e737c77147cf55ad0c1b030b6d7ee748a7426952f9b852d5a935e5",
		"config_revision": "r1",
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

// forge signs any header and claims with an Ed25519 key, past Sign's checks.
func forge(t *testing.T, s *Signer, header map[string]any, change func(map[string]any)) string {
	t.Helper()
	token, err := s.Sign(sample())
	if err != nil {
		t.Fatal(err)
	}
	b, _ := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	claims := map[string]any{}
	if err := json.Unmarshal(b, &claims); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(claims)
	}
	h := map[string]any{"alg": "EdDSA", "typ": "JWT", "kid": s.KeyID()}
	maps.Copy(h, header)
	signed := segment(t, h) + "." + segment(t, claims)
	return signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(s.key, []byte(signed)))
}

func segment(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// refused checks that tokens bring nothing but ErrInvalid.
func refused(t *testing.T, s *Signer, tokens map[string]string) {
	t.Helper()
	for name, token := range tokens {
		t.Run(name, func(t *testing.T) {
			got, err := NewVerifier(NewStaticKeys(s.Public())).Verify(t.Context(), token, AudienceGate)
			if got != nil || !errors.Is(err, ErrInvalid) {
				t.Fatalf("claims %+v, error %v", got, err)
			}
			if errors.Is(err, ErrExpired) != (name == "expired") {
				t.Errorf("error %v", err)
			}
			if len(token) > 20 && strings.Contains(err.Error(), token[len(token)-20:]) {
				t.Errorf("error quotes the token: %v", err)
			}
		})
	}
}

func TestWhatWasGrantedOnceCanBeTold(t *testing.T) {
	s := newSigner(t, 'a')
	v := NewVerifier(NewStaticKeys(s.Public()))
	over := func(since time.Duration) string {
		return forge(t, s, nil, func(c map[string]any) {
			c["iat"], c["nbf"], c["exp"] = time.Now().Add(-since-time.Hour).Unix(), time.Now().Add(-since-time.Hour).Unix(), time.Now().Add(-since).Unix()
		})
	}
	if got, err := v.VerifyPast(t.Context(), over(time.Hour), AudienceGate, 2*time.Hour); err != nil || got.Job.ID != 1001 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := v.VerifyPast(t.Context(), over(3*time.Hour), AudienceGate, 2*time.Hour); got != nil || !errors.Is(err, ErrExpired) {
		t.Errorf("too old: %+v, %v", got, err)
	}
	if got, err := v.VerifyPast(t.Context(), over(time.Hour), "another", 2*time.Hour); got != nil || !errors.Is(err, ErrInvalid) {
		t.Errorf("another audience: %+v, %v", got, err)
	}
	if got, err := NewVerifier(NewStaticKeys(newSigner(t, 'b').Public())).VerifyPast(t.Context(), over(time.Hour), AudienceGate, 2*time.Hour); got != nil || !errors.Is(err, ErrUnknownKey) {
		t.Errorf("another key: %+v, %v", got, err)
	}
}

func TestVerifyRefusesForgeries(t *testing.T) {
	s, stranger := newSigner(t, 'a'), newSigner(t, 'b')
	good := forge(t, s, nil, nil)
	if _, err := NewVerifier(NewStaticKeys(s.Public())).Verify(t.Context(), good, AudienceGate); err != nil {
		t.Fatalf("the forger does not forge well: %v", err)
	}
	body := strings.Split(good, ".")
	tampered := map[string]any{}
	raw, _ := base64.RawURLEncoding.DecodeString(body[1])
	_ = json.Unmarshal(raw, &tampered)
	tampered["default_namespace"], tampered["namespaces"] = "kube-system", []string{"kube-system"}
	none := segment(t, map[string]any{"alg": "none", "kid": s.KeyID()}) + "." + body[1]
	hs := segment(t, map[string]any{"alg": "HS256", "kid": s.KeyID()}) + "." + body[1]
	mac := hmac.New(sha256.New, s.Public())
	mac.Write([]byte(hs))
	refused(t, s, map[string]string{
		"alg none":              none + ".",
		"alg none, signature":   none + "." + body[2],
		"alg HS256, public key": hs + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)),
		"unknown kid":           forge(t, stranger, nil, nil),
		"wrong key, our kid":    forge(t, stranger, map[string]any{"kid": s.KeyID()}, nil),
		"no kid":                forge(t, s, map[string]any{"kid": ""}, nil),
		"critical extension":    forge(t, s, map[string]any{"crit": []string{"b64"}, "b64": false}, nil),
		"tampered":              body[0] + "." + segment(t, tampered) + "." + body[2],
		"no signature":          body[0] + "." + body[1] + ".",
		"too large":             good + strings.Repeat("A", MaxToken),
		"not a token":           "hello",
		"empty":                 "",
	})
}

func TestVerifyRefusesClaims(t *testing.T) {
	s := newSigner(t, 'a')
	now := float64(time.Now().Unix())
	set := func(key string, value any) func(map[string]any) {
		return func(c map[string]any) {
			if c[key] = value; value == nil {
				delete(c, key)
			}
		}
	}
	identity := func(v map[string]any) func(map[string]any) { return set("identity", v) }
	refused(t, s, map[string]string{
		"expired":         forge(t, s, nil, set("exp", now-Skew.Seconds()-5)),
		"no exp":          forge(t, s, nil, set("exp", nil)),
		"future nbf":      forge(t, s, nil, set("nbf", now+Skew.Seconds()+60)),
		"future iat":      forge(t, s, nil, set("iat", now+Skew.Seconds()+60)),
		"other issuer":    forge(t, s, nil, set("iss", "somebody")),
		"no issuer":       forge(t, s, nil, set("iss", nil)),
		"other audience":  forge(t, s, nil, set("aud", []string{"egress"})),
		"no audience":     forge(t, s, nil, set("aud", nil)),
		"no jti":          forge(t, s, nil, set("jti", nil)),
		"other subject":   forge(t, s, nil, set("sub", "job:1002")),
		"no job":          forge(t, s, nil, set("job", nil)),
		"no digest":       forge(t, s, nil, set("payload_digest", nil)),
		"no agent":        forge(t, s, nil, set("agent", nil)),
		"bad namespace":   forge(t, s, nil, set("namespaces", []string{"app/../kube-system"})),
		"default outside": forge(t, s, nil, set("namespaces", []string{"other"})),
		"no mode":         forge(t, s, nil, identity(map[string]any{"user": "u"})),
		"unknown mode":    forge(t, s, nil, identity(map[string]any{"mode": "ci_owner", "user": "u"})),
		"no user":         forge(t, s, nil, identity(map[string]any{"mode": "impersonate"})),
		"masters":         forge(t, s, nil, identity(map[string]any{"mode": "impersonate", "user": "u", "groups": []string{"system:masters"}})),
		"system user":     forge(t, s, nil, identity(map[string]any{"mode": "impersonate", "user": "system:admin"})),
	})
}

func TestVerifyToleratesTheNamedSkew(t *testing.T) {
	s := newSigner(t, 'a')
	now := float64(time.Now().Unix())
	token := forge(t, s, nil, func(c map[string]any) {
		c["iat"], c["nbf"] = now+Skew.Seconds()-5, now+Skew.Seconds()-5
	})
	if _, err := NewVerifier(NewStaticKeys(s.Public())).Verify(t.Context(), token, AudienceGate); err != nil {
		t.Error(err)
	}
}

func TestIdentityValidate(t *testing.T) {
	many := make([]string, MaxGroups+1)
	for i := range many {
		many[i] = "g"
	}
	sa := "system:serviceaccount:towline:agent"
	for name, tt := range map[string]struct {
		id Identity
		ok bool
	}{
		"ci job":               {Identity{Mode: ModeCIJob, User: "gitlab:ci_job:1", Groups: []string{"gitlab:ci_job"}}, true},
		"ci job, other user":   {Identity{Mode: ModeCIJob, User: "root"}, false},
		"impersonate":          {Identity{Mode: ModeImpersonate, User: "deployer", UID: "7", Extra: map[string][]string{"k": {"v"}}}, true},
		"account impersonated": {Identity{Mode: ModeImpersonate, User: sa}, false},
		"system, spelt oddly":  {Identity{Mode: ModeImpersonate, User: " System:admin"}, false},
		"agent":                {Identity{Mode: ModeAgent, User: sa}, true},
		"agent, own groups":    {Identity{Mode: ModeAgent, User: sa, Groups: []string{"system:serviceaccounts", "system:serviceaccounts:towline", "system:authenticated"}}, true},
		"agent, other groups":  {Identity{Mode: ModeAgent, User: sa, Groups: []string{"system:serviceaccounts:kube-system"}}, false},
		"agent as masters":     {Identity{Mode: ModeAgent, User: sa, Groups: []string{"system:masters"}}, false},
		"agent without user":   {Identity{Mode: ModeAgent}, false},
		"agent as a node":      {Identity{Mode: ModeAgent, User: "system:node:a"}, false},
		"agent, odd account":   {Identity{Mode: ModeAgent, User: sa + ":x"}, false},
		"authenticated":        {Identity{Mode: ModeImpersonate, User: "u", Groups: []string{"system:authenticated"}}, false},
		"header in a group":    {Identity{Mode: ModeImpersonate, User: "u", Groups: []string{"a\r\nImpersonate-User: root"}}, false},
		"group without a name": {Identity{Mode: ModeImpersonate, User: "u", Groups: []string{""}}, false},
		"extra without value":  {Identity{Mode: ModeImpersonate, User: "u", Extra: map[string][]string{"k": nil}}, false},
		"too many groups":      {Identity{Mode: ModeImpersonate, User: "u", Groups: many}, false},
		"endless user":         {Identity{Mode: ModeImpersonate, User: strings.Repeat("u", 2000)}, false},
	} {
		if err := tt.id.Validate(); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSignRefusesWhatVerifyWould(t *testing.T) {
	s := newSigner(t, 'a')
	for name, change := range map[string]func(*Claims){
		"no expiry":     func(c *Claims) { c.ExpiresAt = nil },
		"expired":       func(c *Claims) { c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(-time.Minute)) },
		"no job":        func(c *Claims) { c.Job.ID = 0 },
		"other subject": func(c *Claims) { c.Subject = "job:7" },
		"masters":       func(c *Claims) { c.Identity.Groups = []string{"system:masters"} },
		"too large": func(c *Claims) {
			for range 40 {
				c.Identity.Groups = append(c.Identity.Groups, strings.Repeat("g", 500))
			}
		},
	} {
		c := sample()
		change(&c)
		if _, err := s.Sign(c); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
	if _, err := NewSigner(nil); err == nil {
		t.Error("signer without a key")
	}
}

func TestAgentContext(t *testing.T) {
	if got := (Agent{Project: "group/agents", Name: "prod"}).Context(); got != "group/agents:prod" {
		t.Error(got)
	}
}

func FuzzVerify(f *testing.F) {
	s := newSigner(f, 'a')
	c := sample() // the workers are processes of their own and must agree on the token
	c.ID, c.IssuedAt, c.ExpiresAt = "0123456789abcdef", jwt.NewNumericDate(time.Unix(1e9, 0)), jwt.NewNumericDate(time.Unix(4e9, 0))
	token, err := s.Sign(c)
	if err != nil {
		f.Fatal(err)
	}
	parts := strings.Split(token, ".")
	f.Add(token)
	f.Add(parts[0] + "." + parts[1] + ".")
	f.Add("..")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	v := NewVerifier(NewStaticKeys(s.Public()))
	f.Fuzz(func(t *testing.T, in string) {
		got, err := v.Verify(t.Context(), in, AudienceGate)
		if err == nil && in != token {
			t.Fatalf("accepted %q: %+v", in, got)
		}
		if err != nil && !errors.Is(err, ErrInvalid) {
			t.Fatalf("error %v", err)
		}
	})
}
