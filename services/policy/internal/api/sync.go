package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/golang-jwt/jwt/v5"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/policy/internal/decide"
)

// SyncMargin is how long a sync's grant outlives what its entry allows it to
// wait for: it may be queued behind others.
const SyncMargin = time.Hour

// maxRemovedAge is how long the time of a grant may have been over that tells
// what a removed entry was allowed.
const maxRemovedAge = 30 * 24 * time.Hour

// decideSync is POST /v1/decide-sync.
func (h *handler) decideSync(c *gin.Context) {
	req, err := policyapi.ReadSyncRequest(c.Request.Body)
	if err != nil {
		h.unreadable(c, err)
		return
	}
	conf, ok := h.configuration(c, req.Configuration)
	if !ok {
		return
	}
	d, entry := h.answerSync(c.Request.Context(), conf, req.SyncEvidence)
	if d.Allow {
		if d.Grant, err = h.Signer.Sign(syncClaims(d, conf, req.SyncEvidence, entry)); err != nil {
			h.Log.Error("grant not signed", service.KeyEntry, req.Entry, service.Err(err))
			refuse(&d, err)
		}
	}
	h.auditSync(c, conf, req.SyncEvidence, d)
	c.JSON(http.StatusOK, d)
}

// answerSync decides about an entry, or about what one has left.
func (h *handler) answerSync(ctx context.Context, conf decide.Config, e policyapi.SyncEvidence) (policyapi.Decision, agentconfig.Manifests) {
	if e.Removed == nil {
		return decide.Sync(h.Settings, conf, e)
	}
	var last *grant.Claims
	own, err := grant.ParseJWKS(h.Signer.JWKS())
	if err == nil {
		last, err = grant.NewVerifier(own).VerifyPast(ctx, e.Removed.Grant, grant.AudienceGate, maxRemovedAge)
	}
	return decide.Removal(h.Settings, conf, e, last, err)
}

func syncClaims(d policyapi.Decision, conf decide.Config, e policyapi.SyncEvidence, m agentconfig.Manifests) grant.Claims {
	return grant.Claims{
		RegisteredClaims: jwt.RegisteredClaims{ExpiresAt: jwt.NewNumericDate(time.Now().Add(m.ReconcileTimeout + m.PruneTimeout + SyncMargin))},
		Sync:             &grant.Sync{Entry: m.Name, Project: m.Project, Commit: e.Commit},
		Identity:         d.Identity, Agent: d.Agent, Namespaces: d.Namespaces, DefaultNamespace: d.DefaultNamespace,
		PayloadDigest: e.PayloadDigest, ConfigRevision: conf.Revision,
	}
}

// auditSync writes the one line of a decision about a sync.
func (h *handler) auditSync(c *gin.Context, conf decide.Config, e policyapi.SyncEvidence, d policyapi.Decision) {
	answer := "deny"
	if d.Allow {
		answer = "allow"
	}
	h.metrics.decisions.WithLabelValues(answer).Inc()
	h.Log.LogAttrs(c.Request.Context(), slog.LevelInfo, "decision about a sync",
		slog.String(service.KeyEntry, e.Entry), slog.String("commit", e.Commit), slog.Bool("allow", d.Allow), slog.String("rule", d.Rule),
		slog.String("identity_mode", d.Identity.Mode), slog.String("identity_user", d.Identity.User), slog.Any("reasons", d.Reasons),
		slog.String("config_revision", conf.Revision), slog.String(callerKey, c.GetString(callerKey)))
}
