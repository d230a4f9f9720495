package gitops

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// hardCase is an entry of its own in a repository that all cases share: its step
// n comes with the n-th commit.
type hardCase struct {
	name     string
	settings string // of the entry, besides those that all have
	steps    []step
}

// step is what a commit does to an entry, and what becomes of it.
type step struct {
	before func(b *bench)    // happens in the cluster before the commit
	files  map[string]string // below the entry's directory; "" deletes
	state  string            // in GitLab; "" when the case says nothing of it
	says   string            // begins what GitLab is told, without what follows in brackets
	after  func(b *bench)    // looks at the cluster
}

const (
	succeeds = "success"
	fails    = "failed"
)

// TestHardCases: what goes wrong in clusters, and what is decided by a setting,
// each as an entry of one repository.
func TestHardCases(t *testing.T) {
	cases := append(propagations(), immutables("fixed", false), immutables("replaced", true), definitions(), webhooks(), namespaces(), duplicates())
	towline := "gitops:\n  manifest_projects:\n"
	for _, c := range cases {
		towline += fmt.Sprintf("    - {name: %[1]s, id: %[2]s, default_namespace: NAMESPACE, paths: [{glob: %[1]s/*}]%[3]s}\n", c.name, shop, c.settings)
	}
	b := open(t, "gitops: {}", map[string]string{"README.md": "nothing yet"})
	b.master("definitions", "namespaces")
	mended := func() {}
	for n := range 4 {
		files := map[string]string{"README.md": fmt.Sprint("commit ", n)}
		for _, c := range cases {
			files[c.name+"/none.yaml"] = "# an entry without any file is a mistake\n"
			if n < len(c.steps) {
				if c.steps[n].before != nil {
					c.steps[n].before(b)
				}
				for name, text := range c.steps[n].files {
					files[c.name+"/"+name] = text
				}
			}
		}
		commit := b.push(files)
		if n == 0 {
			b.configure(towline + ofDrift)
			mended = b.drifts()
		}
		for _, c := range cases {
			if n < len(c.steps) {
				b.came(c.name, commit, c.steps[n])
			}
		}
	}
	mended()
}

// came compares what has become of a step in GitLab, in Events and in the
// cluster.
func (b *bench) came(entry, commit string, s step) {
	b.Helper()
	if s.state == "" {
		return
	}
	want := b.fill(s.says)
	if got := b.status(entry, commit, s.state); !strings.HasPrefix(got, want) {
		b.Errorf("%s: GitLab is told %q, want %q", entry, got, want)
	}
	reason := map[string]string{succeeds: "SyncSucceeded", fails: "SyncFailed"}[s.state]
	if about := fmt.Sprintf("%s at %.8s: %s", entry, commit, want); b.told(reason, about) != 1 {
		b.Errorf("%d events %s of %q", b.told(reason, about), reason, about)
	}
	if s.after != nil {
		s.after(b)
	}
}

// told is how many events of a reason about inventories begin with a text.
func (b *bench) told(reason, text string) (n int) {
	b.Helper()
	list, err := b.kube.CoreV1().Events(b.namespace).List(b.Context(), metav1.ListOptions{FieldSelector: "source=towline,reason=" + reason})
	b.must(err)
	for _, e := range list.Items {
		if strings.HasPrefix(e.Message, text) && strings.HasPrefix(e.InvolvedObject.Name, "inventory-") {
			n++
		}
	}
	return n
}

// master lets entries do everything, for what is in no namespace.
func (b *bench) master(entries ...string) {
	b.Helper()
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: b.namespace + "-master"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
	}
	for _, name := range entries {
		binding.Subjects = append(binding.Subjects, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "gitlab:gitops:" + name})
	}
	all := b.kube.RbacV1().ClusterRoleBindings()
	_, err := all.Create(b.Context(), binding, metav1.CreateOptions{})
	b.must(err)
	b.Cleanup(func() { b.must(all.Delete(context.Background(), binding.Name, metav1.DeleteOptions{})) })
}

