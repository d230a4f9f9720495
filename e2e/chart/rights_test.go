package chart

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	kerrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/e2e/cluster"
	"github.com/towline/towline/pkg/eventually"
)

// installed is a release's accounts and rights in a real API server, with
// namespaces of its own for those that the values name.
type installed struct {
	*server
	shop, staging string
}

// install makes accounts and rights; in the values, shop and shop-staging stand
// for namespaces that exist.
func install(t *testing.T, documents string) *installed {
	t.Helper()
	c := cluster.Shared(t)
	in := &installed{server: newServer(t), shop: c.Namespace(t), staging: c.Namespace(t)}
	documents = strings.NewReplacer("shop-staging", in.staging, "shop", in.shop).Replace(documents)
	for _, o := range in.render(t, documents).objects {
		if !slices.Contains([]string{"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}, o.GetKind()) {
			continue
		}
		if err := in.create(t.Context(), o, false); err != nil {
			t.Fatalf("%s: %v", id(o), err)
		}
		if clusterWide(o) {
			t.Cleanup(func() { in.remove(t, o) })
		}
	}
	return in
}

func (in *installed) remove(t *testing.T, o *unstructured.Unstructured) {
	ctx, rbac := context.Background(), in.kube.RbacV1()
	remove := rbac.ClusterRoles().Delete
	if o.GetKind() == "ClusterRoleBinding" {
		remove = rbac.ClusterRoleBindings().Delete
	}
	if err := remove(ctx, o.GetName(), metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
}

// as is a client with an account's own token, which may act as somebody else.
func (in *installed) as(t *testing.T, account string, act rest.ImpersonationConfig) kubernetes.Interface {
	t.Helper()
	token, err := in.kube.CoreV1().ServiceAccounts(in.namespace).CreateToken(t.Context(), account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := rest.AnonymousClientConfig(in.api)
	cfg.BearerToken, cfg.Impersonate, cfg.QPS = token.Status.Token, act, -1
	k, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// question is one that a SelfSubjectAccessReview asks: verb group/resource
// [namespace/]name.
func (in *installed) may(t *testing.T, k kubernetes.Interface, question string) bool {
	t.Helper()
	f := strings.Fields(question)
	group, resource, _ := strings.Cut(f[1], "/")
	a := &authorizationv1.ResourceAttributes{Verb: f[0], Group: group}
	a.Resource, a.Subresource, _ = strings.Cut(resource, "/")
	if len(f) > 2 {
		a.Namespace, a.Name, _ = strings.Cut(f[2], "/")
	}
	if group == "core" {
		a.Group = ""
	}
	r, err := k.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: a},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r.Status.Allowed
}

// questions are asked of each account; /NAME stands for any name.
func (in *installed) questions() []string {
	var all []string
	for _, ns := range []string{in.namespace, in.shop, in.staging, "default", "kube-system"} {
		for _, verb := range []string{"get", "list", "create", "update", "delete"} {
			for _, resource := range []string{"core/secrets", "core/configmaps", "core/pods", "core/pods/exec", "apps/deployments", "batch/jobs", "core/serviceaccounts/token", "rbac.authorization.k8s.io/roles", "rbac.authorization.k8s.io/rolebindings"} {
				all = append(all, verb+" "+resource+" "+ns+"/")
			}
		}
		for _, account := range []string{"default", "towline-agent", "towline-runner", "deployer"} {
			all = append(all, "impersonate core/serviceaccounts "+ns+"/"+account)
		}
	}
	for _, verb := range []string{"get", "list", "create", "update", "delete", "bind", "escalate"} {
		for _, resource := range []string{"core/nodes", "core/namespaces", "rbac.authorization.k8s.io/clusterroles", "rbac.authorization.k8s.io/clusterrolebindings", "admissionregistration.k8s.io/validatingwebhookconfigurations"} {
			all = append(all, verb+" "+resource)
		}
	}
	for _, who := range []string{"users /alice", "users /deployer", "users /gitlab:ci_job:1", "groups /system:masters", "groups /deployers", "groups /gitlab:project:42"} {
		all = append(all, "impersonate core/"+who)
	}
	for _, extra := range []string{"agent.gitlab.com/ci_job_id", "example.com/reason", "scopes"} {
		all = append(all, "impersonate authentication.k8s.io/userextras/"+extra)
	}
	return append(all, "impersonate authentication.k8s.io/uids", "create authentication.k8s.io/tokenreviews", "create authorization.k8s.io/subjectaccessreviews", "create core/nodes/proxy", "* core/*")
}

// TestEachAccountMayDoExactlyWhatItNeeds asks a real API server, for every
// account, every question: yes to what is listed here and to nothing else.
func TestEachAccountMayDoExactlyWhatItNeeds(t *testing.T) {
	jobs := []string{
		"impersonate authentication.k8s.io/uids", "impersonate authentication.k8s.io/userextras/agent.gitlab.com/ci_job_id",
		"impersonate core/groups /deployers", "impersonate core/groups /gitlab:project:42", "impersonate core/groups /system:masters",
		"impersonate core/users /alice", "impersonate core/users /deployer", "impersonate core/users /gitlab:ci_job:1",
	}
	reviews := []string{"create authentication.k8s.io/tokenreviews", "create authorization.k8s.io/subjectaccessreviews"}
	tests := map[string]func(in *installed) map[string][]string{
		"minimal": func(*installed) map[string][]string {
			return map[string][]string{"towline-runner": jobs, "towline-policy": reviews, "towline-tunnel": nil}
		},
		"narrowed-and-with-an-agent-account": func(in *installed) map[string][]string {
			return map[string][]string{
				"towline-runner": append([]string{"impersonate core/serviceaccounts " + in.namespace + "/towline-agent"}, jobs...),
				"towline-policy": reviews, "towline-tunnel": nil, "towline-agent": nil,
			}
		},
		"exact-names": func(*installed) map[string][]string {
			return map[string][]string{
				"towline-runner": {
					"impersonate authentication.k8s.io/userextras/agent.gitlab.com/ci_job_id", "impersonate core/groups /deployers", "impersonate core/users /deployer",
				},
				"towline-policy": reviews, "towline-tunnel": nil,
			}
		},
		"named-identities-only": func(in *installed) map[string][]string {
			return map[string][]string{
				"towline-runner": {
					"impersonate authentication.k8s.io/userextras/example.com/reason", "impersonate core/groups /deployers",
					"impersonate core/serviceaccounts " + in.shop + "/deployer", "impersonate core/users /deployer",
				},
				"towline-policy": reviews, "towline-tunnel": nil,
			}
		},
		"namespaces-mode": func(in *installed) map[string][]string {
			return map[string][]string{
				"towline-runner": {"impersonate core/serviceaccounts " + in.namespace + "/towline-agent"},
				"towline-policy": reviews, "towline-tunnel": nil,
			}
		},
		"rights-made-by-somebody-else": func(*installed) map[string][]string {
			return map[string][]string{"towline-runner": nil, "towline-policy": nil, "towline-tunnel": nil}
		},
	}
	for name, table := range tests {
		t.Run(name, func(t *testing.T) {
			in := install(t, combinations[name])
			for account, want := range table(in) {
				k := in.as(t, account, rest.ImpersonationConfig{})
				for _, q := range want {
					eventually.Is(t, account+" may "+q, func() bool { return in.may(t, k, q) })
				}
				var got []string
				for _, q := range in.questions() {
					if in.may(t, k, q) {
						got = append(got, q)
					}
				}
				slices.Sort(got)
				want = slices.Clone(want)
				slices.Sort(want)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-may +can):\n%s", account, diff)
				}
			}
		})
	}
}

// In namespaces mode the agent's account may edit where it is bound, and there
// is nothing of the release's own in the cluster but policy's binding.
func TestNamespacesModeMakesNoClusterRole(t *testing.T) {
	r := render(t, combinations["namespaces-mode"])
	for _, o := range r.objects {
		if o.GetKind() == "ClusterRole" || o.GetKind() == "ClusterRoleBinding" && o.GetName() != "towline:towline:policy" {
			t.Errorf("%s is made", id(o))
		}
	}
	in := install(t, combinations["namespaces-mode"])
	agent := rest.ImpersonationConfig{UserName: "system:serviceaccount:" + in.namespace + ":towline-agent"}
	k := in.as(t, "towline-runner", agent)
	for ns, ok := range map[string]bool{in.shop: true, in.staging: true, in.namespace: false, "default": false} {
		if err := tryUntil(t, k, ns, ok); (err == nil) != ok {
			t.Errorf("in %s: %v, want success: %t", ns, err, ok)
		}
	}
	if err := try(t, in.as(t, "towline-runner", rest.ImpersonationConfig{UserName: "gitlab:ci_job:1"}), in.shop); !kerrors.IsForbidden(err) {
		t.Errorf("as a job: %v", err)
	}
}

// try makes a ConfigMap and leaves no trace.
func try(t *testing.T, k kubernetes.Interface, namespace string) error {
	t.Helper()
	_, err := k.CoreV1().ConfigMaps(namespace).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "try-"}}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil && !kerrors.IsForbidden(err) {
		t.Fatal(err)
	}
	return err
}

