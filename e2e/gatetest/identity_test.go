package gatetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/pkg/grant"
)

// whoami is what the API server thinks of a client.
func whoami(t *testing.T, c kubernetes.Interface) (authenticationv1.UserInfo, error) {
	t.Helper()
	r, err := c.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return authenticationv1.UserInfo{}, err
	}
	slices.Sort(r.Status.UserInfo.Groups)
	return r.Status.UserInfo, nil
}

func wanted(i grant.Identity, more ...string) authenticationv1.UserInfo {
	u := authenticationv1.UserInfo{Username: i.User, UID: i.UID, Groups: append(slices.Clone(i.Groups), more...)}
	slices.Sort(u.Groups)
	for k, v := range i.Extra {
		if u.Extra == nil {
			u.Extra = map[string]authenticationv1.ExtraValue{}
		}
		u.Extra[k] = v
	}
	return u
}

func TestWhoAJobIs(t *testing.T) {
	b := open(t)
	agent := grant.ServiceAccountUser(b.home, "towline-agent")
	for name, c := range map[string]struct {
		identity grant.Identity
		more     []string // groups that Kubernetes adds
	}{
		"ci_job": {ciJob(), []string{"system:authenticated"}},
		"agent": {
			grant.Identity{Mode: grant.ModeAgent, User: agent},
			[]string{"system:authenticated", "system:serviceaccounts", "system:serviceaccounts:" + b.home},
		},
		"impersonate": {
			grant.Identity{
				Mode: grant.ModeImpersonate, User: "deploy bot ü", UID: "06f6ce97-e2c5-4ab8-7ba5-7654dd08d52b", Groups: []string{"team,a", "b"},
				Extra: map[string][]string{"agent.gitlab.com/id": {"1", "two, and more"}},
			},
			[]string{"system:authenticated"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := whoami(t, b.client(b.job(func(g *grant.Claims) { g.Identity = c.identity })))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wanted(c.identity, c.more...), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRBACDecidesByTheJobsGroups(t *testing.T) {
	b := open(t)
	mine, others := b.cluster.Namespace(t), b.cluster.Namespace(t)
	b.allow(mine, "Group", "gitlab:project_env:42:production")
	b.allow(others, "Group", "gitlab:project_env:42:staging")
	c := b.client(b.job(nil))
	b.settled(c, mine)
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "x"}}
	if _, err := c.CoreV1().ConfigMaps(mine).Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Errorf("in its own namespace: %v", err)
	}
	_, err := c.CoreV1().ConfigMaps(others).Create(t.Context(), object, metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `User "gitlab:ci_job:7" cannot create resource "configmaps"`) {
		t.Errorf("in another's: %v", err)
	}
	if _, err := c.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("nodes: %v", err)
	}
	can, err := c.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: mine, Verb: "delete", Resource: "configmaps"}},
	}, metav1.CreateOptions{})
	if err != nil || !can.Status.Allowed {
		t.Errorf("it may not ask what it can do: %+v, %v", can, err)
	}
}

func TestModeAgentHasTheRightsOfItsServiceAccount(t *testing.T) {
	b := open(t)
	ns := b.cluster.Namespace(t)
	_ = b.account("towline-agent")
	b.allow(ns, "ServiceAccount", "towline-agent")
	as := func(name string) kubernetes.Interface {
		return b.client(b.job(func(g *grant.Claims) {
			g.Identity = grant.Identity{Mode: grant.ModeAgent, User: grant.ServiceAccountUser(b.home, name)}
		}))
	}
	b.settled(as("towline-agent"), ns)
	_, err := whoami(t, as("towline-runner")) // signed by policy, and still not allowed
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "cannot impersonate") {
		t.Errorf("another ServiceAccount: %v", err)
	}
}

// TestTheRunnerItselfCanDoNothing: without a grant its credential is worthless.
func TestTheRunnerItselfCanDoNothing(t *testing.T) {
	b := open(t)
	c, err := kubernetes.NewForConfig(b.own)
	b.must(err)
	ctx, all := t.Context(), metav1.ListOptions{}
	for name, call := range map[string]func() error{
		"pods":       func() error { _, err := c.CoreV1().Pods("").List(ctx, all); return err },
		"own pods":   func() error { _, err := c.CoreV1().Pods(b.home).List(ctx, all); return err },
		"secrets":    func() error { _, err := c.CoreV1().Secrets(b.home).List(ctx, all); return err },
		"namespaces": func() error { _, err := c.CoreV1().Namespaces().List(ctx, all); return err },
		"nodes":      func() error { _, err := c.CoreV1().Nodes().List(ctx, all); return err },
		"roles":      func() error { _, err := c.RbacV1().ClusterRoles().List(ctx, all); return err },
		"creating": func() error {
			_, err := c.CoreV1().ConfigMaps(b.home).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "x"}}, metav1.CreateOptions{})
			return err
		},
		"deleting": func() error { return c.CoreV1().Namespaces().Delete(ctx, b.home, metav1.DeleteOptions{}) },
		"tokens": func() error {
			_, err := c.CoreV1().ServiceAccounts(b.home).CreateToken(ctx, "towline-runner", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
			return err
		},
		"another ServiceAccount": func() error {
			cfg := rest.CopyConfig(b.own)
			cfg.Impersonate.UserName = grant.ServiceAccountUser("kube-system", "generic-garbage-collector")
			other, err := kubernetes.NewForConfig(cfg)
			b.must(err)
			_, err = whoami(t, other)
			return err
		},
	} {
		if err := call(); !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	nobody, err := kubernetes.NewForConfig(b.account("nobody"))
	b.must(err)
	anybodys := rights(t, nobody, b.home)
	for _, r := range rights(t, c, b.home) {
		if !slices.Contains(anybodys, r) && !strings.HasPrefix(r, "[impersonate] ") {
			t.Errorf("unlike any ServiceAccount it may %s", r)
		}
	}
}

