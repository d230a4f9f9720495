package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/rules"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/policy/internal/callers"
	"github.com/towline/towline/services/policy/internal/configuration"
	"github.com/towline/towline/services/policy/internal/decide"
	"github.com/towline/towline/services/policy/internal/idtoken"
	"github.com/towline/towline/services/policy/internal/records"
)

// maxDeciding is how many requests are worked on at the same time; each may
// hold a body of policyapi.MaxBody.
const maxDeciding = 32

// jwksMaxAge is how long verifiers and proxies may keep the keys, in seconds.
const jwksMaxAge = "60"

// Authenticator says who presents a token; its errors are those of callers.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (user string, err error)
}

// Configurations finds the configuration to decide with; its errors are those
// of configuration.
type Configurations interface {
	Resolve(sent *policyapi.Configuration) (decide.Config, error)
}

// Rules are those of the cluster's owner. Its error is that of pkg/rules when
// there never were any that can be used.
type Rules interface {
	Current() (set *rules.Set, faulty, err error)
}

// Signer signs grants. JWKS is what verifiers need for that.
type Signer interface {
	Sign(c grant.Claims) (string, error)
	JWKS() []byte
}

// API answers requests. All its fields are required.
type API struct {
	Settings       decide.Settings
	Callers        Authenticator
	Configurations Configurations
	Rules          Rules
	Signer         Signer
	Records        *records.Ring
	Log            *slog.Logger
}

// Mount adds the routes.
func (a *API) Mount(r gin.IRouter, reg prometheus.Registerer) {
	h := &handler{API: a, metrics: newMetrics(reg), slots: make(chan struct{}, maxDeciding)}
	r.GET(policyapi.PathJWKS, h.jwks)
	r.POST(policyapi.PathDecide, h.limit, h.authenticate, h.decide)
	r.POST(policyapi.PathDecideSync, h.limit, h.authenticate, h.decideSync)
}

type handler struct {
	*API
	metrics metrics
	slots   chan struct{}
}

func (h *handler) jwks(c *gin.Context) {
	c.Header("Cache-Control", "max-age="+jwksMaxAge)
	c.Data(http.StatusOK, "application/jwk-set+json", h.Signer.JWKS())
}

// fail answers with a problem.
func (h *handler) fail(c *gin.Context, status int, code policyapi.Code, message string) {
	h.metrics.refused.WithLabelValues(string(code)).Inc()
	c.AbortWithStatusJSON(status, policyapi.Problem{Code: code, Message: message})
}

// unreadable answers to a request that could not be read.
func (h *handler) unreadable(c *gin.Context, err error) {
	if errors.Is(err, policyapi.ErrTooLarge) {
		h.fail(c, http.StatusRequestEntityTooLarge, policyapi.CodeTooLarge, err.Error())
		return
	}
	h.fail(c, http.StatusBadRequest, policyapi.CodeBadRequest, err.Error())
}

func (h *handler) limit(c *gin.Context) {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
		c.Next()
	default:
		c.Header("Retry-After", "1")
		h.fail(c, http.StatusServiceUnavailable, policyapi.CodeUnavailable, "too many requests at the same time")
	}
}

const callerKey = "caller"

func (h *handler) authenticate(c *gin.Context) {
	token, ok := strings.CutPrefix(c.GetHeader("Authorization"), "Bearer ")
	if !ok || token == "" {
		h.fail(c, http.StatusUnauthorized, policyapi.CodeUnauthenticated,
			`present a ServiceAccount token with the audience "`+policyapi.Audience+`" as Authorization: Bearer`)
		return
	}
	user, err := h.Callers.Authenticate(c.Request.Context(), token)
	switch {
	case err == nil:
		c.Set(callerKey, user)
		c.Next()
	case errors.Is(err, callers.ErrForbidden):
		h.Log.Warn("caller refused", callerKey, user)
		h.fail(c, http.StatusForbidden, policyapi.CodeForbidden, user+" is not among --callers")
	case errors.Is(err, callers.ErrUnavailable):
		h.Log.Warn("caller not checked", service.Err(err))
		h.fail(c, http.StatusServiceUnavailable, policyapi.CodeUnavailable, callers.ErrUnavailable.Error())
	default:
		h.fail(c, http.StatusUnauthorized, policyapi.CodeUnauthenticated, err.Error())
	}
}

func (h *handler) decide(c *gin.Context) {
	req, err := policyapi.ReadRequest(c.Request.Body)
	if err != nil {
		h.unreadable(c, err)
		return
	}
	conf, ok := h.configuration(c, req.Configuration)
	if !ok {
		return
	}
	owner, _, err := h.Rules.Current() // why newer ones are not in force is in policy's log
	if err != nil {
		h.fail(c, http.StatusServiceUnavailable, policyapi.CodeUnavailable, err.Error())
		return
	}
	e := decide.Evidence{Evidence: req.Evidence, Now: time.Now()}
	e.IDToken, e.IDTokenFault = idtoken.Verify(req.Evidence, e.Now)
	d := decide.Decide(h.Settings, conf, owner, e)
	if d.Allow {
		if d.Grant, err = h.Signer.Sign(claims(d, conf, e)); err != nil {
			h.Log.Error("grant not signed", service.JobID(req.Job.ID), service.Err(err))
			refuse(&d, err)
		}
	}
	h.audit(c.Request.Context(), c.GetString(callerKey), conf, req.Evidence, d)
	c.JSON(http.StatusOK, d)
}

// configuration finds what to decide with, or answers why it cannot.
func (h *handler) configuration(c *gin.Context, sent *policyapi.Configuration) (decide.Config, bool) {
	conf, err := h.Configurations.Resolve(sent)
	switch {
	case errors.Is(err, configuration.ErrContentNeeded):
		h.fail(c, http.StatusConflict, policyapi.CodeConfigurationNeeded, err.Error())
	case err != nil:
		h.fail(c, http.StatusServiceUnavailable, policyapi.CodeUnavailable, err.Error())
	}
	return conf, err == nil
}

// audit writes the one line of a decision and remembers it. The job's name stays
// out; of its author's words the ref and what decide quotes are in it, cut.
func (h *handler) audit(ctx context.Context, caller string, conf decide.Config, e policyapi.Evidence, d policyapi.Decision) {
	answer := "deny"
	if d.Allow {
		answer = "allow"
	}
	h.metrics.decisions.WithLabelValues(answer).Inc()
	r := records.Of(caller, conf.Revision, e, d)
	h.Records.Add(r)
	h.Log.LogAttrs(ctx, slog.LevelInfo, "decision", r.Attrs()...)
}
