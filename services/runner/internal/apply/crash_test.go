//go:build integration

package apply_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/services/runner/internal/apply"
	"github.com/towline/towline/services/runner/internal/apply/inventory"
	"github.com/towline/towline/services/runner/internal/apply/objref"
)

// dying is a connection of a process that dies at its nth request: the request
// does not leave any more, or is done and its answer never arrives. After it
// nothing gets through.
type dying struct {
	next   http.RoundTripper
	calls  atomic.Int64
	at     int64
	behind bool // the request is still done
}

var errDead = errors.New("the process is dead")

// RoundTrip implements http.RoundTripper.
func (d *dying) RoundTrip(r *http.Request) (*http.Response, error) {
	switch n := d.calls.Add(1); {
	case n < d.at:
		return d.next.RoundTrip(r)
	case n == d.at && d.behind:
		if resp, err := d.next.RoundTrip(r); err == nil {
			resp.Body.Close()
		}
	}
	return nil, errDead
}

// dieAt is an engine whose process dies at its nth request.
func (s *site) dieAt(n int, behind bool) (*apply.Engine, *dying) {
	d := &dying{at: int64(n), behind: behind}
	cfg := rest.CopyConfig(s.config)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		d.next = next
		return d
	})
	e, err := apply.New(cfg)
	s.must(err)
	return e, d
}

