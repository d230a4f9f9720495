package idtoken

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/services/policy/internal/decide"
)

const issuer = "https://gitlab.example.com"

var now = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// keyring is GitLab's keys, made once: RSA keys take their time.
var keyring = sync.OnceValue(func() (k struct {
	rsa, next, small *rsa.PrivateKey
	ec, p384         *ecdsa.PrivateKey
},
) {
	var err [5]error
	k.rsa, err[0] = rsa.GenerateKey(rand.Reader, 2048)
	k.next, err[1] = rsa.GenerateKey(rand.Reader, 2048)
	k.small, err[2] = rsa.GenerateKey(rand.Reader, 1024)
	k.ec, err[3] = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.p384, err[4] = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	for _, e := range err {
		if e != nil {
			panic(e)
		}
	}
	return k
})

func text(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func rsaKey(kid string, k *rsa.PrivateKey) jwk {
	return jwk{Kty: "RSA", Kid: kid, Use: "sig", Alg: "RS256", N: text(k.N.Bytes()), E: text(big.NewInt(int64(k.E)).Bytes())}
}

func ecKey(t testing.TB, kid string, k *ecdsa.PrivateKey) jwk {
	t.Helper()
	b, err := k.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	half := (len(b) - 1) / 2
	return jwk{Kty: "EC", Kid: kid, Use: "sig", Alg: "ES256", Crv: k.Curve.Params().Name, X: text(b[1 : 1+half]), Y: text(b[1+half:])}
}

func set(t testing.TB, keys ...jwk) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// said is what GitLab says of a job for an environment.
func said(change map[string]any) jwt.MapClaims {
	c := jwt.MapClaims{
		"iss": issuer, "sub": "project_path:acme/app:ref_type:branch:ref:main", "aud": "towline",
		"iat": now.Unix(), "nbf": now.Unix() - 5, "exp": now.Unix() + 3600, "jti": "1",
		"namespace_id": "72", "namespace_path": "acme", "project_id": "20", "project_path": "acme/app",
		"job_project_id": "20", "job_project_path": "acme/app", "job_namespace_id": "72", "job_namespace_path": "acme",
		"user_id": "3", "user_login": "alice", "user_email": "alice@example.com", "user_access_level": "developer",
		"pipeline_id": "574", "pipeline_source": "push", "job_id": "1001", "ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main",
		"ref_protected": "true", "groups_direct": []string{"acme"},
		"environment": "production", "environment_protected": "true", "deployment_tier": "production", "environment_action": "start",
		"runner_id": 7, "runner_environment": "self-hosted", "sha": "714a629c", "project_visibility": "private",
		"ci_config_ref_uri": "gitlab.example.com/acme/app//.gitlab-ci.yml@refs/heads/main", "ci_config_sha": nil,
	}
	for k, v := range change {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

func sign(t testing.TB, method jwt.SigningMethod, kid any, key any, c jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, c)
	if kid != nil {
		token.Header["kid"] = kid
	}
	s, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// good is a token as GitLab makes it, with some claims changed.
func good(t testing.TB, change map[string]any) string {
	return sign(t, jwt.SigningMethodRS256, "one", keyring().rsa, said(change))
}

func evidence(t testing.TB, tokens ...string) policyapi.Evidence {
	return policyapi.Evidence{
		Job:      policyapi.EvidenceJob{ID: 1001, PipelineID: 574, ProjectID: 20, ProjectPath: "acme/app", UserID: 3},
		IDTokens: tokens, IDTokenKeys: &policyapi.IDTokenKeys{Issuer: issuer, JWKS: set(t, rsaKey("one", keyring().rsa), ecKey(t, "two", keyring().ec))},
	}
}

func TestVerifyReturnsEveryClaim(t *testing.T) {
	want := &decide.IDToken{
		Subject: "project_path:acme/app:ref_type:branch:ref:main", ProjectID: 20, ProjectPath: "acme/app", NamespacePath: "acme",
		JobProjectID: 20, JobProjectPath: "acme/app", JobNamespacePath: "acme", PipelineID: 574, PipelineSource: "push", JobID: 1001,
		UserID: 3, UserLogin: "alice", UserEmail: "alice@example.com", UserAccessLevel: "developer", GroupsDirect: []string{"acme"},
		Ref: "main", RefType: "branch", RefPath: "refs/heads/main", RefProtected: true,
		Environment: "production", EnvironmentProtected: true, EnvironmentAction: "start", DeploymentTier: "production",
		SHA: "714a629c", ProjectVisibility: "private", RunnerID: 7, RunnerEnvironment: "self-hosted",
		ConfigRefURI: "gitlab.example.com/acme/app//.gitlab-ci.yml@refs/heads/main",
	}
	for name, token := range map[string]string{
		"RS256": good(t, nil),
		"ES256": sign(t, jwt.SigningMethodES256, "two", keyring().ec, said(nil)),
	} {
		got, fault := Verify(evidence(t, token), now)
		if diff := cmp.Diff(want, got); diff != "" || fault != "" {
			t.Errorf("%s: fault %q, -want +got:\n%s", name, fault, diff)
		}
	}
}

func TestVerifyAccepts(t *testing.T) {
	for name, change := range map[string]map[string]any{
		"one audience of several":     {"aud": []string{"https://vault.example.com", "towline"}},
		"clock behind":                {"iat": now.Unix() + 59, "nbf": now.Unix() + 59},
		"just expired":                {"exp": now.Unix() - 59},
		"before job_project_id":       {"job_project_id": nil},
		"an id that is a number":      {"job_id": 1001},
		"a user that is not said":     {"user_id": nil},
		"a fork's merge request":      {"project_id": "99", "project_path": "eve/app", "ref": "patch-1"},
		"no environment":              {"environment": nil, "environment_protected": nil, "deployment_tier": nil},
		"claims that are new to us":   {"surprise": map[string]any{"a": []int{1}}},
		"identities of other systems": {"user_identities": []map[string]string{{"provider": "saml", "extern_uid": "u"}}},
	} {
		if got, fault := Verify(evidence(t, good(t, change)), now); got == nil {
			t.Errorf("%s: %s", name, fault)
		}
	}
	got, _ := Verify(evidence(t, good(t, map[string]any{"ref_protected": "yes", "environment_protected": nil})), now)
	if got.RefProtected || got.EnvironmentProtected {
		t.Errorf("protection that GitLab did not state: %+v", got)
	}
	got, _ = Verify(evidence(t, "eyJhbGciOiJub25lIn0.e30.", good(t, nil)), now)
	if got == nil {
		t.Error("a bad token hid a good one")
	}
}

func TestVerifyRefuses(t *testing.T) {
	k := keyring()
	public, err := x509.MarshalPKIXPublicKey(&k.rsa.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	plain := good(t, nil)
	parts := strings.Split(plain, ".")
	other, err := json.Marshal(said(map[string]any{"job_id": "1001", "environment": "other"}))
	if err != nil {
		t.Fatal(err)
	}
	const unsigned = "not signed with a key of this GitLab"
	for name, tt := range map[string]struct{ token, want string }{
		"alg none":                 {sign(t, jwt.SigningMethodNone, "one", jwt.UnsafeAllowNoneSignatureType, said(nil)), unsigned},
		"HS256 with the public":    {sign(t, jwt.SigningMethodHS256, "one", public, said(nil)), unsigned},
		"RS512":                    {sign(t, jwt.SigningMethodRS512, "one", k.rsa, said(nil)), unsigned},
		"PS256":                    {sign(t, jwt.SigningMethodPS256, "one", k.rsa, said(nil)), unsigned},
		"another key":              {sign(t, jwt.SigningMethodRS256, "one", k.next, said(nil)), unsigned},
		"an unknown key id":        {sign(t, jwt.SigningMethodRS256, "three", k.rsa, said(nil)), unsigned},
		"the other key's id":       {sign(t, jwt.SigningMethodRS256, "two", k.rsa, said(nil)), unsigned},
		"no key id":                {sign(t, jwt.SigningMethodRS256, nil, k.rsa, said(nil)), unsigned},
		"a key id of another type": {sign(t, jwt.SigningMethodRS256, []string{"one"}, k.rsa, said(nil)), unsigned},
		"other claims":             {parts[0] + "." + text(other) + "." + parts[2], unsigned},
		"no signature":             {parts[0] + "." + parts[1] + ".", unsigned},
		"half a token":             {parts[0] + "." + parts[1], "not a token"},
		"padding":                  {plain + "=", "not a token"},
		"a line end":               {plain + "\n", "not a token"},
		"rubbish":                  {"eyJ...", "not a token"},
		"another issuer":           {good(t, map[string]any{"iss": "https://gitlab.example.org"}), "not issued by " + issuer},
		"no issuer":                {good(t, map[string]any{"iss": nil}), "not a token"},
		"another audience":         {good(t, map[string]any{"aud": "vault"}), `audience is not "towline"`},
		"an audience like ours":    {good(t, map[string]any{"aud": "towline2"}), `audience is not "towline"`},
		"no audience":              {good(t, map[string]any{"aud": nil}), "not a token"},
		"expired":                  {good(t, map[string]any{"exp": now.Unix() - 61}), "has expired"},
		"for ever":                 {good(t, map[string]any{"exp": nil}), "not a token"},
		"not yet":                  {good(t, map[string]any{"nbf": now.Unix() + 61}), "not valid yet"},
		"issued in the future":     {good(t, map[string]any{"iat": now.Unix() + 61}), "not valid yet"},
		"another job":              {good(t, map[string]any{"job_id": "1002"}), "another job"},
		"no job":                   {good(t, map[string]any{"job_id": nil}), "another job"},
		"a job in words":           {good(t, map[string]any{"job_id": "1001x"}), "not a token"},
		"another project":          {good(t, map[string]any{"job_project_id": "21"}), "another project"},
		"another project, old":     {good(t, map[string]any{"job_project_id": nil, "project_id": "21"}), "another project"},
		"no project":               {good(t, map[string]any{"job_project_id": nil, "project_id": nil}), "another project"},
		"another pipeline":         {good(t, map[string]any{"pipeline_id": "575"}), "another pipeline"},
		"another user":             {good(t, map[string]any{"user_id": "4"}), "another user"},
		"claims of other types":    {good(t, map[string]any{"ref": 7}), "not a token"},
	} {
		got, fault := Verify(evidence(t, tt.token), now)
		if got != nil || !strings.Contains(fault, tt.want) {
			t.Errorf("%s: %+v, fault %q, want %q", name, got, fault, tt.want)
		}
		if strings.Contains(fault, parts[1][:20]) {
			t.Errorf("%s: the fault quotes the token", name)
		}
	}
}

func TestVerifyNeedsKeys(t *testing.T) {
	k := keyring()
	one := rsaKey("one", k.rsa)
	with := func(change func(*jwk)) jwk {
		c := one
		change(&c)
		return c
	}
	for name, tt := range map[string]struct {
		keys *policyapi.IDTokenKeys
		want string // "" is a good token
	}{
		"none":               {nil, "does not show the keys"},
		"no issuer":          {&policyapi.IDTokenKeys{JWKS: set(t, one)}, "issuer"},
		"empty":              {&policyapi.IDTokenKeys{Issuer: issuer, JWKS: set(t)}, "no key for RS256 or ES256"},
		"no JSON":            {&policyapi.IDTokenKeys{Issuer: issuer, JWKS: []byte("<html>")}, "is not one"},
		"private":            {keys(t, with(func(k *jwk) { k.D = "AQ" })), "is private"},
		"small":              {keys(t, rsaKey("one", k.small)), "has 1024 bits"},
		"too large":          {keys(t, with(func(k *jwk) { k.N = text(bytes.Repeat([]byte{255}, 1025)) })), "has 8200 bits"},
		"even exponent":      {keys(t, with(func(k *jwk) { k.E = "Ag" })), "not an RSA key"},
		"endless exponent":   {keys(t, with(func(k *jwk) { k.E = text(bytes.Repeat([]byte{1}, 5)) })), "not an RSA key"},
		"no modulus":         {keys(t, with(func(k *jwk) { k.N = "" })), "not an RSA key"},
		"not base64":         {keys(t, with(func(k *jwk) { k.N = "!" })), "not an RSA key"},
		"off the curve":      {keys(t, jwk{Kty: "EC", Kid: "two", Crv: "P-256", X: text(make([]byte, 32)), Y: text(make([]byte, 32))}), "not a P-256 key"},
		"short point":        {keys(t, jwk{Kty: "EC", Kid: "two", Crv: "P-256", X: "AQ", Y: "AQ"}), "not a P-256 key"},
		"twice":              {keys(t, one, rsaKey("one", k.next)), "the id of another"},
		"for encryption":     {keys(t, with(func(k *jwk) { k.Use = "enc" })), "no key for"},
		"another algorithm":  {keys(t, with(func(k *jwk) { k.Alg = "RS512" })), "no key for"},
		"another curve":      {keys(t, ecKey(t, "one", k.p384)), "no key for"},
		"symmetric":          {keys(t, jwk{Kty: "oct", Kid: "one"}), "no key for"},
		"without id":         {keys(t, with(func(k *jwk) { k.Kid = "" })), "no key for"},
		"too many":           {keys(t, make([]jwk, maxKeys+1)...), "over the limit of 32"},
		"rotated":            {keys(t, rsaKey("new", k.next), one), ""},
		"one we cannot use":  {keys(t, ecKey(t, "x", k.p384), jwk{Kty: "OKP", Kid: "y"}, one), ""},
		"without alg or use": {keys(t, with(func(k *jwk) { k.Alg, k.Use = "", "" })), ""},
		"after the rotation": {keys(t, rsaKey("new", k.next)), "not signed with a key"},
	} {
		e := evidence(t, good(t, nil))
		e.IDTokenKeys = tt.keys
		got, fault := Verify(e, now)
		if (got != nil) != (tt.want == "") || !strings.Contains(fault, tt.want) {
			t.Errorf("%s: %+v, fault %q, want %q", name, got, fault, tt.want)
		}
	}
	if got, fault := Verify(policyapi.Evidence{}, now); got != nil || fault != "" {
		t.Errorf("without a token: %+v, %q", got, fault)
	}
}

func keys(t testing.TB, list ...jwk) *policyapi.IDTokenKeys {
	t.Helper()
	return &policyapi.IDTokenKeys{Issuer: issuer, JWKS: set(t, list...)}
}

// FuzzVerify has no key to sign with but the one of the seeds: nothing else may
// ever come through, and no text of the token may come back.
func FuzzVerify(f *testing.F) {
	token := good(f, nil)
	jwks := set(f, rsaKey("one", keyring().rsa), ecKey(f, "two", keyring().ec))
	f.Add(token, []byte(jwks))
	f.Add(sign(f, jwt.SigningMethodES256, "two", keyring().ec, said(map[string]any{"job_id": "7"})), []byte(jwks))
	f.Add("eyJhbGciOiJub25lIn0.e30.", []byte(`{"keys":[{"kty":"oct","kid":"one"}]}`))
	f.Fuzz(func(t *testing.T, text string, keys []byte) {
		e := evidence(t, text)
		e.IDTokenKeys = &policyapi.IDTokenKeys{Issuer: issuer, JWKS: keys}
		got, fault := Verify(e, now)
		if (got == nil) == (fault == "") {
			t.Fatalf("%+v with fault %q", got, fault)
		}
		if got != nil && !bytes.Equal(keys, jwks) {
			return // other keys: whoever made them can sign
		}
		if got != nil && text != token {
			t.Fatalf("another token came through: %q", text)
		}
	})
}

// FuzzKeys checks that only usable keys come out of a key set.
func FuzzKeys(f *testing.F) {
	f.Add([]byte(set(f, rsaKey("one", keyring().rsa), ecKey(f, "two", keyring().ec))))
	f.Add([]byte(`{"keys":[{"kty":"RSA","kid":"a","n":"AQ","e":"AQAB"},{"kty":"EC","crv":"P-256","kid":"b","x":"","y":""}]}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := parseKeys(in)
		if (err == nil) != (len(got) > 0) || len(got) > maxKeys {
			t.Fatalf("%d keys, %v", len(got), err)
		}
		for kid := range maps.Keys(got) {
			if _, ok := got[kid].public.(interface{ Equal(crypto.PublicKey) bool }); !ok || kid == "" {
				t.Fatalf("%q: %T", kid, got[kid].public)
			}
		}
	})
}
