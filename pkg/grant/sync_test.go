package grant

import (
	"crypto/ed25519"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func TestGrantsOfSyncs(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	good := func() Claims {
		return Claims{
			RegisteredClaims: jwt.RegisteredClaims{ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))},
			Sync:             &Sync{Entry: "shop", Project: "acme/shop", Commit: "c1"}, Agent: Agent{Project: "acme/agents", Name: "prod"},
			Identity: Identity{Mode: ModeGitOps, User: "gitlab:gitops:shop"}, PayloadDigest: Digest(nil),
		}
	}
	c := good()
	if _, err := signer.Sign(c); err != nil || c.Project() != "acme/shop" {
		t.Errorf("%v, %s", err, c.Project())
	}
	for want, change := range map[string]func(*Claims){
		"for a job and for a sync":               func(c *Claims) { c.Job.ID = 1 },
		"entry, project or commit":               func(c *Claims) { c.Sync.Commit = "" },
		"subject is not the sync":                func(c *Claims) { c.Subject = "sync:other" },
		`user "deployer" is not a sync`:          func(c *Claims) { c.Identity.User = "deployer" },
		"is one of Kubernetes' own":              func(c *Claims) { c.Identity.User = "system:admin" },
		`group "system:masters" is one of Kuber`: func(c *Claims) { c.Identity.Groups = []string{"system:masters"} },
	} {
		c := good()
		change(&c)
		if _, err := signer.Sign(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
