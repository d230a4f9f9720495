package idtoken

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/services/policy/internal/decide"
)

// Skew is how far GitLab's clock and ours may be apart.
const Skew = time.Minute

// Verify returns what the job's ID token says, or nil. A nil token comes with a
// fault, for the job's log, when there was one that does not count. Of several
// good tokens the first counts: they differ in nothing but their audiences.
func Verify(e policyapi.Evidence, now time.Time) (token *decide.IDToken, fault string) {
	if len(e.IDTokens) == 0 {
		return nil, ""
	}
	if e.IDTokenKeys == nil {
		return nil, "GitLab does not show the keys to verify it with, at /oauth/discovery/keys"
	}
	keys, err := parseKeys(e.IDTokenKeys.JWKS)
	if err != nil {
		return nil, err.Error()
	}
	v := verifier{keys: keys, issuer: e.IDTokenKeys.Issuer, now: now}
	for _, text := range e.IDTokens {
		c, err := v.verify(text, e.Job)
		if err == nil {
			return c.token(), ""
		}
		if fault == "" {
			fault = err.Error()
		}
	}
	return nil, fault
}

type verifier struct {
	keys   map[string]key
	issuer string
	now    time.Time
}

var (
	errNotSigned = errors.New("it is not signed with a key of this GitLab")
	errNotToken  = errors.New("it is not a token as GitLab makes them")
)

// verify checks one token: signature, issuer, audience, time, job.
func (v *verifier) verify(text string, job policyapi.EvidenceJob) (*claims, error) {
	if v.issuer == "" {
		return nil, errors.New("GitLab does not say who the issuer of its tokens is")
	}
	if strings.ContainsAny(text, "\r\n") { // base64 would overlook them
		return nil, errNotToken
	}
	c := &claims{}
	_, err := jwt.NewParser(
		jwt.WithValidMethods([]string{rs256, es256}), jwt.WithIssuer(v.issuer), jwt.WithAudience(policyapi.IDTokenAudience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(Skew), jwt.WithTimeFunc(func() time.Time { return v.now }),
		jwt.WithStrictDecoding(),
	).ParseWithClaims(text, c, v.key)
	if err != nil {
		return nil, v.explain(err)
	}
	return c, c.of(job)
}

// key returns the key that the token names, if it is for the token's algorithm.
func (v *verifier) key(t *jwt.Token) (any, error) {
	id, _ := t.Header["kid"].(string)
	k, ok := v.keys[id]
	if !ok || k.algorithm != t.Method.Alg() {
		return nil, errNotSigned
	}
	return k.public, nil
}

// explain keeps what a person can act on; the library's own texts may quote the
// token.
func (v *verifier) explain(err error) error {
	switch {
	case errors.Is(err, jwt.ErrTokenUnverifiable), errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return errNotSigned
	case errors.Is(err, jwt.ErrTokenMalformed):
		return errNotToken
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return fmt.Errorf("it was not issued by %s", v.issuer)
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return fmt.Errorf("its audience is not %q", policyapi.IDTokenAudience)
	case errors.Is(err, jwt.ErrTokenExpired):
		return errors.New("it has expired")
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return errors.New("it is not valid yet; compare the clocks of GitLab and the cluster")
	}
	return errNotToken
}

// of checks that the token is about this job. Before GitLab had job_project_id
// the project of a token was always the job's own, or that of a fork, which
// then does not count.
func (c *claims) of(job policyapi.EvidenceJob) error {
	project := c.JobProjectID
	if project == 0 {
		project = c.ProjectID
	}
	switch {
	case c.JobID == 0 || int64(c.JobID) != job.ID:
		return errors.New("it belongs to another job")
	case int64(project) != job.ProjectID:
		return errors.New("it belongs to another project")
	case job.PipelineID != 0 && int64(c.PipelineID) != job.PipelineID:
		return errors.New("it belongs to another pipeline")
	case job.UserID != 0 && c.UserID != 0 && int64(c.UserID) != job.UserID:
		return errors.New("it belongs to another user")
	}
	return nil
}
