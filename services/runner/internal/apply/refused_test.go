//go:build integration

package apply_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/services/runner/internal/apply"
	"github.com/towline/towline/services/runner/internal/apply/manifests"
)

// many is n ConfigMaps in one file; the one of number bad is invalid.
func many(n, bad int) map[string]string {
	var b strings.Builder
	for i := range n {
		if i == bad {
			fmt.Fprintf(&b, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: many-%03d}\ndata: {\"not a key\": x}\n", i)
			continue
		}
		fmt.Fprintf(&b, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: many-%03d}\ndata: {value: x}\n", i)
	}
	return map[string]string{"many.yaml": b.String()}
}

// TestOneInvalidOfMany: the invalid one is named with file, line and path, and
// the policy decides about the others.
func TestOneInvalidOfMany(t *testing.T) {
	const n, bad = 500, 250
	for policy, want := range map[apply.InvalidPolicy]func(created, skipped, failed int) bool{
		apply.InvalidSkips:    func(created, skipped, failed int) bool { return created == n-1 && skipped == 0 && failed == 1 },
		apply.InvalidStops:    func(created, skipped, failed int) bool { return created < n-1 && skipped > 0 && failed == 1 },
		apply.InvalidStopsAll: func(created, skipped, failed int) bool { return created == 0 && skipped == n-1 && failed == 1 },
	} {
		t.Run(string(policy), func(t *testing.T) {
			s := open(t)
			s.options.Invalid = policy
			rep := s.apply(s.read(many(n, bad)))
			if !want(rep.Count(apply.Created), rep.Count(apply.Skipped), rep.Count(apply.Failed)) {
				t.Errorf("%s", summary(&rep))
			}
			r := rep.Results[bad]
			if r.Reason != apply.ReasonInvalid || r.Path != ".data[not a key]" || r.Origin.String() != fmt.Sprintf("many.yaml:%d", bad*5+2) {
				t.Errorf("%s", r.Line())
			}
			if err := rep.Err(); err == nil || !strings.HasPrefix(err.Error(), r.Origin.String()+": ConfigMap "+s.namespace+"/many-250 failed: .data[not a key]") {
				t.Errorf("%v", err)
			}
			// Repaired, everything arrives.
			s.sync(many(n, -1))
			s.expect(s.sync(many(n, -1)), "500 unchanged")
		})
	}
}

// TestImmutable: what cannot be changed in place fails, and is made again only
// where that is asked for and the new one is valid.
func TestImmutable(t *testing.T) {
	secret := func(value, more string) map[string]string {
		return map[string]string{"s.yaml": "apiVersion: v1\nkind: Secret\nimmutable: true\nmetadata: {name: fixed}\nstringData: {value: " + value + more + "}\n", "b.yaml": binding(value)}
	}
	s := open(t)
	s.sync(secret("one", ""))
	rep := s.apply(s.read(secret("two", "")))
	s.expect(rep, "2 failed")
	for _, r := range rep.Results {
		if r.Reason != apply.ReasonImmutable || !strings.Contains(r.Message, "let the entry replace") {
			t.Errorf("%s", r.Line())
		}
	}
	s.options.Replace = true
	s.options.Invalid = apply.InvalidSkips
	rep = s.apply(s.read(secret("two", ", \"not a key\": x")))
	s.expect(rep, "1 replaced, 1 failed")
	if got, err := s.client.CoreV1().Secrets(s.namespace).Get(t.Context(), "fixed", metav1.GetOptions{}); err != nil || string(got.Data["value"]) != "one" {
		t.Errorf("the old one is gone although the new one is invalid: %v", err)
	}
	s.expect(s.sync(secret("two", "")), "1 replaced, 1 unchanged")
	s.expect(s.sync(secret("two", "")), "2 unchanged")
}