// rights is what a client may do in a namespace and in the cluster.
func rights(t *testing.T, c kubernetes.Interface, namespace string) []string {
	t.Helper()
	r, err := c.AuthorizationV1().SelfSubjectRulesReviews().Create(t.Context(), &authorizationv1.SelfSubjectRulesReview{
		Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace},
	}, metav1.CreateOptions{})
	if err != nil || r.Status.Incomplete {
		t.Fatalf("rules review: %+v, %v", r, err)
	}
	var out []string
	for _, rule := range r.Status.ResourceRules {
		out = append(out, fmt.Sprint(rule.Verbs, " ", rule.APIGroups, rule.Resources, rule.ResourceNames))
	}
	for _, rule := range r.Status.NonResourceRules {
		out = append(out, fmt.Sprint(rule.Verbs, " ", rule.NonResourceURLs))
	}
	return out
}

// TestHowExtrasAreWrittenInRBAC shows which spelling of a rule the API server
// takes for an extra field of an identity.
func TestHowExtrasAreWrittenInRBAC(t *testing.T) {
	b := open(t)
	const key, value = "agent.gitlab.com/ci_job_id", "7"
	for i, c := range []struct {
		resource string
		names    []string
		ok       bool
	}{
		{"userextras/" + key, nil, true},
		{"userextras/" + key, []string{value}, true},
		{"userextras/" + key, []string{"8"}, false},
		{"*", nil, true}, // everything of the API group
		{"*/" + key, nil, true},
		{"userextras/*", nil, false},
		{"userextras", nil, false},
		{"userextras/ci_job_id", nil, false},
		{"userextras/agent.gitlab.com", nil, false},
		{"userextras/agent.gitlab.com/*", nil, false},
		{"userextras/agent.gitlab.com%2fci_job_id", nil, false},
		{"userextras/" + key + "/x", nil, false},
	} {
		t.Run(fmt.Sprintf("%s %v", c.resource, c.names), func(t *testing.T) {
			account := fmt.Sprintf("extra-%d", i)
			cfg := b.account(account)
			b.clusterRole(account,
				rbacv1.PolicyRule{Verbs: []string{"impersonate"}, APIGroups: []string{""}, Resources: []string{"users"}},
				rbacv1.PolicyRule{Verbs: []string{"impersonate"}, APIGroups: []string{"authentication.k8s.io"}, Resources: []string{c.resource}, ResourceNames: c.names})
			as := func(extra map[string][]string) error {
				with := rest.CopyConfig(cfg)
				with.Impersonate = rest.ImpersonationConfig{UserName: "gitlab:ci_job:7", Extra: extra}
				client, err := kubernetes.NewForConfig(with)
				b.must(err)
				_, err = whoami(t, client)
				return err
			}
			b.eventually("the role counts", func() bool { return as(nil) == nil })
			err := as(map[string][]string{key: {value}})
			if c.ok != (err == nil) || err != nil && !apierrors.IsForbidden(err) {
				t.Errorf("error = %v", err)
			}
		})
	}
}

// TestEachRuleOfTheRunnerIsNeeded takes one away at a time.
func TestEachRuleOfTheRunnerIsNeeded(t *testing.T) {
	b := open(t)
	full := ciJob()
	full.UID = "u-1"
	keys := slices.Sorted(maps.Keys(extras))
	for i, missing := range append([]string{"groups", "uids"}, keys[0], keys[len(keys)-1]) {
		t.Run(missing, func(t *testing.T) {
			rules := impersonateRules()
			for r := range rules {
				rules[r].Resources = slices.DeleteFunc(slices.Clone(rules[r].Resources), func(s string) bool {
					return s == missing || s == "userextras/"+missing
				})
			}
			account := fmt.Sprintf("part-%d", i)
			cfg := b.account(account)
			b.clusterRole(account, rules...)
			as := func(u rest.ImpersonationConfig) error {
				with := rest.CopyConfig(cfg)
				with.Impersonate = u
				client, err := kubernetes.NewForConfig(with)
				b.must(err)
				_, err = whoami(t, client)
				return err
			}
			b.eventually("the role counts", func() bool { return as(rest.ImpersonationConfig{UserName: full.User}) == nil })
			err := as(rest.ImpersonationConfig{UserName: full.User, UID: full.UID, Groups: full.Groups, Extra: full.Extra})
			if !apierrors.IsForbidden(err) {
				t.Errorf("error = %v", err)
			}
		})
	}
}