// owned lists what carries the mark of our inventory, as Kind/name.
func (s *site) owned() string {
	s.tb.Helper()
	var out []string
	for _, gvr := range []schema.GroupVersionResource{
		{Version: "v1", Resource: "configmaps"},
		{Version: "v1", Resource: "secrets"},
		{Version: "v1", Resource: "services"},
		{Group: "apps", Version: "v1", Resource: "deployments"},
		{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"},
	} {
		list, err := s.dynamic.Resource(gvr).Namespace(s.namespace).List(s.tb.Context(), metav1.ListOptions{})
		s.must(err)
		for _, o := range list.Items {
			if o.GetAnnotations()[inventory.AnnotationOwner] == "7-42" && o.GetDeletionTimestamp() == nil {
				value := ""
				if data, ok := o.Object["data"].(map[string]any); ok && data["value"] != nil {
					value = fmt.Sprintf("=%v", data["value"])
				}
				out = append(out, o.GetKind()+"/"+o.GetName()+value)
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func binding(role string) string {
	return "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: binding}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: " + role + "}\nsubjects: [{kind: ServiceAccount, name: default}]\n"
}

// TestCrashAtEveryCall kills a run at each of its requests, in both ways, and
// has the next run bring another version: whatever the dead one was doing,
// nothing is lost and nothing orphaned.
func TestCrashAtEveryCall(t *testing.T) {
	first := map[string]string{
		"a.yaml": configMap("stays", "one"), "b.yaml": configMap("changes", "one"), "c.yaml": configMap("goes", "one"),
		"d.yaml": service, "e.yaml": binding("one"),
	}
	second := map[string]string{
		"a.yaml": configMap("stays", "one"), "b.yaml": configMap("changes", "two"), "new.yaml": configMap("comes", "two"),
		"web.yaml": deployment("web", ""), "s.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: comes}\n", "e.yaml": binding("two"),
	}
	third := map[string]string{"a.yaml": configMap("stays", "one"), "b.yaml": configMap("changes", "three"), "e.yaml": binding("two")}
	const (
		afterSecond = "ConfigMap/changes=two ConfigMap/comes=two ConfigMap/stays=one Deployment/web RoleBinding/binding Secret/comes"
		afterThird  = "ConfigMap/changes=three ConfigMap/stays=one RoleBinding/binding"
	)
	for _, c := range []struct {
		behind  bool
		workers int
	}{{false, 1}, {true, 1}, {true, 8}} {
		t.Run(fmt.Sprintf("behind=%v workers=%d", c.behind, c.workers), func(t *testing.T) {
			survived, patience := false, time.Second
			for n := 1; !survived; n++ {
				s := open(t)
				s.options.Replace, s.options.Workers = true, c.workers
				s.options.Prune.Propagation = metav1.DeletePropagationBackground
				s.sync(first)
				engine, d := s.dieAt(n, c.behind)
				dead := s.options
				dead.Prune.Timeout = patience // it would wait for an answer
				rep, err := engine.Apply(t.Context(), s.read(second), dead)
				survived = d.calls.Load() < int64(n)
				if survived && rep.Err() != nil && patience < time.Minute { // a busy machine: nothing died, so it may take its time
					survived, patience, n = false, time.Minute, n-1
					continue
				}
				if survived != (err == nil && rep.Err() == nil) {
					t.Errorf("call %d: %v, %v", n, err, rep.Err())
				}
				next, want := third, afterThird
				if n%2 == 0 {
					next, want = second, afterSecond // the same again
				}
				s.sync(next)
				if got := s.owned(); got != want {
					t.Errorf("died at call %d: %s, want %s", n, got, want)
				}
				last := s.sync(next)
				s.expect(last, fmt.Sprintf("%d unchanged", len(next)))
				s.sync(nil)
				if got := s.owned(); got != "" {
					t.Errorf("died at call %d: orphaned: %s", n, got)
				}
				if n > 200 {
					t.Fatal("a run of that many calls?")
				}
			}
		})
	}
}

// TestLargeMove: when the old names and the new ones do not fit into the inventory
// together, what is new is not named before it is there, and found all the same.
func TestLargeMove(t *testing.T) {
	const long, old, count = 190, 3750, 150
	s := open(t)
	data := map[string]string{}
	for i := range old {
		data[objref.Ref{Kind: "ConfigMap", Namespace: s.namespace, Name: fmt.Sprintf("old-%04d-%s", i, strings.Repeat("x", long))}.Key()] = `{"actuation":"Succeeded","strategy":"Apply"}`
	}
	_, err := s.client.CoreV1().ConfigMaps(s.namespace).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "inventory-7-42", Labels: map[string]string{inventory.LabelID: "7-42"}}, Data: data}, metav1.CreateOptions{})
	s.must(err)
	var files strings.Builder
	for i := range count {
		fmt.Fprintf(&files, "---\napiVersion: v1\nkind: Secret\nmetadata: {name: new-%04d-%s}\n", i, strings.Repeat("x", long))
	}
	set := map[string]string{"new.yaml": files.String()}
	engine, _ := s.dieAt(60, true)
	if _, err := engine.Apply(t.Context(), s.read(set), s.options); err == nil || strings.Contains(err.Error(), "does not fit") || s.owned() == "" {
		t.Errorf("%v; owned: %s", err, s.owned())
	}
	s.sync(nil)
	if got := s.owned(); got != "" {
		t.Errorf("orphaned: %s", got)
	}
	s.expect(s.sync(set), fmt.Sprintf("%d created", count))
	s.expect(s.sync(set), fmt.Sprintf("%d unchanged", count))
}

// TestCrashBeforeTheInventoryExists: the namespace of the inventory is made
// before the inventory; a run that dies in between leaves it to be found.
func TestCrashBeforeTheInventoryExists(t *testing.T) {
	for n := 1; ; n++ {
		s := open(t)
		s.options.DefaultNamespace = s.namespace + "-own"
		files := map[string]string{"ns.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: NS-own}\n", "a.yaml": configMap("a", "one")}
		engine, d := s.dieAt(n, true)
		_, _ = engine.Apply(t.Context(), s.read(files), s.options)
		rep := s.sync(files)
		if got := rep.Count(apply.Failed) + rep.Count(apply.Skipped); got != 0 || len(rep.Results) != 2 {
			t.Errorf("died at call %d: %s", n, summary(&rep))
		}
		s.expect(s.sync(files), "2 unchanged")
		s.must(s.client.CoreV1().Namespaces().Delete(t.Context(), s.options.DefaultNamespace, metav1.DeleteOptions{}))
		if d.calls.Load() < int64(n) {
			return
		}
	}
}

// cancelAfter ends a run at its nth request.
func cancelAfter(n int64, cancel func()) func(http.RoundTripper) http.RoundTripper {
	var calls atomic.Int64
	return func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if calls.Add(1) == n {
				cancel()
			}
			return next.RoundTrip(r)
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