// TestNotReplaced: what is to stay, and what holds other things, is not deleted to
// be made again unless its manifest says so.
func TestNotReplaced(t *testing.T) {
	s := open(t)
	s.options.Replace = true
	files := func(value, notes string) map[string]string {
		return map[string]string{
			"a.yaml": "apiVersion: v1\nkind: Secret\nimmutable: true\nmetadata: {name: fixed, annotations: {cli-utils.sigs.k8s.io/on-remove: keep}}\nstringData: {value: " + value + "}\n",
			"b.yaml": "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data, annotations: {" + notes + "}}\nspec: {accessModes: [ReadWriteOnce], storageClassName: " + value + ", resources: {requests: {storage: 1Gi}}}\n",
		}
	}
	s.sync(files("one", ""))
	rep := s.apply(s.read(files("two", "")))
	s.expect(rep, "2 failed")
	for i, want := range []string{"an annotation asks to leave it", "give it the annotation towline.dev/replace: allow"} {
		if r := rep.Results[i]; r.Reason != apply.ReasonProtected || !strings.HasSuffix(r.Message, want) {
			t.Errorf("%s", r.Line())
		}
	}
	rep = s.apply(s.read(files("two", "towline.dev/replace: allow")))
	s.expect(rep, "1 replaced, 1 failed")
}

// TestFailingWebhook: the object that a broken webhook stands in front of fails
// and names it; the others arrive, and it does too once the webhook is gone.
func TestFailingWebhook(t *testing.T) {
	s := open(t)
	path, fail, none := "/", admissionv1.Fail, admissionv1.SideEffectClassNone
	hooks := s.client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	_, err := hooks.Create(t.Context(), &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: s.namespace},
		Webhooks: []admissionv1.ValidatingWebhook{{
			Name: "broken.example.com", AdmissionReviewVersions: []string{"v1"}, FailurePolicy: &fail, SideEffects: &none,
			ClientConfig:      admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: s.namespace, Name: "nowhere", Path: &path}},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": s.namespace}},
			Rules:             []admissionv1.RuleWithOperations{{Operations: []admissionv1.OperationType{admissionv1.Create}, Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"secrets"}}}},
		}},
	}, metav1.CreateOptions{})
	s.must(err)
	remove := func() { _ = hooks.Delete(context.Background(), s.namespace, metav1.DeleteOptions{}) }
	t.Cleanup(remove)
	files := map[string]string{"a.yaml": configMap("a", "one"), "s.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"}
	s.eventually("the webhook", func(ctx context.Context) bool {
		_, err := s.client.CoreV1().Secrets(s.namespace).Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "probe"}}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err != nil
	})
	rep := s.apply(s.read(files))
	s.expect(rep, "1 created, 1 failed")
	if r := rep.Results[1]; r.Reason != apply.ReasonWebhook || !strings.Contains(r.Message, "broken.example.com") {
		t.Errorf("%s", r.Line())
	}
	remove()
	s.eventually("the webhook's end", func(context.Context) bool {
		rep := s.apply(s.read(files))
		return rep.Err() == nil
	})
}

// TestLargeSet: 20 MiB of manifests are applied, one byte more is refused before
// anything is asked or changed.
func TestLargeSet(t *testing.T) {
	if testing.Short() {
		t.Skip("20 MiB")
	}
	s := open(t)
	var files []manifests.File
	total := 0
	for i := 0; total < manifests.MaxTotalBytes; i++ {
		text := fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: large-%02d}\ndata:\n  value: ", i)
		text += strings.Repeat("x", min(900<<10, manifests.MaxTotalBytes-total-len(text)-1)) + "\n"
		total += len(text)
		files = append(files, manifests.File{Path: fmt.Sprintf("large-%02d.yaml", i), Content: []byte(text)})
	}
	objects, faults := manifests.Decode(files, manifests.Limits{})
	if len(faults) > 0 || total != manifests.MaxTotalBytes {
		t.Fatalf("%d bytes: %v", total, faults)
	}
	rep := s.apply(apply.Set{Objects: objects})
	s.expect(rep, fmt.Sprintf("%d created", len(files)))
	files[0].Content = append(files[0].Content, '\n')
	objects, faults = manifests.Decode(files, manifests.Limits{})
	rep = s.apply(apply.Set{Objects: objects, Faults: faults})
	if err := rep.Err(); err == nil || !strings.Contains(err.Error(), "over 20 MiB in all") || rep.Changed() {
		t.Errorf("%v, %s", err, summary(&rep))
	}
}