// tryUntil is try, again and again for one who should succeed: the API server
// learns of new rights a moment after they were made.
func tryUntil(t *testing.T, k kubernetes.Interface, namespace string, ok bool) error {
	t.Helper()
	if ok {
		eventually.Is(t, "a right in "+namespace, func() bool { return try(t, k, namespace) == nil })
		return nil
	}
	return try(t, k, namespace)
}

// access.bindings give exactly whom they name, where they name it: tried as the
// runner would, with a job's identity.
func TestBindingsGiveWhatTheySay(t *testing.T) {
	in := install(t, minimal+`
---
access:
  bindings:
    - {project: 42, tier: production, clusterRole: edit, namespaces: [shop]}
    - {group: 7, clusterRole: edit, namespaces: [shop-staging]}
    - {project: 43, environment: review-x, clusterRole: edit, namespaces: [shop-staging]}
    - {group: 8, tier: staging, clusterRole: edit, namespaces: [shop-staging]}
    - {groupName: oncall, clusterRole: edit, namespaces: [shop]}
    - {user: alice, clusterRole: edit, namespaces: [shop]}
`)
	tests := []struct {
		user, group   string
		shop, staging bool
	}{
		{"gitlab:ci_job:1", "gitlab:project_env_tier:42:production", true, false},
		{"gitlab:ci_job:1", "gitlab:project_env_tier:42:staging", false, false},
		{"gitlab:ci_job:1", "gitlab:project:42", false, false},
		{"gitlab:ci_job:1", "gitlab:group:7", false, true},
		{"gitlab:ci_job:1", "gitlab:project_env:43:review-x", false, true},
		{"gitlab:ci_job:1", "gitlab:group_env_tier:8:staging", false, true},
		{"gitlab:ci_job:1", "gitlab:group_env_tier:8:production", false, false},
		{"gitlab:ci_job:1", "gitlab:ci_job", false, false},
		{"bob", "oncall", true, false},
		{"alice", "nobody", true, false},
		{"gitlab:ci_job:1", "alice", false, false},
	}
	for _, tt := range tests {
		k := in.as(t, "towline-runner", rest.ImpersonationConfig{UserName: tt.user, Groups: []string{tt.group}})
		for ns, ok := range map[string]bool{in.shop: tt.shop, in.staging: tt.staging, in.namespace: false} {
			if err := tryUntil(t, k, ns, ok); (err == nil) != ok {
				t.Errorf("%s of %s in %s: %v, want success: %t", tt.user, tt.group, ns, err, ok)
			}
		}
	}
	if err := try(t, in.as(t, "towline-runner", rest.ImpersonationConfig{}), in.shop); !kerrors.IsForbidden(err) {
		t.Errorf("the runner by itself: %v", err)
	}
}

