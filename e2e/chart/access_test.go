package chart

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"github.com/towline/towline/e2e/cluster"
	"github.com/towline/towline/e2e/rig"
)

// rights are what each service's ServiceAccount may do, one line per verb and
// resource, and the names of foreign roles it is bound to.
type rights map[string][]string

func (r rights) add(subjects []rbacv1.Subject, rules []string) {
	for _, s := range subjects {
		all := append(r[s.Name], rules...)
		slices.Sort(all)
		r[s.Name] = slices.Compact(all)
	}
}

func lines(rules []rbacv1.PolicyRule) []string {
	var out []string
	for _, r := range rules {
		for _, group := range r.APIGroups {
			for _, resource := range r.Resources {
				for _, verb := range r.Verbs {
					out = append(out, strings.Join(append([]string{verb, group + "/" + resource}, r.ResourceNames...), " "))
				}
			}
		}
		for _, url := range r.NonResourceURLs {
			out = append(out, "url "+url)
		}
	}
	return out
}

// granted are the rights that the chart gives.
func granted(t *testing.T, r rendered) rights {
	t.Helper()
	roles := map[string][]string{}
	for _, o := range r.objects {
		switch o.GetKind() {
		case "ClusterRole":
			roles["ClusterRole/"+o.GetName()] = lines(as[rbacv1.ClusterRole](t, o).Rules)
		case "Role":
			roles["Role/"+o.GetName()] = lines(as[rbacv1.Role](t, o).Rules)
		}
	}
	out := rights{}
	bind := func(subjects []rbacv1.Subject, ref rbacv1.RoleRef) {
		rules, ok := roles[ref.Kind+"/"+ref.Name]
		if !ok {
			rules = []string{"role " + ref.Name}
		}
		for _, s := range subjects {
			if s.Kind != rbacv1.ServiceAccountKind || s.Namespace != "towline" || !r.has("ServiceAccount/"+s.Name) {
				t.Errorf("%s is given to %s %s/%s", ref.Name, s.Kind, s.Namespace, s.Name)
			}
		}
		out.add(subjects, rules)
	}
	for _, o := range r.objects {
		switch o.GetKind() {
		case "ClusterRoleBinding":
			b := as[rbacv1.ClusterRoleBinding](t, o)
			bind(b.Subjects, b.RoleRef)
		case "RoleBinding":
			b := as[rbacv1.RoleBinding](t, o)
			bind(b.Subjects, b.RoleRef)
		}
	}
	return out
}

// What the scenarios prove they prove with the rig's rights: the chart must
// give the same, no more and no less.
func TestRightsAreThoseOfTheRig(t *testing.T) {
	got := granted(t, render(t, minimal+"---\naccess: {agentServiceAccount: {create: true}}\n"))
	if diff := cmp.Diff(rigRights(t, cluster.Shared(t)), got); diff != "" {
		t.Errorf("the chart's rights are not the rig's (-rig +chart):\n%s", diff)
	}
}

func TestWithoutAnAgentAccountNobodyMayActAsOne(t *testing.T) {
	r := render(t, minimal)
	for account, rules := range granted(t, r) {
		for _, rule := range rules {
			if strings.Contains(rule, "serviceaccounts") {
				t.Errorf("%s: %s", account, rule)
			}
		}
	}
	if r.has("ServiceAccount/towline-agent") {
		t.Error("there is an agent account although it was not asked for")
	}
}

// rigRights lets a rig create its rights, and watches. The rig has no binaries,
// so it goes no further and removes them again.
func rigRights(t *testing.T, c *cluster.Cluster) rights {
	t.Helper()
	const within = 20 * time.Second
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	cfg, err := c.RESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	k, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	before, err := k.RbacV1().ClusterRoles().List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	since := metav1.ListOptions{ResourceVersion: before.ResourceVersion}
	roles, err := k.RbacV1().ClusterRoles().Watch(ctx, since)
	if err != nil {
		t.Fatal(err)
	}
	defer roles.Stop()
	bindings, err := k.RbacV1().ClusterRoleBindings().Watch(ctx, since)
	if err != nil {
		t.Fatal(err)
	}
	defer bindings.Stop()
	if _, err := rig.Start(ctx, rig.Options{Cluster: c, Agent: "group/project:agent", Dir: t.TempDir(), Binaries: t.TempDir()}); err == nil {
		t.Fatal("a rig without binaries has started")
	}
	role := next(ctx, t, roles, func(r *rbacv1.ClusterRole) bool {
		return strings.HasPrefix(r.Name, "towline-") && strings.HasSuffix(r.Name, ":impersonate")
	})
	namespace, _, _ := strings.Cut(role.Name, ":")
	out := rights{}
	for _, suffix := range []string{":runner", ":policy"} {
		b := next(ctx, t, bindings, func(b *rbacv1.ClusterRoleBinding) bool { return b.Name == namespace+suffix })
		if b.RoleRef.Name == role.Name {
			out.add(b.Subjects, lines(role.Rules))
		} else {
			out.add(b.Subjects, []string{"role " + b.RoleRef.Name})
		}
	}
	return out
}

// next returns the next object that is created and that want accepts.
func next[T any](ctx context.Context, t *testing.T, w watch.Interface, want func(*T) bool) *T {
	t.Helper()
	for {
		select {
		case <-ctx.Done():
			t.Fatalf("the rig did not create a %T that was waited for", new(T))
		case e, ok := <-w.ResultChan():
			if !ok {
				t.Fatal("the watch has ended")
			}
			if o, is := e.Object.(any).(*T); is && e.Type == watch.Added && want(o) {
				return o
			}
		}
	}
}
