//go:build integration

package apply_test

import (
	"crypto/ed25519"
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/pkg/gate"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/services/runner/internal/apply"
)

// behindGate is the same site seen through a gate, with a grant for namespaces.
func (s *site) behindGate(namespaces ...string) *site {
	s.tb.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	s.must(err)
	signer, err := grant.NewSigner(key)
	s.must(err)
	g, err := gate.New(gate.Config{API: s.config, Verifier: grant.NewVerifier(grant.NewStaticKeys(signer.Public())), Log: slog.New(slog.DiscardHandler)})
	s.must(err)
	cert, ca, err := gate.SelfSigned()
	s.must(err)
	server := httptest.NewUnstartedServer(http.Handler(g))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", "http/1.1"}}
	server.EnableHTTP2 = true
	server.StartTLS()
	s.tb.Cleanup(server.Close)
	user := "deployer-" + s.namespace
	_, err = s.client.RbacV1().ClusterRoleBindings().Create(s.tb.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "apply-test-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}},
	}, metav1.CreateOptions{})
	s.must(err)
	s.allowed(user, "create", "configmaps")
	token, err := signer.Sign(grant.Claims{
		RegisteredClaims: jwt.RegisteredClaims{ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))},
		Job:              grant.Job{ID: 7, ProjectPath: "group/app"}, Identity: grant.Identity{Mode: grant.ModeImpersonate, User: user},
		Agent: grant.Agent{ID: 5, Project: "group/conf", Name: "prod"}, PayloadDigest: grant.Digest(nil), Namespaces: namespaces,
	})
	s.must(err)
	session, err := g.Open(s.tb.Context(), token)
	s.must(err)
	s.tb.Cleanup(session.Close)
	other := *s
	other.engine, err = apply.New(&rest.Config{Host: "https://" + server.Listener.Addr().String(), BearerToken: token, TLSClientConfig: rest.TLSClientConfig{CAData: ca}})
	s.must(err)
	return &other
}

// TestThroughTheGate: the engine works with a grant as any client, also with one
// for a few namespaces only, which allows no list across them.
func TestThroughTheGate(t *testing.T) {
	s := open(t)
	second := s.namespace + "-second"
	s.sync(map[string]string{"ns.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: NS-second}\n"})
	for name, namespaces := range map[string][]string{"wide": nil, "narrow": {s.namespace, second}} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{
				"a.yaml": configMap("a", "one"), "web.yaml": deployment("web", ""),
				"b.yaml": strings.Replace(configMap("b", "one"), "{name: b}", "{name: b, namespace: "+second+"}", 1),
			}
			g := s.as("gate-"+name, apply.MustMatch).behindGate(namespaces...)
			g.tb = t
			g.options.Health = apply.Health{Timeout: 20 * time.Second}
			g.expect(g.sync(files), "3 created")
			g.expect(g.sync(files), "3 unchanged")
			delete(files, "b.yaml")
			g.expect(g.sync(files), "2 unchanged, 1 pruned")
			if name == "narrow" {
				files["c.yaml"] = strings.Replace(configMap("c", "one"), "{name: c}", "{name: c, namespace: kube-system}", 1)
				rep := g.apply(g.read(files))
				g.expect(rep, "2 unchanged, 1 failed")
				if r := rep.Results[1]; r.Reason != apply.ReasonForbidden || !strings.Contains(r.Message, "kube-system") {
					t.Errorf("%s", r.Line())
				}
			}
			g.sync(nil)
		})
	}
}
