package gatetest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/towline/towline/pkg/grant"
)

// deploying is a job that may edit a namespace of its own.
func deploying(t *testing.T, change func(*grant.Claims)) (*bench, *session, *kubernetes.Clientset, string) {
	t.Helper()
	b := open(t)
	ns := b.cluster.Namespace(t)
	b.allow(ns, "Group", "gitlab:project:42")
	s := b.job(func(c *grant.Claims) {
		if change != nil {
			change(c)
			c.Namespaces = append(c.Namespaces, ns)
		}
	})
	c := b.client(s)
	b.settled(c, ns)
	return b, s, c, ns
}

func TestRequestsGoOverHTTP2(t *testing.T) {
	b, s, _, _ := deploying(t, nil)
	client, err := rest.HTTPClientFor(b.config(s))
	b.must(err)
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+"/version", nil)
	resp, err := client.Do(req)
	b.must(err)
	_ = resp.Body.Close()
	if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusOK {
		t.Errorf("%s %s", resp.Proto, resp.Status)
	}
}

// next is the next event of a watch that is no bookmark.
func next(t *testing.T, w watch.Interface) (watch.Event, bool) {
	t.Helper()
	for {
		select {
		case e, ok := <-w.ResultChan():
			if ok && e.Type == watch.Bookmark {
				continue
			}
			return e, ok
		case <-time.After(patience):
			t.Fatal("no event")
		}
	}
}

func TestWatchesFollowAndEndWithTheSession(t *testing.T) {
	b, s, c, ns := deploying(t, nil)
	w, err := c.CoreV1().ConfigMaps(ns).Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=watched"})
	b.must(err)
	defer w.Stop()
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "watched"}}
	_, err = b.admin.CoreV1().ConfigMaps(ns).Create(t.Context(), object, metav1.CreateOptions{})
	b.must(err)
	if e, ok := next(t, w); !ok || e.Type != watch.Added {
		t.Errorf("event = %+v", e)
	}
	b.must(b.admin.CoreV1().ConfigMaps(ns).Delete(t.Context(), "watched", metav1.DeleteOptions{}))
	if e, ok := next(t, w); !ok || e.Type != watch.Deleted {
		t.Errorf("event = %+v", e)
	}
	s.Close()
	for {
		e, ok := next(t, w)
		if !ok {
			break
		}
		if e.Type != watch.Error {
			t.Fatalf("after the end: %+v", e)
		}
	}
	_, err = c.CoreV1().ConfigMaps(ns).List(t.Context(), metav1.ListOptions{})
	if !apierrors.IsUnauthorized(err) || !strings.Contains(err.Error(), "its job is over") {
		t.Errorf("a request after the end: %v", err)
	}
}

func TestAThousandObjects(t *testing.T) {
	const objects, workers = 1000, 8
	b, _, c, ns := deploying(t, nil)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := w; i < objects; i += workers {
				object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("c-%d", i), Labels: map[string]string{"of": "thousand"}}, Data: map[string]string{"k": strings.Repeat("x", 500)}}
				if _, err := c.CoreV1().ConfigMaps(ns).Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	for _, limit := range []int64{0, 300} {
		seen, from := 0, ""
		for {
			list, err := c.CoreV1().ConfigMaps(ns).List(t.Context(), metav1.ListOptions{LabelSelector: "of=thousand", Limit: limit, Continue: from})
			b.must(err)
			seen += len(list.Items)
			if from = list.Continue; from == "" {
				break
			}
		}
		if seen != objects {
			t.Errorf("with limit %d: %d objects", limit, seen)
		}
	}
	b.must(c.CoreV1().ConfigMaps(ns).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "of=thousand"}))
	left, err := b.admin.CoreV1().ConfigMaps(ns).List(t.Context(), metav1.ListOptions{LabelSelector: "of=thousand"})
	if err != nil || len(left.Items) != 0 {
		t.Errorf("%d objects left, %v", len(left.Items), err)
	}
}

func TestServerSideApply(t *testing.T) {
	b, _, c, ns := deploying(t, nil)
	apply := func(manager, value string, force bool) error {
		_, err := c.CoreV1().ConfigMaps(ns).Apply(t.Context(), applycorev1.ConfigMap("applied", ns).WithData(map[string]string{"k": value}), metav1.ApplyOptions{FieldManager: manager, Force: force})
		return err
	}
	b.must(apply("one", "a", false))
	b.must(apply("one", "b", false))
	if err := apply("two", "c", false); !apierrors.IsConflict(err) || !strings.Contains(err.Error(), `conflict with "one"`) {
		t.Errorf("a conflict: %v", err)
	}
	b.must(apply("two", "c", true))
	got, err := b.admin.CoreV1().ConfigMaps(ns).Get(t.Context(), "applied", metav1.GetOptions{})
	if err != nil || got.Data["k"] != "c" {
		t.Errorf("%v, %v", got.Data, err)
	}
}