// TestOneObjectTooLarge: the API server's own limit, said of the object.
func TestOneObjectTooLarge(t *testing.T) {
	s := open(t)
	s.options.Invalid = apply.InvalidSkips
	rep := s.apply(s.read(map[string]string{"a.yaml": configMap("a", "one"), "b.yaml": configMap("b", strings.Repeat("x", 4<<20))}))
	s.expect(rep, "1 created, 1 failed")
	if r := rep.Results[1]; r.Reason != apply.ReasonInvalid {
		t.Errorf("%s: %s", r.Reason, r.Line())
	}
}

// TestNarrowIdentity: an identity with rights in its namespace only can do all
// of it there, and what it may not do is said of the object.
func TestNarrowIdentity(t *testing.T) {
	s := open(t)
	_, err := s.client.RbacV1().Roles(s.namespace).Create(t.Context(), &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "deployer"},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"*"}},
			{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"create", "patch"}},
		},
	}, metav1.CreateOptions{})
	s.must(err)
	_, err = s.client.RbacV1().RoleBindings(s.namespace).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "deployer"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "deployer"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "gitlab:sync:" + s.namespace}},
	}, metav1.CreateOptions{})
	s.must(err)
	s.allowed("gitlab:sync:"+s.namespace, "patch", "configmaps")
	s.allowed("gitlab:sync:"+s.namespace, "create", "secrets")
	cfg := rest.CopyConfig(s.config)
	cfg.Impersonate = rest.ImpersonationConfig{UserName: "gitlab:sync:" + s.namespace}
	narrow := *s
	narrow.engine, err = apply.New(cfg)
	s.must(err)
	narrow.sync(map[string]string{"a.yaml": configMap("a", "one"), "b.yaml": configMap("b", "one")})
	narrow.expect(narrow.sync(map[string]string{"a.yaml": configMap("a", "one")}), "1 unchanged, 1 pruned")
	files := map[string]string{
		"a.yaml": configMap("a", "one"), "s.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n",
		"ns.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: NS-more}\n", "c.yaml": strings.Replace(configMap("c", "one"), "{name: c}", "{name: c, namespace: kube-system}", 1),
	}
	rep := narrow.apply(narrow.read(files))
	narrow.expect(rep, "1 unchanged, 3 failed")
	for _, r := range rep.Results[1:] {
		if r.Reason != apply.ReasonForbidden || !strings.Contains(r.Message, "cannot get") || !strings.HasSuffix(r.Message, "; allow get, or nobody knows whose it is") {
			t.Errorf("%s", r.Line())
		}
	}
	// Whose it is does not matter to a set that takes everything.
	narrow.options.Policy = apply.AdoptAll
	rep = narrow.apply(narrow.read(files))
	narrow.expect(rep, "1 created, 1 unchanged, 2 failed")
}

// TestTargetNamespaces: an entry writes to its namespaces only.
func TestTargetNamespaces(t *testing.T) {
	s := open(t)
	s.options.Namespaces = []string{s.namespace, "team-*"}
	rep := s.apply(s.read(map[string]string{
		"a.yaml": configMap("a", "one"), "c.yaml": strings.Replace(configMap("c", "one"), "{name: c}", "{name: c, namespace: kube-system}", 1),
		"r.yaml": "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: everything}\n",
	}))
	if len(rep.Faults) != 2 || rep.Changed() || !strings.Contains(rep.Faults[0].Error(), "this entry may not write there; it may write to namespaces "+s.namespace+", team-*") {
		t.Errorf("%v", rep.Faults)
	}
}

// TestMutationIsRefused: GitLab's agent copied fields between objects by an
// annotation; an object with it is refused where it stands.
func TestMutationIsRefused(t *testing.T) {
	s := open(t)
	rep := s.apply(s.read(map[string]string{"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  annotations: {config.kubernetes.io/apply-time-mutation: \"- sourceRef: {kind: Secret, name: b}\"}\n"}))
	want := "a.yaml:1: ConfigMap a: .metadata.annotations: config.kubernetes.io/apply-time-mutation is not supported; write the value out, or let kustomize replace it (replacements)"
	if len(rep.Faults) != 1 || rep.Changed() || rep.Faults[0].Error() != want {
		t.Errorf("%v", rep.Faults)
	}
}