func deployment(name string) string {
	return strings.ReplaceAll("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: NAME}\nspec:\n  replicas: 0\n  selector: {matchLabels: {app: NAME}}\n"+
		"  template: {metadata: {labels: {app: NAME}}, spec: {containers: [{name: a, image: registry.example.com/a}]}}\n", "NAME", name)
}

// propagations: with the Deployment goes, or stays, what Kubernetes has made of
// it.
func propagations() []hardCase {
	sets := func(b *bench, name string) (owned, free int) {
		b.Helper()
		list, err := b.kube.AppsV1().ReplicaSets(b.namespace).List(b.Context(), metav1.ListOptions{LabelSelector: "app=" + name})
		b.must(err)
		for _, r := range list.Items {
			if len(r.OwnerReferences) == 0 {
				free++
			} else {
				owned++
			}
		}
		return owned, free
	}
	var cases []hardCase
	for policy, left := range map[string]func(b *bench){
		"foreground": func(b *bench) {
			if owned, free := sets(b, "foreground"); owned+free != 0 {
				b.Errorf("foreground: %d ReplicaSets are there although it was waited for them", owned+free)
			}
		},
		"background": func(b *bench) {
			b.eventually("background: no ReplicaSet", func(context.Context) bool { owned, free := sets(b, "background"); return owned+free == 0 })
		},
		"orphan": func(b *bench) {
			if owned, free := sets(b, "orphan"); owned != 0 || free != 1 {
				b.Errorf("orphan: %d ReplicaSets with an owner and %d without, want one without", owned, free)
			}
		},
	} {
		made := func(b *bench) {
			b.eventually(policy+": a ReplicaSet", func(context.Context) bool { owned, _ := sets(b, policy); return owned == 1 })
		}
		gone := func(b *bench) {
			if _, err := b.kube.AppsV1().Deployments(b.namespace).Get(b.Context(), policy, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				b.Errorf("%s: the Deployment: %v", policy, err)
			}
			left(b)
		}
		cases = append(cases, hardCase{policy, ", prune_propagation_policy: " + policy, []step{
			{files: map[string]string{"web.yaml": deployment(policy)}, state: succeeds, says: "1 objects, 1 created", after: made},
			{files: map[string]string{"web.yaml": ""}, state: succeeds, says: "0 objects, 1 pruned", after: gone},
		}})
	}
	return cases
}

// immutables: what cannot be changed in place stays as it is and is said, or is
// made again where the entry asks for that.
func immutables(name string, replace bool) hardCase {
	secret := func(value string) map[string]string {
		return map[string]string{"secret.yaml": fmt.Sprintf("apiVersion: v1\nkind: Secret\nimmutable: true\nmetadata: {name: %s}\nstringData: {value: %s}\n", name, value)}
	}
	var was types.UID
	holds := func(value string, again bool) func(b *bench) {
		return func(b *bench) {
			b.Helper()
			got, err := b.kube.CoreV1().Secrets(b.namespace).Get(b.Context(), name, metav1.GetOptions{})
			b.must(err)
			if string(got.Data["value"]) != value || was != "" && (got.UID != was) != again {
				b.Errorf("%s holds %q; made again: %v, want %q, %v", name, got.Data["value"], got.UID != was, value, again)
			}
			was = got.UID
		}
	}
	first := step{files: secret("one"), state: succeeds, says: "1 objects, 1 created", after: holds("one", false)}
	if replace {
		return hardCase{name, ", replace: true", []step{first, {files: secret("two"), state: succeeds, says: "1 objects, 1 replaced", after: holds("two", true)}}}
	}
	return hardCase{name, "", []step{
		first,
		{files: secret("two"), state: fails, says: "fixed/secret.yaml:1: Secret NAMESPACE/fixed failed: .data: the API server refuses it: data: FieldValueForbidden; delete the object, or let the entry replace", after: holds("one", false)},
		{files: secret("one"), state: succeeds, says: "1 objects", after: holds("one", false)},
	}}
}

