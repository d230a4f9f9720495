package gatetest

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/towline/towline/pkg/gate"
	"github.com/towline/towline/pkg/grant"
)

// answers remembers what the API server answered to the gate.
type answers struct {
	http.RoundTripper
	mu   sync.Mutex
	seen []string // status, path
}

// RoundTrip implements http.RoundTripper.
func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := a.RoundTripper.RoundTrip(r)
	if err == nil {
		a.mu.Lock()
		a.seen = append(a.seen, fmt.Sprintf("%d %s", resp.StatusCode, r.URL.Path))
		a.mu.Unlock()
	}
	return resp, err
}

// since returns and forgets what was answered for documents.
func (a *answers) since() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := slices.DeleteFunc(slices.Sorted(slices.Values(a.seen)), func(s string) bool { return !strings.Contains(s, "/api") && !strings.Contains(s, "/openapi") })
	a.seen = nil
	return out
}

// watched is a bench whose gate's own requests are seen.
func watched(t *testing.T) (*bench, *answers) {
	t.Helper()
	b, seen := open(t), &answers{}
	b.own.Wrap(func(rt http.RoundTripper) http.RoundTripper {
		seen.RoundTripper = rt
		return seen
	})
	var err error
	b.gate, err = gate.New(gate.Config{API: b.own, Verifier: grant.NewVerifier(grant.NewStaticKeys(b.signer.Public())), Log: slog.New(slog.DiscardHandler)})
	b.must(err)
	b.serve()
	return b, seen
}

// as opens a session for another user and returns its client.
func (b *bench) as(user string, groups ...string) *kubernetes.Clientset {
	b.t.Helper()
	return b.client(b.job(func(c *grant.Claims) {
		c.Identity = grant.Identity{Mode: grant.ModeCIJob, User: user, Groups: groups}
		c.Job.ID = int64(len(user))
	}))
}

func TestDocumentsAreFetchedOnceForAllJobs(t *testing.T) {
	b, seen := watched(t)
	look := func(user string) (saw string, answers []string) {
		d := b.as(user).Discovery()
		groups, resources, err := d.ServerGroupsAndResources()
		b.must(err)
		doc, err := d.OpenAPISchema()
		b.must(err)
		return fmt.Sprint(len(groups), len(resources), doc.GetInfo().GetVersion()), seen.since()
	}
	lacks := func(answers []string, status string) bool {
		return slices.ContainsFunc(answers, func(a string) bool { return !strings.HasPrefix(a, status) })
	}
	want, answers := look("gitlab:ci_job:1")
	if lacks(answers, "200") {
		t.Errorf("the first job: %v, want 200", answers)
	}
	// Somebody else may change what the API server has; then one more job pays.
	var got string
	for n := range 3 {
		if got, answers = look("gitlab:ci_job:2" + strings.Repeat("2", n)); !lacks(answers, "304") {
			break
		}
	}
	if lacks(answers, "304") {
		t.Errorf("later jobs: %v, want 304", answers)
	}
	if got != want {
		t.Errorf("a later job sees %v, the first %v", got, want)
	}
}

// anyone is a Verifier that believes the bearer's name.
type anyone struct{}

// Verify implements gate.Verifier.
func (anyone) Verify(_ context.Context, user, _ string) (*grant.Claims, error) {
	c := &grant.Claims{Identity: grant.Identity{Mode: grant.ModeCIJob, User: user}}
	c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(time.Hour))
	return c, nil
}

// TestTheCacheGivesNobodyMoreThanTheAPIServer: an unauthenticated user may not
// discover, whatever others have fetched.
func TestTheCacheGivesNobodyMoreThanTheAPIServer(t *testing.T) {
	b := open(t)
	var err error
	b.gate, err = gate.New(gate.Config{API: b.own, Verifier: anyone{}, Log: slog.New(slog.DiscardHandler)})
	b.must(err)
	b.serve()
	client := func(user string) *kubernetes.Clientset {
		s, err := b.gate.Open(t.Context(), user)
		b.must(err)
		t.Cleanup(s.Close)
		return b.client(&session{s, user})
	}
	d := client("gitlab:ci_job:1").Discovery()
	if _, _, err := d.ServerGroupsAndResources(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.OpenAPISchema(); err != nil {
		t.Fatal(err)
	}
	anonymous := client("system:anonymous")
	for _, path := range []string{"/apis", "/openapi/v2"} {
		err := anonymous.Discovery().RESTClient().Get().AbsPath(path).
			SetHeader("Accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json").Do(t.Context()).Error()
		if !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestNewKindsAreSeenAtOnce: a definition made by one job is there for the next
// command of any.
func TestNewKindsAreSeenAtOnce(t *testing.T) {
	b, _ := watched(t)
	cfg, err := b.cluster.RESTConfig()
	b.must(err)
	admin, err := dynamic.NewForConfig(cfg)
	b.must(err)
	definitions := admin.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	group := b.home + ".example"
	name := "things." + group
	definition := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": name},
		"spec": map[string]any{
			"group": group, "scope": "Namespaced", "names": map[string]any{"kind": "Thing", "plural": "things"},
			"versions": []any{map[string]any{"name": "v1", "served": true, "storage": true, "schema": map[string]any{
				"openAPIV3Schema": map[string]any{"type": "object"},
			}}},
		},
	}}
	client := b.as("gitlab:ci_job:1")
	knows := func() bool {
		groups, err := client.Discovery().ServerGroups()
		b.must(err)
		return slices.ContainsFunc(groups.Groups, func(g metav1.APIGroup) bool { return g.Name == group })
	}
	if knows() {
		t.Fatal("known before it exists")
	}
	_, err = definitions.Create(t.Context(), definition, metav1.CreateOptions{})
	b.must(err)
	b.eventually("the new kind is known", knows)
	// A definition that goes before its storage is ready stays half deleted.
	things := admin.Resource(schema.GroupVersionResource{Group: group, Version: "v1", Resource: "things"}).Namespace(b.home)
	b.eventually("its objects can be listed", func() bool {
		_, err := things.List(t.Context(), metav1.ListOptions{})
		return err == nil
	})
	b.must(definitions.Delete(t.Context(), name, metav1.DeleteOptions{}))
	b.eventually("the kind is gone", func() bool { return !knows() })
}
