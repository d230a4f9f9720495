package gatetest

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/towline/towline/e2e/cluster"
	"github.com/towline/towline/pkg/eventually"
	"github.com/towline/towline/pkg/gate"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/service"
)

func TestMain(m *testing.M) { os.Exit(cluster.Main(m)) }

// patience bounds what the cluster needs to notice a change.
const patience = 20 * time.Second

// extras are those that policy writes, each with a value.
var extras = map[string][]string{
	"agent.gitlab.com/id": {"5"}, "agent.gitlab.com/config_project_id": {"4"}, "agent.gitlab.com/project_id": {"42"},
	"agent.gitlab.com/ci_pipeline_id": {"3"}, "agent.gitlab.com/ci_job_id": {"7"}, "agent.gitlab.com/username": {"Ada L."},
	"agent.gitlab.com/environment_slug": {"production"}, "agent.gitlab.com/environment_tier": {"production"},
}

// impersonateRules are what the runner needs and no more: extras are
// sub-resources, each written out, for RBAC knows no "userextras/*".
func impersonateRules() []rbacv1.PolicyRule {
	resources := []string{"uids"}
	for _, key := range slices.Sorted(maps.Keys(extras)) {
		resources = append(resources, "userextras/"+key)
	}
	return []rbacv1.PolicyRule{
		{Verbs: []string{"impersonate"}, APIGroups: []string{""}, Resources: []string{"users", "groups"}},
		{Verbs: []string{"impersonate"}, APIGroups: []string{""}, Resources: []string{"serviceaccounts"}, ResourceNames: []string{"towline-agent"}},
		{Verbs: []string{"impersonate"}, APIGroups: []string{"authentication.k8s.io"}, Resources: resources},
	}
}

// bench is a gate of one test in front of the shared cluster.
type bench struct {
	t       *testing.T
	cluster *cluster.Cluster
	admin   kubernetes.Interface
	own     *rest.Config // the runner's own credential
	home    string       // the namespace of the runner's ServiceAccount
	signer  *grant.Signer
	gate    *gate.Gate
	url     string
	ca      []byte
}

func open(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, cluster: cluster.Shared(t)}
	cfg, err := b.cluster.RESTConfig()
	b.must(err)
	b.admin, err = kubernetes.NewForConfig(cfg)
	b.must(err)
	b.home = b.cluster.Namespace(t)
	b.own = b.account("towline-runner")
	b.clusterRole("towline-runner", impersonateRules()...)
	_, key, err := ed25519.GenerateKey(nil)
	b.must(err)
	b.signer, err = grant.NewSigner(key)
	b.must(err)
	b.gate, err = gate.New(gate.Config{API: b.own, Verifier: grant.NewVerifier(grant.NewStaticKeys(b.signer.Public())), Log: slog.New(slog.DiscardHandler)})
	b.must(err)
	b.serve()
	b.eventually("the runner may impersonate", func() bool {
		s := b.job(nil)
		_, err := b.client(s).Discovery().ServerVersion()
		return err == nil
	})
	return b
}

// serve does what the runner does.
func (b *bench) serve() {
	b.t.Helper()
	cert, ca, err := gate.SelfSigned()
	b.must(err)
	l, err := (&net.ListenConfig{}).Listen(b.t.Context(), "tcp", "127.0.0.1:0")
	b.must(err)
	b.url, b.ca = "https://"+l.Addr().String(), ca
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- service.Serve(ctx, tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", "http/1.1"}}), b.gate, slog.New(slog.DiscardHandler))
	}()
	b.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	})
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) eventually(what string, ok func() bool) {
	b.t.Helper()
	eventually.Is(b.t, what, ok)
}

// account makes a ServiceAccount and returns a client configuration with its
// token.
func (b *bench) account(name string) *rest.Config {
	b.t.Helper()
	token, err := b.cluster.ServiceAccountToken(b.t.Context(), b.home, name)
	b.must(err)
	file, err := b.cluster.KubeconfigFor(token)
	b.must(err)
	cfg, err := clientcmd.RESTConfigFromKubeConfig(file)
	b.must(err)
	cfg.QPS = -1
	return cfg
}

