//go:build integration

package apply_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/services/runner/internal/apply"
	"github.com/towline/towline/services/runner/internal/apply/inventory"
)

// value is the value of a ConfigMap, "gone" when there is none.
func (s *site) value(name string) string {
	s.tb.Helper()
	cm, err := s.client.CoreV1().ConfigMaps(s.namespace).Get(s.tb.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "gone"
	}
	s.must(err)
	return cm.Data["value"]
}

// as returns the same site with another inventory.
func (s *site) as(id string, policy apply.Policy) *site {
	other := *s
	other.options.Inventory.ID, other.options.Policy = id, policy
	return &other
}

// TestOldInventoryIsAdopted: what GitLab's agent left behind goes on without a
// gap: unchanged objects stay, changed ones change, fields that have left the
// files leave the objects, and what has left the set is deleted.
func TestOldInventoryIsAdopted(t *testing.T) {
	s := open(t)
	old := func(name, data string) {
		body := `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"` + name + `","annotations":{"` + inventory.AnnotationOwner + `":"7-42"}},"data":` + data + `}`
		_, err := s.client.CoreV1().ConfigMaps(s.namespace).Patch(t.Context(), name, types.ApplyPatchType, []byte(body), metav1.PatchOptions{FieldManager: "agentk"})
		s.must(err)
	}
	old("stays", `{"value":"one"}`)
	old("changes", `{"value":"one","more":"yes"}`)
	old("goes", `{"value":"one"}`)
	_, err := s.client.CoreV1().ConfigMaps(s.namespace).Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "inventory-7-42", Labels: map[string]string{inventory.LabelID: "7-42"}},
		Data:       map[string]string{s.namespace + "_stays__ConfigMap": "", s.namespace + "_changes__ConfigMap": "", s.namespace + "_goes__ConfigMap": ""},
	}, metav1.CreateOptions{})
	s.must(err)
	rep := s.sync(map[string]string{"a.yaml": configMap("stays", "one"), "b.yaml": configMap("changes", "two")})
	s.expect(rep, "2 configured, 1 pruned")
	cm, err := s.client.CoreV1().ConfigMaps(s.namespace).Get(t.Context(), "changes", metav1.GetOptions{})
	s.must(err)
	if cm.Data["value"] != "two" || cm.Data["more"] != "" || len(cm.ManagedFields) != 1 || cm.ManagedFields[0].Manager != apply.Manager {
		t.Errorf("data %v, managers %v", cm.Data, cm.ManagedFields)
	}
	if got := s.value("goes"); got != "gone" {
		t.Errorf("what has left the set: %s", got)
	}
	s.expect(s.sync(map[string]string{"a.yaml": configMap("stays", "one"), "b.yaml": configMap("changes", "two")}), "2 unchanged")
}

// TestBusyObjectIsAdopted: one that changes between the look at it and its
// adoption is looked at again, and answers that are lost are asked for again.
func TestBusyObjectIsAdopted(t *testing.T) {
	s := open(t)
	body := `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"busy"},"data":{"value":"one","more":"yes"}}`
	_, err := s.client.CoreV1().ConfigMaps(s.namespace).Patch(t.Context(), "busy", types.ApplyPatchType, []byte(body), metav1.PatchOptions{FieldManager: "agentk"})
	s.must(err)
	var changes, lost atomic.Int64
	cfg := rest.CopyConfig(s.config)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("Content-Type") == string(types.JSONPatchType) && changes.Add(1) <= 2 {
				s.patch("configmaps", "busy", fmt.Sprintf(`{"metadata":{"labels":{"beat":"%d"}}}`, changes.Load()), types.MergePatchType)
			}
			resp, err := next.RoundTrip(r)
			if strings.Contains(r.URL.Path, "/configmaps") && (r.Method == http.MethodPost || r.Method == http.MethodPut) && lost.Add(1)%2 == 1 {
				resp.Body.Close()
				return nil, &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}
			}
			return resp, err
		})
	})
	s.engine, err = apply.New(cfg)
	s.must(err)
	s.options.Policy = apply.AdoptIfNoInventory
	s.expect(s.sync(map[string]string{"a.yaml": configMap("busy", "two")}), "1 configured")
	cm, err := s.client.CoreV1().ConfigMaps(s.namespace).Get(t.Context(), "busy", metav1.GetOptions{})
	s.must(err)
	if cm.Data["value"] != "two" || cm.Data["more"] != "" || cm.Labels["beat"] != "2" || changes.Load() != 3 || lost.Load() != 4 {
		t.Errorf("%v %v, %d adoptions, %d saves", cm.Data, cm.Labels, changes.Load(), lost.Load())
	}
}