// definitions: a kind and an object of it come with one commit, in files of the
// wrong order, and go with one.
func definitions() hardCase {
	const definition = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: backups.NAMESPACE.example.com}
spec:
  group: NAMESPACE.example.com
  scope: Namespaced
  names: {kind: Backup, plural: backups, singular: backup}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {schedule: {type: string}}}}}}
`
	object := "apiVersion: NAMESPACE.example.com/v1\nkind: Backup\nmetadata: {name: nightly}\nspec: {schedule: \"0 1 * * *\"}\n"
	return hardCase{"definitions", ", prune_propagation_policy: background", []step{
		{files: map[string]string{"a.yaml": object, "z.yaml": definition}, state: succeeds, says: "2 objects, 2 created", after: func(b *bench) {
			if got := b.resources().get(ref(b.fill("Backup.NAMESPACE.example.com NAMESPACE/nightly"))); got == nil || got.Object["spec"].(map[string]any)["schedule"] != "0 1 * * *" {
				b.Errorf("the object of a new kind: %v", got)
			}
		}},
		{files: map[string]string{"a.yaml": "", "z.yaml": ""}, state: succeeds, says: "0 objects, 2 pruned", after: func(b *bench) {
			if got := b.resources().get(ref(b.fill("CustomResourceDefinition.apiextensions.k8s.io /backups.NAMESPACE.example.com"))); got != nil && got.GetDeletionTimestamp() == nil {
				b.Error("the definition stays")
			}
		}},
	}}
}

// webhooks: an object that a broken webhook stands in front of fails and names
// it; others arrive, and it does too once the webhook is gone.
func webhooks() hardCase {
	path, fail, none := "/", admissionv1.Fail, admissionv1.SideEffectClassNone
	begin := func(b *bench) {
		b.Helper()
		hooks := b.kube.AdmissionregistrationV1().ValidatingWebhookConfigurations()
		_, err := hooks.Create(b.Context(), &admissionv1.ValidatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: b.namespace},
			Webhooks: []admissionv1.ValidatingWebhook{{
				Name: "broken.example.com", AdmissionReviewVersions: []string{"v1"}, FailurePolicy: &fail, SideEffects: &none,
				ClientConfig:      admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: b.namespace, Name: "nowhere", Path: &path}},
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: b.namespace}},
				Rules:             []admissionv1.RuleWithOperations{{Operations: []admissionv1.OperationType{admissionv1.Create}, Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"serviceaccounts"}}}},
			}},
		}, metav1.CreateOptions{})
		b.must(err)
		b.Cleanup(func() { _ = hooks.Delete(context.Background(), b.namespace, metav1.DeleteOptions{}) })
		b.hooked(true)
	}
	end := func(b *bench) {
		b.Helper()
		b.must(b.kube.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(b.Context(), b.namespace, metav1.DeleteOptions{}))
		b.hooked(false)
	}
	there := func(n int) func(b *bench) {
		return func(b *bench) {
			list, err := b.kube.CoreV1().ServiceAccounts(b.namespace).List(b.Context(), metav1.ListOptions{FieldSelector: "metadata.name=hooked"})
			b.must(err)
			if len(list.Items) != n || b.data("free")["x"] != "1" {
				b.Errorf("%d objects behind the webhook, want %d; beside it %v", len(list.Items), n, b.data("free"))
			}
		}
	}
	return hardCase{"hooked", ", on_invalid: skip", []step{
		{
			before: begin, files: map[string]string{"a.yaml": "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: hooked}\n", "b.yaml": configMap("free", "x", "1")},
			state: fails, says: `hooked/a.yaml:1: ServiceAccount NAMESPACE/hooked failed: Internal error occurred: failed calling webhook "broken.example.com"`, after: there(0),
		},
		{before: end, state: succeeds, says: "2 objects", after: there(1)},
	}}
}

// hooked waits until the API server knows of the webhook, or of its end.
func (b *bench) hooked(want bool) {
	b.Helper()
	b.eventually("the webhook", func(ctx context.Context) bool {
		probe := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "probe"}}
		_, err := b.kube.CoreV1().ServiceAccounts(b.namespace).Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return (err != nil) == want
	})
}

// namespaces: one that does not go is said with what it waits for, and so is
// what should be made in it meanwhile; once it has gone it comes back.
func namespaces() hardCase {
	const finalizer = "example.com/wait"
	stick := func(b *bench) {
		b.Helper()
		maps := b.kube.CoreV1().ConfigMaps(b.fill("NAMESPACE-stuck"))
		_, err := maps.Create(b.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "stuck", Finalizers: []string{finalizer}}}, metav1.CreateOptions{})
		b.must(err)
	}
	release := func(b *bench) {
		name := b.fill("NAMESPACE-stuck")
		_, err := b.kube.CoreV1().ConfigMaps(name).Patch(context.Background(), "stuck", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
		if !apierrors.IsNotFound(err) {
			b.must(err)
		}
		b.eventually("the namespace's end", func(ctx context.Context) bool {
			_, err := b.kube.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
			return apierrors.IsNotFound(err)
		})
	}
	inside := strings.Replace(configMap("inside", "x", "1"), "name: inside", "name: inside\n  namespace: NAMESPACE-stuck", 1)
	files := map[string]string{"space.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: NAMESPACE-stuck}\n", "inside.yaml": inside}
	none := maps.Clone(files)
	for name := range none {
		none[name] = ""
	}
	holds := func(want string) func(b *bench) {
		return func(b *bench) {
			b.Helper()
			if got := b.dataIn(b.fill("NAMESPACE-stuck"), "inside")["x"]; got != want {
				b.Errorf("in the namespace: %q, want %q", got, want)
			}
		}
	}
	return hardCase{"namespaces", ", prune_timeout: 10s", []step{
		{files: files, state: succeeds, says: "2 objects, 2 created", after: func(b *bench) { b.Cleanup(func() { b.leave(b.fill("NAMESPACE-stuck")) }) }},
		{before: stick, files: none, state: fails, says: "Namespace NAMESPACE-stuck failed: its deletion was not done within 10s", after: holds("")},
		{files: files, state: fails, says: "namespaces/inside.yaml:1: ConfigMap NAMESPACE-stuck/inside failed: its namespace NAMESPACE-stuck is being deleted", after: holds("")},
		{before: release, state: succeeds, says: "2 objects", after: holds("1")},
	}}
}

// leave removes a namespace that a test has left behind.
func (b *bench) leave(namespace string) {
	ctx := context.Background()
	_, _ = b.kube.CoreV1().ConfigMaps(namespace).Patch(ctx, "stuck", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	_ = b.kube.CoreV1().Namespaces().Delete(ctx, namespace, metav1.DeleteOptions{})
}

// duplicates: the same object in two files is a mistake that changes nothing.
func duplicates() hardCase {
	holds := func(want string) func(b *bench) {
		return func(b *bench) {
			b.Helper()
			if got := b.data("twice")["x"]; got != want {
				b.Errorf("the object that stood twice holds %q, want %q", got, want)
			}
		}
	}
	const says = "twice/b.yaml:1: ConfigMap twice: the same object stands at twice/a.yaml:1; keep one of them"
	return hardCase{"twice", "", []step{
		{files: map[string]string{"a.yaml": configMap("twice", "x", "1"), "b.yaml": configMap("twice", "x", "2")}, state: fails, says: says, after: holds("")},
		{files: map[string]string{"b.yaml": ""}, state: succeeds, says: "1 objects, 1 created", after: holds("1")},
		{files: map[string]string{"a.yaml": configMap("twice", "x", "3"), "b.yaml": configMap("twice", "x", "4")}, state: fails, says: says, after: holds("1")},
	}}
}