// clusterRole gives a ServiceAccount rights in the whole cluster.
func (b *bench) clusterRole(account string, rules ...rbacv1.PolicyRule) {
	b.t.Helper()
	name := b.home + ":" + account
	rbac := b.admin.RbacV1()
	_, err := rbac.ClusterRoles().Create(b.t.Context(), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}, metav1.CreateOptions{})
	b.must(err)
	_, err = rbac.ClusterRoleBindings().Create(b.t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: b.home, Name: account}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
	}, metav1.CreateOptions{})
	b.must(err)
	b.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = rbac.ClusterRoleBindings().Delete(ctx, name, metav1.DeleteOptions{})
		_ = rbac.ClusterRoles().Delete(ctx, name, metav1.DeleteOptions{})
	})
}

// allow gives a user or group the ClusterRole edit in a namespace.
func (b *bench) allow(namespace, kind, name string) {
	b.t.Helper()
	subject := rbacv1.Subject{Kind: kind, Name: name, APIGroup: rbacv1.GroupName}
	if kind == "ServiceAccount" {
		subject = rbacv1.Subject{Kind: kind, Name: name, Namespace: b.home}
	}
	_, err := b.admin.RbacV1().RoleBindings(namespace).Create(b.t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "edit-"}, Subjects: []rbacv1.Subject{subject},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"},
	}, metav1.CreateOptions{})
	b.must(err)
}

// mayImpersonate lets a ServiceAccount act as a user and a group.
func (b *bench) mayImpersonate(account, user, group string) {
	b.t.Helper()
	b.clusterRole(account,
		rbacv1.PolicyRule{Verbs: []string{"impersonate"}, APIGroups: []string{""}, Resources: []string{"users"}, ResourceNames: []string{user}},
		rbacv1.PolicyRule{Verbs: []string{"impersonate"}, APIGroups: []string{""}, Resources: []string{"groups"}, ResourceNames: []string{group}})
}

// ciJob is the identity of job 7 as policy gives it.
func ciJob() grant.Identity {
	return grant.Identity{
		Mode: grant.ModeCIJob, User: "gitlab:ci_job:7",
		Groups: []string{"gitlab:ci_job", "gitlab:group:1", "gitlab:project:42", "gitlab:project_env:42:production", "gitlab:project_env_tier:42:production"},
		Extra:  extras,
	}
}

// session is an open session and the bearer of its grant.
type session struct {
	*gate.Session
	token string
}

// job opens a session for a new grant; change alters its claims.
func (b *bench) job(change func(*grant.Claims)) *session {
	b.t.Helper()
	c := grant.Claims{
		RegisteredClaims: jwt.RegisteredClaims{ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))},
		Job:              grant.Job{ID: 7, ProjectPath: "group/app"}, Identity: ciJob(),
		Agent: grant.Agent{ID: 5, Project: "group/conf", Name: "prod"}, PayloadDigest: grant.Digest(nil),
	}
	if change != nil {
		change(&c)
	}
	token, err := b.signer.Sign(c)
	b.must(err)
	s, err := b.gate.Open(b.t.Context(), token)
	b.must(err)
	b.t.Cleanup(s.Close)
	return &session{s, token}
}

// config is what a job's kubeconfig says.
func (b *bench) config(s *session) *rest.Config {
	return &rest.Config{Host: b.url, BearerToken: s.token, TLSClientConfig: rest.TLSClientConfig{CAData: b.ca}, QPS: -1}
}

func (b *bench) client(s *session) *kubernetes.Clientset {
	b.t.Helper()
	c, err := kubernetes.NewForConfig(b.config(s))
	b.must(err)
	return c
}

// settled waits until RBAC knows that a job may read ConfigMaps in a namespace.
func (b *bench) settled(c kubernetes.Interface, namespace string) {
	b.t.Helper()
	b.eventually(fmt.Sprintf("reading in %s is allowed", namespace), func() bool {
		_, err := c.CoreV1().ConfigMaps(namespace).List(b.t.Context(), metav1.ListOptions{Limit: 1})
		return !apierrors.IsForbidden(err)
	})
}