// TestNamespacesOfTheGrantNarrowRBAC: RBAC would allow both namespaces.
func TestNamespacesOfTheGrantNarrowRBAC(t *testing.T) {
	b, _, c, ns := deploying(t, func(*grant.Claims) {})
	other := b.cluster.Namespace(t)
	b.allow(other, "Group", "gitlab:project:42")
	b.settled(b.client(b.job(nil)), other)
	ctx, all := t.Context(), metav1.ListOptions{}
	if _, err := c.CoreV1().ConfigMaps(ns).List(ctx, all); err != nil {
		t.Errorf("inside: %v", err)
	}
	for name, call := range map[string]func() error{
		"the other namespace": func() error { _, err := c.CoreV1().ConfigMaps(other).List(ctx, all); return err },
		"all namespaces":      func() error { _, err := c.CoreV1().ConfigMaps("").List(ctx, all); return err },
		"the list of them":    func() error { _, err := c.CoreV1().Namespaces().List(ctx, all); return err },
		"deleting its own":    func() error { return c.CoreV1().Namespaces().Delete(ctx, ns, metav1.DeleteOptions{}) },
		"something of no one": func() error { _, err := c.CoreV1().Nodes().List(ctx, all); return err },
		"a watch of all":      func() error { _, err := c.CoreV1().Pods("").Watch(ctx, all); return err },
		"figures of all":      func() error { return c.Discovery().RESTClient().Get().AbsPath("/metrics").Do(ctx).Error() },
	} {
		err := call()
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "towline: ") || !strings.Contains(err.Error(), ns) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDiscoveryWorksInsideNamespaces does what kubectl does before its first
// request.
func TestDiscoveryWorksInsideNamespaces(t *testing.T) {
	b, _, c, _ := deploying(t, func(*grant.Claims) {})
	d := c.Discovery()
	groups, resources, err := d.ServerGroupsAndResources()
	if err != nil || len(groups) < 10 || len(resources) < 15 {
		t.Errorf("%d groups, %d lists of resources, %v", len(groups), len(resources), err)
	}
	if v, err := d.ServerVersion(); err != nil || v.GitVersion == "" {
		t.Errorf("version %v, %v", v, err)
	}
	paths, err := d.OpenAPIV3().Paths()
	b.must(err)
	if doc, err := paths["apis/apps/v1"].Schema("application/json"); err != nil || len(doc) < 1000 {
		t.Errorf("schema of %d bytes, %v", len(doc), err)
	}
	if _, err := d.OpenAPISchema(); err != nil {
		t.Errorf("openapi v2: %v", err)
	}
	if _, err := whoami(t, c); err != nil {
		t.Errorf("kubectl auth whoami: %v", err)
	}
}

// TestExecReachesTheAPIServerBothWays: there is no node, so the answer to a
// command is the API server's refusal, and not the gate's.
func TestExecReachesTheAPIServerBothWays(t *testing.T) {
	b, s, c, ns := deploying(t, nil)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "none.example/none"}}}}
	_, err := c.CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{})
	b.must(err)
	req := c.CoreV1().RESTClient().Post().Resource("pods").Name("p").Namespace(ns).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Command: []string{"true"}, Stdout: true}, scheme.ParameterCodec)
	spdy, err := remotecommand.NewSPDYExecutor(b.config(s), http.MethodPost, req.URL())
	b.must(err)
	ws, err := remotecommand.NewWebSocketExecutor(b.config(s), http.MethodGet, req.URL().String())
	b.must(err)
	for name, way := range map[string]remotecommand.Executor{"SPDY": spdy, "WebSocket": ws} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		err := way.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: new(strings.Builder)})
		cancel()
		if err == nil || errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "towline") || !strings.Contains(err.Error(), "does not have a host assigned") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAClientThatImpersonatesIsRefused(t *testing.T) {
	b, s, _, _ := deploying(t, nil)
	cfg := b.config(s)
	cfg.Impersonate.UserName = "system:admin"
	c, err := kubernetes.NewForConfig(cfg)
	b.must(err)
	if _, err := whoami(t, c); !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "remove --as") {
		t.Errorf("error = %v", err)
	}
}