// TestInventoryReadsAsOthersDo: keys and label of cli-utils, labels and
// annotations of kubectl's ApplySets.
func TestInventoryReadsAsOthersDo(t *testing.T) {
	s := open(t)
	s.sync(map[string]string{"a.yaml": configMap("a", "one"), "web.yaml": deployment("web", ""), "role.yaml": "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: \"system:role\"}\n"})
	cm, err := s.client.CoreV1().ConfigMaps(s.namespace).Get(t.Context(), "inventory-7-42", metav1.GetOptions{})
	s.must(err)
	for _, key := range []string{"_a__ConfigMap", "_web_apps_Deployment", "_system__role_rbac.authorization.k8s.io_Role"} {
		var v struct{ Actuation, Strategy string }
		if err := json.Unmarshal([]byte(cm.Data[s.namespace+key]), &v); err != nil || v.Actuation != "Succeeded" || v.Strategy != "Apply" {
			t.Errorf("%s: %q", key, cm.Data[s.namespace+key])
		}
	}
	set := cm.Labels["applyset.kubernetes.io/id"]
	if len(cm.Data) != 3 || cm.Labels[inventory.LabelID] != "7-42" || !strings.HasPrefix(set, "applyset-") || !strings.HasSuffix(set, "-v1") ||
		cm.Annotations["applyset.kubernetes.io/tooling"] != "towline/v1" || cm.Annotations["applyset.kubernetes.io/contains-group-kinds"] != "ConfigMap,Deployment.apps,Role.rbac.authorization.k8s.io" {
		t.Errorf("%v %v %v", cm.Labels, cm.Annotations, cm.Data)
	}
	members, err := s.client.CoreV1().ConfigMaps(s.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: inventory.LabelPartOf + "=" + set})
	s.must(err)
	if len(members.Items) != 1 || members.Items[0].Name != "a" {
		t.Errorf("members: %v", members.Items)
	}
}

func TestInventoryPolicies(t *testing.T) {
	for _, c := range []struct {
		policy                 apply.Policy
		nobodys, others, alone string // what becomes of an object of nobody, of another inventory, and of none
	}{
		{apply.MustMatch, "there", "there", "ours"},
		{apply.AdoptIfNoInventory, "ours", "there", "ours"},
		{apply.AdoptAll, "ours", "ours", "ours"},
	} {
		t.Run(string(c.policy), func(t *testing.T) {
			s := open(t)
			_, err := s.client.CoreV1().ConfigMaps(s.namespace).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "nobodys"}, Data: map[string]string{"value": "there"}}, metav1.CreateOptions{})
			s.must(err)
			s.as("other", apply.MustMatch).sync(map[string]string{"a.yaml": configMap("others", "there")})
			mine := s.as("mine", c.policy)
			files := map[string]string{"a.yaml": configMap("nobodys", "ours"), "b.yaml": configMap("others", "ours"), "c.yaml": configMap("alone", "ours")}
			rep := mine.apply(mine.read(files))
			for i, want := range []string{c.nobodys, c.others, c.alone} {
				r := rep.Results[i]
				if got := s.value(r.Object.Name); got != want {
					t.Errorf("%s: %s, want %s", r.Object.Name, got, want)
				}
				if refused := r.Action == apply.Failed && r.Reason == apply.ReasonNotOwned; refused != (want != "ours") {
					t.Errorf("%s", r.Line())
				}
			}
			// What was refused is not ours to delete.
			mine.sync(nil)
			for i, want := range []string{c.nobodys, c.others, c.alone} {
				got := s.value(rep.Results[i].Object.Name)
				if (got == "gone") != (want == "ours") {
					t.Errorf("after all: %s is %s", rep.Results[i].Object.Name, got)
				}
			}
		})
	}
}

