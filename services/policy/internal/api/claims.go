package api

import (
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/services/policy/internal/decide"
)

const (
	// GrantMargin is how long a grant outlives the job's timeout, for
	// after_script and uploads.
	GrantMargin = 10 * time.Minute
	// MaxTimeout caps the timeout a grant is made for; GitLab allows a month.
	MaxTimeout = 31 * 24 * time.Hour
)

// claims is the grant for a decision.
func claims(d policyapi.Decision, conf decide.Config, e decide.Evidence) grant.Claims {
	return grant.Claims{
		RegisteredClaims: jwt.RegisteredClaims{ExpiresAt: jwt.NewNumericDate(e.Now.Add(timeout(e.Job.TimeoutSeconds) + GrantMargin))},
		Job:              decide.Job(e), Facts: decide.Facts(e), Identity: d.Identity, Agent: d.Agent, Namespaces: d.Namespaces, DefaultNamespace: d.DefaultNamespace,
		PayloadDigest: e.Job.PayloadDigest, ConfigRevision: conf.Revision,
	}
}

func timeout(seconds int64) time.Duration {
	switch {
	case seconds <= 0:
		return jobspec.DefaultTimeout
	case seconds > int64(MaxTimeout/time.Second):
		return MaxTimeout
	default:
		return time.Duration(seconds) * time.Second
	}
}

// refuse turns an allowed decision that cannot be signed into a refusal.
func refuse(d *policyapi.Decision, err error) {
	*d = policyapi.Decision{
		Agent: d.Agent, Rule: d.Rule, Notices: d.Notices,
		Reasons: append(d.Reasons, "the grant cannot be signed: "+err.Error()),
		Remedy:  "shorten the identity (groups, extra) or tell whoever runs Towline",
	}
}
