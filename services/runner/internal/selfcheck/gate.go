package selfcheck

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
	authentication "k8s.io/api/authentication/v1"
	kerrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/pkg/gate"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/service"
)

// grantFor bounds the life of the grant that the check makes for itself.
const grantFor = time.Minute

// JobIdentity is one that a job of nobody would have.
func JobIdentity() grant.Identity {
	return grant.Identity{
		Mode: grant.ModeCIJob, User: "gitlab:ci_job:0", Groups: []string{"gitlab:ci_job", "gitlab:project:0"},
		Extra: map[string][]string{"agent.gitlab.com/ci_job_id": {"0"}, "agent.gitlab.com/project_id": {"0"}},
	}
}

// Gate opens a gate as the runner does, with a key of its own, and asks the
// Kubernetes API through it who is asking: that has to be the identity.
func Gate(api *rest.Config, as grant.Identity) Check {
	return Check{"gate", func(ctx context.Context) (string, error) {
		if err := as.Validate(); err != nil {
			return "", err
		}
		token, verifier, err := throwAway(as)
		if err != nil {
			return "", err
		}
		g, err := gate.New(gate.Config{API: api, Verifier: verifier, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			return "", err
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		client, err := through(ctx, g, token)
		if err != nil {
			return "", err
		}
		session, err := g.Open(ctx, token)
		if err != nil {
			return "", err
		}
		defer session.Close()
		r, err := client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authentication.SelfSubjectReview{}, meta.CreateOptions{})
		switch {
		case kerrors.IsForbidden(err):
			return "", fmt.Errorf("the runner may not act as %s: its rights are missing or too narrow (rbac.create, access): %w", as.User, err)
		case err != nil:
			return "", fmt.Errorf("the Kubernetes API does not answer through the gate (%w): check the NetworkPolicies and the API server", err)
		}
		got := r.Status.UserInfo
		if got.Username != as.User || slices.ContainsFunc(as.Groups, func(g string) bool { return !slices.Contains(got.Groups, g) }) {
			return "", fmt.Errorf("the Kubernetes API takes %s for %s of %v", as.User, got.Username, got.Groups)
		}
		return "the Kubernetes API sees " + got.Username, nil
	}}
}

// throwAway makes a grant, and who verifies it and no other.
func throwAway(as grant.Identity) (string, *grant.Verifier, error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return "", nil, err
	}
	signer, err := grant.NewSigner(key)
	if err != nil {
		return "", nil, err
	}
	token, err := signer.Sign(grant.Claims{
		RegisteredClaims: jwt.RegisteredClaims{ExpiresAt: jwt.NewNumericDate(time.Now().Add(grantFor))},
		Job:              grant.Job{ID: 1, PipelineID: 1, ProjectID: 1, ProjectPath: "towline/selfcheck"},
		Identity:         as, Agent: grant.Agent{Project: "towline/selfcheck", Name: "selfcheck"}, PayloadDigest: grant.Digest(nil),
	})
	return token, grant.NewVerifier(grant.NewStaticKeys(signer.Public())), err
}

// through serves the gate on loopback until ctx ends and returns a client there.
func through(ctx context.Context, g *gate.Gate, token string) (*kubernetes.Clientset, error) {
	cert, ca, err := gate.SelfSigned()
	if err != nil {
		return nil, err
	}
	l, err := service.Listen(ctx, "gate", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	quiet := slog.New(slog.DiscardHandler)
	secure := tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13})
	go func() { _ = service.Serve(ctx, secure, g, quiet) }()
	client, err := kubernetes.NewForConfig(&rest.Config{
		Host: "https://" + l.Addr().String(), BearerToken: token, TLSClientConfig: rest.TLSClientConfig{CAData: ca}, QPS: -1,
	})
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return client, nil
}