// TestTwoSetsDoNotFight: whatever the policies, an object that both claim stays
// with one of them, and the other one says so each time.
func TestTwoSetsDoNotFight(t *testing.T) {
	for _, policy := range []apply.Policy{apply.MustMatch, apply.AdoptAll} {
		t.Run(string(policy), func(t *testing.T) {
			s := open(t)
			a, b := s.as("a", policy), s.as("b", policy)
			inA, inB := map[string]string{"a.yaml": configMap("both", "a")}, map[string]string{"b.yaml": configMap("both", "b")}
			a.sync(inA)
			b.apply(b.read(inB))
			owner := s.value("both")
			version := s.version("both")
			for range 3 {
				repA, repB := a.apply(a.read(inA)), b.apply(b.read(inB))
				winner, loser := repA, repB
				if owner == "b" {
					winner, loser = repB, repA
				}
				s.expect(winner, "1 unchanged")
				s.expect(loser, "1 failed")
				if r := loser.Results[0]; r.Reason != apply.ReasonNotOwned || !strings.Contains(r.Message, "inventory "+owner) {
					t.Errorf("%s", r.Line())
				}
			}
			if got := s.version("both"); got != version {
				t.Errorf("the object has changed: %s, %s", version, got)
			}
			// The loser's end does not touch it.
			loser := b
			if owner == "b" {
				loser = a
			}
			loser.sync(nil)
			if got := s.value("both"); got != owner {
				t.Errorf("after the loser is gone: %s", got)
			}
		})
	}
}

func (s *site) version(name string) string {
	cm, err := s.client.CoreV1().ConfigMaps(s.namespace).Get(s.tb.Context(), name, metav1.GetOptions{})
	s.must(err)
	return cm.ResourceVersion
}

// TestLostInventoryIsFoundAgain: objects that carry our marks are deleted when
// they leave the set although the inventory was lost.
func TestLostInventoryIsFoundAgain(t *testing.T) {
	s := open(t)
	s.sync(map[string]string{"a.yaml": configMap("a", "one"), "b.yaml": configMap("b", "one")})
	s.must(s.client.CoreV1().ConfigMaps(s.namespace).Delete(t.Context(), "inventory-7-42", metav1.DeleteOptions{}))
	// Somebody's copy of our labels alone is not ours.
	cm, err := s.client.CoreV1().ConfigMaps(s.namespace).Get(t.Context(), "b", metav1.GetOptions{})
	s.must(err)
	_, err = s.client.CoreV1().ConfigMaps(s.namespace).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "copy", Labels: cm.Labels, Annotations: cm.Annotations}}, metav1.CreateOptions{})
	s.must(err)
	s.expect(s.sync(map[string]string{"a.yaml": configMap("a", "one")}), "1 unchanged, 1 pruned")
	if s.value("b") != "gone" || s.value("copy") == "gone" {
		t.Errorf("b %s, copy %s", s.value("b"), s.value("copy"))
	}
}

// TestTwoEntriesWithOneInventory: the second is refused before it deletes what is
// the first one's, and may be told to take its place.
func TestTwoEntriesWithOneInventory(t *testing.T) {
	s := open(t)
	first, second := s.as("7-42", apply.MustMatch), s.as("7-42", apply.MustMatch)
	first.options.Inventory.Entry, second.options.Inventory.Entry = "shop", "other"
	first.sync(map[string]string{"a.yaml": configMap("a", "one")})
	template := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: inventory-7-42, labels: {cli-utils.sigs.k8s.io/inventory-id: 7-42}}\n"
	set := second.read(map[string]string{"b.yaml": configMap("b", "one"), "i.yaml": template})
	_, err := s.engine.Apply(t.Context(), set, second.options)
	want := "kubectl annotate configmap -n " + s.namespace + " inventory-7-42 towline.dev/entry-"
	if err == nil || !strings.Contains(err.Error(), "is of the entry shop") || !strings.HasSuffix(err.Error(), "if other stands in the place of shop now, "+want) || s.value("a") != "one" {
		t.Errorf("%v", err)
	}
	s.patch("configmaps", "inventory-7-42", `{"metadata":{"annotations":{"towline.dev/entry":null}}}`, types.MergePatchType)
	s.expect(second.apply(set), "1 created, 1 pruned")
	if _, err := s.engine.Apply(t.Context(), apply.Set{}, first.options); err == nil || !strings.Contains(err.Error(), "is of the entry other") {
		t.Errorf("%v", err)
	}
}

// TestSecondRunAtOnceEndsWithAnError: an inventory that somebody else writes
// meanwhile is not overwritten.
func TestSecondRunAtOnceEndsWithAnError(t *testing.T) {
	s := open(t)
	s.sync(map[string]string{"a.yaml": configMap("a", "one")})
	inv, err := inventory.Load(t.Context(), s.client.CoreV1(), inventory.Place{ID: "7-42", Namespace: s.namespace})
	s.must(err)
	s.sync(map[string]string{"a.yaml": configMap("a", "two")})
	clear(inv.Records)
	if err := inv.Save(t.Context(), apply.Manager); err == nil || !strings.Contains(err.Error(), "changed by somebody else") {
		t.Errorf("save: %v", err)
	}
	s.expect(s.sync(map[string]string{"a.yaml": configMap("a", "two")}), "1 unchanged")
}