// TestDryRuns: both kinds say what would happen, and nothing does.
func TestDryRuns(t *testing.T) {
	s := open(t)
	s.sync(map[string]string{"a.yaml": configMap("a", "one"), "b.yaml": configMap("b", "one"), "c.yaml": configMap("c", "one")})
	before, inv := s.owned(), s.version("inventory-7-42")
	next := map[string]string{
		"a.yaml": configMap("a", "two"), "b.yaml": configMap("b", "one"), "d.yaml": configMap("d", "one"),
		"ns.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: NS-new}\n", "e.yaml": strings.Replace(configMap("e", "one"), "{name: e}", "{name: e, namespace: NS-new}", 1),
	}
	for _, dry := range []apply.DryRun{apply.DryRunClient, apply.DryRunServer} {
		s.options.DryRun, s.options.KeepObjects = dry, true
		rep := s.sync(next)
		s.expect(rep, "3 created, 1 configured, 1 unchanged, 1 pruned")
		if s.owned() != before || s.version("inventory-7-42") != inv {
			t.Errorf("%s: something has changed: %s", dry, s.owned())
		}
		if dry == apply.DryRunServer {
			r := rep.Results[0]
			if r.Before == nil || r.After == nil || r.Before.Object["data"].(map[string]any)["value"] != "one" || r.After.Object["data"].(map[string]any)["value"] != "two" {
				t.Errorf("%v, %v", r.Before, r.After)
			}
		}
	}
	s.options.DryRun = apply.DryRunServer
	rep := s.apply(s.read(many(3, 1)))
	if rep.Count(apply.Failed) != 1 || rep.Results[1].Reason != apply.ReasonInvalid {
		t.Errorf("%s", summary(&rep))
	}
}

// TestWarnings: what the API server only warns of stands with the object.
func TestWarnings(t *testing.T) {
	s := open(t)
	files := map[string]string{"web.yaml": deployment("web", "      nodeSelector: {beta.kubernetes.io/os: linux}\n")}
	rep := s.sync(files)
	if w := rep.Results[0].Warnings; len(w) != 1 || !strings.Contains(w[0], "deprecated") {
		t.Errorf("warnings: %q", w)
	}
}

// TestStoppedRun: a run whose context ends leaves an inventory that names all it
// did, and the next one goes on.
func TestStoppedRun(t *testing.T) {
	s := open(t)
	s.options.Workers = 1
	ctx, cancel := context.WithCancel(t.Context())
	cfg := rest.CopyConfig(s.config)
	cfg.Wrap(cancelAfter(30, cancel))
	engine, err := apply.New(cfg)
	s.must(err)
	rep, err := engine.Apply(ctx, s.read(many(100, -1)), s.options)
	if err == nil || rep.Count(apply.Created) == 0 || rep.Count(apply.Skipped) == 0 {
		t.Errorf("%v, %s", err, summary(&rep))
	}
	s.expect(s.sync(nil), fmt.Sprintf("%d pruned", rep.Count(apply.Created)+rep.Count(apply.Failed)))
	if got := s.owned(); got != "" {
		t.Errorf("orphaned: %s", got)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	s := open(t)
	for want, change := range map[string]func(*apply.Options){
		"must_match, adopt_if_no_inventory or adopt_all": func(o *apply.Options) { o.Policy = "mine" },
		"stop, check-first or skip":                      func(o *apply.Options) { o.Invalid = "maybe" },
		"none, client or server":                         func(o *apply.Options) { o.DryRun = "yes" },
		"foreground, background or orphan":               func(o *apply.Options) { o.Prune.Propagation = "now" },
		"has no id":                                      func(o *apply.Options) { o.Inventory.ID = "" },
		"is not a pattern":                               func(o *apply.Options) { o.Namespaces = []string{"["} },
	} {
		opts := s.options
		change(&opts)
		if _, err := s.engine.Apply(t.Context(), apply.Set{}, opts); err == nil || !bytes.Contains([]byte(err.Error()), []byte(want)) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
