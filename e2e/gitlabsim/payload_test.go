package gitlabsim

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"go.yaml.in/yaml/v3"
)

const fullYAML = `
stages: [deploy]
variables:
  GLOBAL: g
  SHARED: from-global
default:
  before_script: [echo before]
  id_tokens:
    ID_ONE: {aud: https://one.example.com}
deploy:prod:
  stage: deploy
  script: [echo hi]
  after_script: [echo after]
  tags: [towline]
  image: {name: "kubectl:1.34", entrypoint: [""], pull_policy: if-not-present}
  services: ["postgres:16", {name: redis, alias: cache, command: [redis-server], variables: {A: b}}]
  id_tokens:
    ID_ONE: {aud: https://one.example.com}
    ID_MANY: {aud: [a, b]}
  variables:
    SHARED: from-job
    REF: "x-$SHARED-$NOPE-$SECRET_FILE-$RAW"
    RAW: {value: "$SHARED", expand: false}
    GITLAB_USER_LOGIN: forged
  environment: {name: review/$CI_COMMIT_REF_NAME, url: "https://$CI_ENVIRONMENT_SLUG.example.com", deployment_tier: staging}
  cache: {key: k, paths: [vendor]}
  timeout: 1h 30m
  hooks: {pre_get_sources_script: [echo pre]}
`

func TestPayload(t *testing.T) {
	f := newFixture(t, Options{})
	f.must(f.SetVariable("project:"+f.project, Variable{Key: "SECRET_FILE", Value: "content", File: true}))
	f.must(f.SetVariable("group:acme", Variable{Key: "LEVEL", Value: "outer", Masked: true}))
	f.must(f.SetVariable("group:acme/apps", Variable{Key: "LEVEL", Value: "inner"}))
	f.must(f.SetVariable("instance", Variable{Key: "LEVEL", Value: "instance", Raw: true}))
	_, err := f.Push(f.project, "main", map[string]string{".gitlab-ci.yml": fullYAML})
	f.must(err)
	_, err = f.RunPipeline(PipelineOptions{Project: f.project, Variables: []Variable{{Key: "GITLAB_USER_LOGIN", Value: "pipeline"}}})
	f.must(err)
	j := f.take()
	p := j.payload
	want := strings.Fields(`allow_git_fetch artifacts cache credentials dependencies features git_info hooks id image inputs job_info
 policy_options run runner_info secrets services steps suspend_options token variables`)
	if got := slices.Sorted(maps.Keys(p)); !slices.Equal(got, want) {
		t.Errorf("keys = %v", got)
	}
	if p["artifacts"] != nil || p["run"] != nil {
		t.Errorf("artifacts %v, run %v", p["artifacts"], p["run"])
	}
	steps := p["steps"].([]any)
	if len(steps) != 2 || len(steps[0].(map[string]any)["script"].([]any)) != 2 || steps[1].(map[string]any)["when"] != "always" {
		t.Errorf("steps = %v", steps)
	}
	if p["runner_info"].(map[string]any)["timeout"].(float64) != 5400 {
		t.Errorf("runner_info = %v", p["runner_info"])
	}
	if c := p["cache"].([]any)[0].(map[string]any); c["key"] != "k-protected" {
		t.Errorf("cache = %v", c)
	}
	for key, want := range map[string]string{
		"REF": "x-from-job-$NOPE-$SECRET_FILE-$RAW", "RAW": "$SHARED", "GLOBAL": "g", "LEVEL": "inner",
		"GITLAB_USER_LOGIN": "pipeline", "CI_ENVIRONMENT_NAME": "review/main", "CI_RUNNER_TAGS": `["towline"]`,
		"CI_ENVIRONMENT_TIER": "staging", "CI_COMMIT_REF_PROTECTED": "true", "CI_JOB_TOKEN": j.token,
	} {
		if v, _ := j.variable(key); v["value"] != want {
			t.Errorf("%s = %v, want %s", key, v["value"], want)
		}
	}
	if slug, _ := j.variable("CI_ENVIRONMENT_SLUG"); !strings.HasPrefix(slug["value"].(string), "review-main-") {
		t.Errorf("slug = %v", slug)
	} else if u, n := j.variable("CI_ENVIRONMENT_URL"); u["value"] != "https://"+slug["value"].(string)+".example.com" || n != 2 {
		t.Errorf("url = %v, %d times", u, n)
	}
	if _, n := j.variable("GITLAB_USER_LOGIN"); n != 3 {
		t.Errorf("GITLAB_USER_LOGIN occurs %d times", n)
	}
	raw, _ := j.variable("RAW")
	_, hasFile := raw["file"]
	if raw["raw"] != true || hasFile || raw["masked"] != false {
		t.Errorf("RAW = %v", raw)
	}
	if _, n := j.variable("KUBECONFIG"); n != 0 {
		t.Error("KUBECONFIG without an agent")
	}
	f.clean()
}

