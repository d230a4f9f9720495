//go:build integration

package apply_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/towline/towline/services/runner/internal/apply"
	"github.com/towline/towline/services/runner/internal/apply/inventory"
	"github.com/towline/towline/services/runner/internal/apply/manifests"
)

// clusterEnv names a kubeconfig of a real API server.
const clusterEnv = "TOWLINE_E2E_KUBECONFIG"

// site is a namespace of its own in a real cluster, and an engine.
type site struct {
	tb        testing.TB
	config    *rest.Config
	client    kubernetes.Interface
	dynamic   dynamic.Interface
	namespace string
	engine    *apply.Engine
	options   apply.Options
}

func open(tb testing.TB) *site {
	tb.Helper()
	path := os.Getenv(clusterEnv)
	if path == "" {
		tb.Fatalf("%s is not set", clusterEnv)
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", path)
	s := &site{tb: tb, config: cfg}
	s.must(err)
	cfg.QPS = -1
	s.client, err = kubernetes.NewForConfig(cfg)
	s.must(err)
	s.dynamic, err = dynamic.NewForConfig(cfg)
	s.must(err)
	s.engine, err = apply.New(cfg)
	s.must(err)
	ns, err := s.client.CoreV1().Namespaces().Create(tb.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "apply-"}}, metav1.CreateOptions{})
	s.must(err)
	s.namespace = ns.Name
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_ = s.client.CoreV1().Namespaces().Delete(ctx, s.namespace, metav1.DeleteOptions{})
	})
	s.options = apply.Options{
		DefaultNamespace: s.namespace,
		Inventory:        inventory.Place{ID: "7-42"},
		Prune:            apply.Prune{Timeout: 2 * time.Minute},
	}
	return s
}

// allowed waits until the API server knows that a user has just been given a
// right in the site's namespace.
func (s *site) allowed(user, verb, resource string) {
	s.tb.Helper()
	s.eventually(user+" may "+verb+" "+resource, func(ctx context.Context) bool {
		review, err := s.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: user, ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: s.namespace, Verb: verb, Resource: resource},
		}}, metav1.CreateOptions{})
		s.must(err)
		return review.Status.Allowed
	})
}

func (s *site) must(err error) {
	s.tb.Helper()
	if err != nil {
		s.tb.Fatal(err)
	}
}

// read makes a set of texts; NS in them is the site's namespace.
func (s *site) read(files map[string]string) apply.Set {
	s.tb.Helper()
	var list []manifests.File
	for _, name := range sortedKeys(files) {
		list = append(list, manifests.File{Path: name, Content: []byte(strings.ReplaceAll(files[name], "NS", s.namespace))})
	}
	objects, faults := manifests.Decode(list, manifests.Limits{})
	return apply.Set{Objects: objects, Faults: faults}
}

// apply runs the engine and fails the test when the run fails.
func (s *site) apply(set apply.Set) apply.Report {
	s.tb.Helper()
	rep, err := s.engine.Apply(s.tb.Context(), set, s.options)
	s.must(err)
	return rep
}

// sync applies texts and fails the test unless all went well.
func (s *site) sync(files map[string]string) apply.Report {
	s.tb.Helper()
	rep := s.apply(s.read(files))
	s.must(rep.Err())
	return rep
}

// summary is a report as a test wants it: counts of each action.
func summary(rep *apply.Report) string {
	var parts []string
	for _, a := range []apply.Action{apply.Created, apply.Configured, apply.Replaced, apply.Unchanged, apply.Pruned, apply.Kept, apply.Skipped, apply.Failed} {
		if n := rep.Count(a); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, a))
		}
	}
	if n := rep.Drifted(); n > 0 {
		parts = append(parts, fmt.Sprintf("%d drifted", n))
	}
	return strings.Join(parts, ", ")
}

func (s *site) expect(rep apply.Report, want string) {
	s.tb.Helper()
	if got := summary(&rep); got != want {
		s.tb.Errorf("report: %s; want %s", got, want)
		for _, r := range rep.Results {
			s.tb.Log(r.Line())
		}
		for _, f := range rep.Faults {
			s.tb.Log(f.Error())
		}
	}
}

// nextSecond waits until the API server's clock shows another second: the times
// of managed fields have no finer grain.
func (s *site) nextSecond() {
	now := time.Now()
	t := time.NewTimer(now.Truncate(time.Second).Add(time.Second).Sub(now))
	defer t.Stop()
	<-t.C
}