// With exact names the runner cannot become whom RBAC was not told of, tried
// with what policy would give a job.
func TestExactNamesStopTheRunnerItself(t *testing.T) {
	in := install(t, combinations["exact-names"])
	job := rest.ImpersonationConfig{
		UserName: "gitlab:ci_job:any", Groups: []string{"gitlab:ci_job", "gitlab:project_env_tier:42:production"},
		Extra: map[string][]string{"agent.gitlab.com/ci_job_id": {"1"}},
	}
	if err := tryUntil(t, in.as(t, "towline-runner", job), in.shop, true); err != nil {
		t.Errorf("a job: %v", err)
	}
	for _, other := range []rest.ImpersonationConfig{
		{UserName: "gitlab:ci_job:any", Groups: []string{"system:masters"}},
		{UserName: "gitlab:ci_job:any", Groups: []string{"gitlab:project:43"}},
		{UserName: "system:kube-controller-manager"},
		{UserName: "alice"},
		{UserName: "gitlab:ci_job:any", UID: "1"},
	} {
		if err := try(t, in.as(t, "towline-runner", other), in.shop); !kerrors.IsForbidden(err) {
			t.Errorf("%+v: %v, want a refusal", other, err)
		}
	}
	args := deployment(t, render(t, combinations["exact-names"]), "policy").Spec.Template.Spec.Containers[0].Args
	if want := "--job-groups=gitlab:ci_job,deployers,gitlab:project_env_tier:42:production"; !slices.Contains(args, want) {
		t.Errorf("policy gets %v, want %s", args, want)
	}
}

// Nobody gets cluster-admin, however the values ask for it.
func TestNobodyGetsClusterAdmin(t *testing.T) {
	eachCombination(t, func(t *testing.T, r rendered) {
		for _, o := range r.objects {
			if name, _, _ := unstructured.NestedString(o.Object, "roleRef", "name"); name == "cluster-admin" {
				t.Errorf("%s gives cluster-admin", id(o))
			}
			rules, _, _ := unstructured.NestedSlice(o.Object, "rules")
			if strings.Contains(fmt.Sprint(rules), "*") {
				t.Errorf("%s has a rule with *: %v", id(o), rules)
			}
		}
	})
}
