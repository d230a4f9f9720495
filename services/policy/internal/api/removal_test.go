package api

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/syncspec"
)

// What an entry was allowed is proved by a grant of this policy, whose time may
// be over.
func TestWhatAnEntryWasAllowedIsProved(t *testing.T) {
	f := start(t, nil)
	entry := agentconfig.Manifests{
		Name: "app/shop", Project: "group/shop", DefaultNamespace: "app", AccessAs: agentconfig.AccessAs{Mode: agentconfig.AsGitOps},
		Chart: &agentconfig.Chart{Release: "shop", OnRemoval: "uninstall"},
	}
	task, err := json.Marshal(syncspec.Task{Schema: syncspec.Schema, Entry: entry, Commit: "c"})
	if err != nil {
		t.Fatal(err)
	}
	granted := func(over time.Duration) string {
		t.Helper()
		at := func(before time.Duration) *jwt.NumericDate { return jwt.NewNumericDate(time.Now().Add(-over - before)) }
		token, err := f.keys.Sign(grant.Claims{
			RegisteredClaims: jwt.RegisteredClaims{IssuedAt: at(time.Hour), NotBefore: at(time.Hour), ExpiresAt: at(0)},
			Sync:             &grant.Sync{Entry: entry.Name, Project: entry.Project, Commit: "c"},
			Identity:         grant.Identity{Mode: grant.ModeGitOps, User: "gitlab:gitops:app/shop"},
			Agent:            grant.Agent{ID: 5, Project: "group/agents", Name: "prod"}, PayloadDigest: grant.Digest(task), ConfigRevision: "r",
		})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	none := &policyapi.Configuration{
		Source: "group/agents@abc:config.yaml", Towline: []byte("gitops: {charts: []}"),
		Revision: agentconfig.Files{Towline: []byte("gitops: {charts: []}")}.Revision(),
	}
	ask := func(token string) *policyapi.Decision {
		t.Helper()
		d, err := f.client("tkn").DecideSync(t.Context(), policyapi.SyncEvidence{
			Entry: entry.Name, Commit: "c", PayloadDigest: grant.Digest([]byte("removal")), Removed: &policyapi.Removed{Task: task, Grant: token},
		}, none)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := ask(granted(24 * time.Hour))
	if !d.Allow || d.Identity.User != "gitlab:gitops:app/shop" {
		t.Fatalf("%+v", d)
	}
	own, err := grant.ParseJWKS(f.keys.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	claims, err := grant.NewVerifier(own).Verify(t.Context(), d.Grant, grant.AudienceGate)
	if err != nil || claims.Sync.Entry != entry.Name || claims.PayloadDigest != grant.Digest([]byte("removal")) {
		t.Errorf("%+v, %v", claims, err)
	}
	for _, token := range []string{granted(maxRemovedAge + time.Hour), granted(0) + "x", "x"} {
		if d := ask(token); d.Allow || d.Grant != "" || !strings.Contains(strings.Join(d.Reasons, "\n"), "cannot be verified any more") {
			t.Errorf("%+v", d)
		}
	}
}
