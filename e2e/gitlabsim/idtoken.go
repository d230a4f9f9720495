package gitlabsim

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// signer holds the instance's key of ID tokens and JWT job tokens; it is made
// when first needed, and again after a rotation.
type signer struct {
	mu   sync.Mutex
	made *rsa.PrivateKey
}

func (k *signer) key() (*rsa.PrivateKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.made == nil {
		var err error
		if k.made, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			return nil, fmt.Errorf("generate signing key: %w", err)
		}
	}
	return k.made, nil
}

// RotateIDTokenKey has tokens signed with a new key from now on. The one before
// is forgotten, as when GitLab's setting ci_jwt_signing_key is replaced.
func (s *Server) RotateIDTokenKey() error {
	s.keys.mu.Lock()
	s.keys.made = nil
	s.keys.mu.Unlock()
	_, err := s.keys.key()
	return err
}

// keyID names a key by its modulus.
func keyID(key *rsa.PrivateKey) string { return shaHex(key.N.Bytes())[:43] }

func (k *signer) sign(claims jwt.MapClaims) (string, error) {
	key, err := k.key()
	if err != nil {
		return "", err
	}
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	t.Header["kid"] = keyID(key)
	return t.SignedString(key)
}

// newJobToken makes glcbt-<partition>_<random>, or a JWT behind the same
// prefix (section 4); the mutex is held.
func (s *Server) newJobToken(j *job) string {
	if !s.opts.JWTJobTokens {
		return "glcbt-64_" + randomText(20)
	}
	now := s.now()
	life := max(time.Hour, time.Duration(s.jobTimeout(j))*time.Second) + 5*time.Minute
	t, err := s.keys.sign(jwt.MapClaims{
		"iss": s.url, "sub": fmt.Sprintf("gid://gitlab/Ci::Build/%d", j.id), "jti": randomHex(16), "version": "0.1.0",
		"iat": now.Unix(), "nbf": now.Unix() - 5, "exp": now.Add(life).Unix(), "u": strconv.FormatInt(j.user.ID, 36),
	})
	if err != nil {
		return "glcbt-64_" + randomText(20)
	}
	return "glcbt-" + t
}

// idTokens is group 3 of the variable list; the claims are those of section 14.
func (s *Server) idTokens(j *job) ([]item, error) {
	var out []item
	for _, t := range j.spec.IDTokens {
		var aud any = t.Aud
		if !t.List {
			aud = t.Aud[0]
		}
		claims := s.idClaims(j)
		claims["aud"] = aud
		signed, err := s.keys.sign(claims)
		if err != nil {
			return nil, fmt.Errorf("sign ID token %s: %w", t.Name, err)
		}
		out = append(out, item{key: t.Name, value: signed, masked: true})
	}
	return out, nil
}

func (s *Server) idClaims(j *job) jwt.MapClaims {
	pl, p, now := j.pipeline, j.pipeline.project, s.now()
	refType, refPath := "branch", "refs/heads/"+pl.ref
	if pl.tag {
		refType, refPath = "tag", "refs/tags/"+pl.ref
	}
	namespace, _, _ := cutLast(p.path, "/")
	life := 300
	if t := s.jobTimeout(j); t > 0 {
		life = t
	}
	c := jwt.MapClaims{
		"iss": s.url, "sub": fmt.Sprintf("project_path:%s:ref_type:%s:ref:%s", p.path, refType, pl.ref),
		"iat": now.Unix(), "nbf": now.Unix() - 5, "exp": now.Unix() + int64(life), "jti": stableUUID(randomHex(8), j.id),
		"namespace_id": itoa(p.group.id), "namespace_path": namespace, "project_id": itoa(p.id), "project_path": p.path,
		"job_project_id": itoa(p.id), "job_project_path": p.path, "job_namespace_id": itoa(p.group.id), "job_namespace_path": namespace,
		"user_id": itoa(j.user.ID), "user_login": j.user.Username, "user_email": j.user.Email,
		"user_access_level": roleName(s.accessLevel(j.user, p)),
		"pipeline_id":       itoa(pl.id), "pipeline_source": pl.source, "job_id": itoa(j.id), "ref": pl.ref, "ref_type": refType, "ref_path": refPath,
		"ref_protected": strconv.FormatBool(s.protectedRef(pl)), "runner_environment": "self-hosted", "sha": pl.sha,
		"project_visibility": p.visibility, "ci_config_sha": pl.sha,
		"ci_config_ref_uri": fmt.Sprintf("%s/%s//.gitlab-ci.yml@%s", hostOf(s.url), p.path, refPath),
	}
	if j.runner != nil {
		c["runner_id"] = j.runner.id
	}
	if j.env != nil {
		c["environment"], c["environment_protected"] = j.env.Name, strconv.FormatBool(slices.Contains(p.protectedEnvs, j.env.Name))
		c["deployment_tier"], c["environment_action"] = j.env.Tier, j.spec.Environment.Action
	}
	return c
}

// serveKeys is the JWKS, at both paths third parties use (14).
func (s *Server) serveKeys(w http.ResponseWriter, _ *http.Request) {
	key, err := s.keys.key()
	if err != nil {
		refuse(w, http.StatusInternalServerError, "")
		return
	}
	encode := base64.RawURLEncoding.EncodeToString
	writeJSON(w, http.StatusOK, obj{"keys": []obj{{
		"kty": "RSA", "kid": keyID(key), "use": "sig", "alg": "RS256",
		"n": encode(key.N.Bytes()), "e": encode(big.NewInt(int64(key.E)).Bytes()),
	}}})
}

// serveDiscovery is the OpenID configuration of the issuer (14).
func (s *Server) serveDiscovery(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, obj{
		"issuer": s.url, "jwks_uri": s.url + "/oauth/discovery/keys",
		"authorization_endpoint": s.url + "/oauth/authorize", "token_endpoint": s.url + "/oauth/token",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
	})
}
