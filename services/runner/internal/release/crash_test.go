//go:build integration

package release

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// mortal is a connection that dies after some requests, and with it whoever
// works over it.
type mortal struct {
	next http.RoundTripper
	left *atomic.Int64
}

func (m mortal) RoundTrip(req *http.Request) (*http.Response, error) {
	if m.left.Add(-1) < 0 {
		return nil, errors.New("died")
	}
	return m.next.RoundTrip(req)
}

// dying is an engine with so many requests to live.
func (p *place) dying(t *testing.T, requests int64) (*Engine, *atomic.Int64) {
	t.Helper()
	left := new(atomic.Int64)
	left.Store(requests)
	cfg := rest.CopyConfig(p.config)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return mortal{next, left} })
	e, err := New(cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return e, left
}

// TestDeathAtEveryRequest lets a run die at each of its requests, puts other
// content into the repository meanwhile, and expects that the next run makes
// that true: no object lost, none left over.
func TestDeathAtEveryRequest(t *testing.T) {
	texts := webChart()
	before := files(t, texts)
	extra := func(name string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\n"
	}
	texts["templates/one.yaml"] = extra("one")
	middle := files(t, texts)
	delete(texts, "templates/one.yaml")
	texts["templates/two.yaml"] = extra("two")
	after := files(t, texts)
	for name, first := range map[string]bool{"installation": true, "upgrade": false} {
		t.Run(name, func(t *testing.T) {
			for n := int64(0); ; n++ {
				p := newPlace(t)
				spec := p.spec(before)
				if !first {
					p.must(t, spec, ActionInstall)
				}
				spec.Chart.Directory.Root = middle
				e, left := p.dying(t, n)
				_, err := e.Reconcile(t.Context(), spec)
				spec.Chart.Directory.Root = after
				if _, err := p.Reconcile(t.Context(), spec); err != nil {
					t.Fatalf("after a death at request %d: %v", n, err)
				}
				if r := p.must(t, spec); r.Status != "deployed" {
					t.Errorf("after a death at request %d: %+v", n, r)
				}
				p.expect(t, n, "two", "web")
				if left.Load() >= 0 && err == nil {
					t.Logf("%d requests", n-left.Load())
					return
				}
			}
		})
	}
}

// expect compares the ConfigMaps of the release, and that all else is there.
func (p *place) expect(t *testing.T, n int64, names ...string) {
	t.Helper()
	list, err := p.client.CoreV1().ConfigMaps(p.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/managed-by=Helm"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range list.Items {
		got = append(got, list.Items[i].Name)
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("after a death at request %d: ConfigMaps %q, want %q", n, got, names)
	}
	if _, err := p.client.AppsV1().Deployments(p.namespace).Get(t.Context(), "web", metav1.GetOptions{}); err != nil {
		t.Errorf("after a death at request %d: %v", n, err)
	}
}