func TestCircularVariablesAreSchedulerFailures(t *testing.T) {
	f := newFixture(t, Options{})
	pl := f.pipeline("a:\n  script: [x]\n  variables: {A: $B, B: $A}\n")
	f.wantStatus(f.poll(), 204)
	if j, _ := f.Job(pl.Jobs[0].ID); j.FailureReason != "scheduler_failure" {
		t.Errorf("reason = %s", j.FailureReason)
	}
}

// verify checks a token against the served JWKS.
func (f *fixture) verify(token, audience string) (jwt.MapClaims, error) {
	f.t.Helper()
	discovery := f.send("GET", "/.well-known/openid-configuration", nil, nil).json(f.t)
	keys := map[string]*rsa.PublicKey{}
	for _, path := range []string{strings.TrimPrefix(discovery["jwks_uri"].(string), f.URL()), "/-/jwks"} {
		var set struct {
			Keys []struct{ Kid, N, E, Kty, Alg string }
		}
		f.must(json.Unmarshal(f.send("GET", path, nil, nil).body, &set))
		for _, k := range set.Keys {
			n, err := base64.RawURLEncoding.DecodeString(k.N)
			f.must(err)
			e, err := base64.RawURLEncoding.DecodeString(k.E)
			f.must(err)
			keys[k.Kid] = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
		}
	}
	claims := jwt.MapClaims{}
	_, err := jwt.ParseWithClaims(token, claims, func(tok *jwt.Token) (any, error) {
		return keys[tok.Header["kid"].(string)], nil
	}, jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer(discovery["issuer"].(string)), jwt.WithAudience(audience))
	return claims, err
}

func TestIDTokensVerifyAgainstJWKS(t *testing.T) {
	f := newFixture(t, Options{})
	f.pipeline(fullYAML)
	j := f.take()
	one, _ := j.variable("ID_ONE")
	claims, err := f.verify(one["value"].(string), "https://one.example.com")
	f.must(err)
	for key, want := range map[string]any{
		"sub": "project_path:acme/apps/hello:ref_type:branch:ref:main", "project_id": "20", "ref_protected": "true",
		"environment": "review/main", "deployment_tier": "staging", "user_login": "root", "job_project_path": "acme/apps/hello",
		"aud": "https://one.example.com", "runner_id": float64(f.runner.ID), "pipeline_source": "push",
	} {
		if claims[key] != want {
			t.Errorf("%s = %v, want %v", key, claims[key], want)
		}
	}
	if life := claims["exp"].(float64) - claims["iat"].(float64); life != 5400 {
		t.Errorf("lifetime = %v", life)
	}
	many, _ := j.variable("ID_MANY")
	if claims, err = f.verify(many["value"].(string), "b"); err != nil || len(claims["aud"].([]any)) != 2 {
		t.Errorf("aud = %v, %v", claims["aud"], err)
	}
	if _, err = f.verify(many["value"].(string), "c"); err == nil {
		t.Error("another audience is accepted")
	}
	if many["masked"] != true || many["public"] != false {
		t.Errorf("flags = %v", many)
	}
	f.clean()
}

func TestJWTJobTokens(t *testing.T) {
	f := newFixture(t, Options{JWTJobTokens: true})
	f.pipeline(simpleYAML)
	j := f.take()
	if !strings.HasPrefix(j.token, "glcbt-eyJ") {
		t.Errorf("token = %s", j.token)
	}
	j.log("x")
	f.wantStatus(j.finish("success", nil), 200)
	f.clean()
}

func TestKubeconfig(t *testing.T) {
	f := newFixture(t, Options{KASTunnelURL: "https://kas.example.com/k8s-proxy"})
	_, err := f.Push(f.project, "main", map[string]string{
		".gitlab-ci.yml":                  simpleYAML,
		".gitlab/agents/prod/config.yaml": "ci_access:\n  projects:\n  - id: ACME/apps/hello\n    default_namespace: web\n",
	})
	f.must(err)
	a, err := f.CreateAgent(f.project, "prod")
	f.must(err)
	_, err = f.RunPipeline(PipelineOptions{Project: f.project})
	f.must(err)
	j := f.take()
	v, _ := j.variable("KUBECONFIG")
	if v["file"] != true || v["public"] != false || !strings.HasPrefix(v["value"].(string), "---\n") {
		t.Fatalf("KUBECONFIG = %v", v)
	}
	var kc map[string]any
	f.must(yaml.Unmarshal([]byte(v["value"].(string)), &kc))
	context := kc["contexts"].([]any)[0].(map[string]any)
	user := kc["users"].([]any)[0].(map[string]any)
	cluster := kc["clusters"].([]any)[0].(map[string]any)
	if context["name"] != "acme/apps/hello:prod" || context["context"].(map[string]any)["namespace"] != "web" || context["context"].(map[string]any)["user"] != user["name"] {
		t.Errorf("context = %v", context)
	}
	if user["user"].(map[string]any)["token"] != "ci:"+itoa(a.ID)+":"+j.token || cluster["cluster"].(map[string]any)["server"] != "https://kas.example.com/k8s-proxy" {
		t.Errorf("user %v, cluster %v", user, cluster)
	}
	if _, ok := kc["current-context"]; ok {
		t.Error("current-context is set")
	}
}
