//go:build integration

package helm

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// clusterEnv names a kubeconfig of a real API server.
const clusterEnv = "TOWLINE_E2E_KUBECONFIG"

// clusterShell works in a namespace of its own that must be created.
func clusterShell(t testing.TB, namespace string) *shell {
	t.Helper()
	path := os.Getenv(clusterEnv)
	if path == "" {
		t.Fatalf("%s is not set", clusterEnv)
	}
	s := newShell(t)
	s.env["KUBECONFIG"], s.env["HELM_NAMESPACE"] = path, namespace
	return s
}

func clients(t testing.TB) kubernetes.Interface {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", os.Getenv(clusterEnv))
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// TestReleasesAreThoseOfHelm compares a release's life with the two, each in a
// namespace of its own whose name the comparison does not see.
func TestReleasesAreThoseOfHelm(t *testing.T) {
	suffix := fmt.Sprintf("%d", time.Now().UnixNano())
	theirs, ours := clusterShell(t, "theirs-"+suffix), clusterShell(t, "aours-"+suffix)
	t.Chdir(ours.dir)
	for _, args := range []string{
		"list", "status web", "upgrade web app",
		"upgrade --install web app --create-namespace --dry-run=server --set message=dry",
		"upgrade --install web app --create-namespace --wait --timeout 200s --skip-crds",
		"status web", "status web --show-desc", "list", "list -q", "list --all-namespaces -f ^none$",
		"get all web", "get values web", "get values web --all -o json", "get hooks web", "get notes web", "get metadata web",
		"get all web --template '{{.Release.Name}} {{.Release.Version}}'",
		"upgrade web app --set message=two --history-max 3 --description changed",
		"upgrade --install web app --reuse-values --set service.port=81 --atomic --timeout 100s --skip-crds",
		"upgrade web app --set service.port=70000",
		"upgrade web app --set service.port=70000 --atomic --timeout 50s",
		"history web", "history web --max 2 -o yaml", "get values web --revision 2",
		"rollback web 99", "rollback web 2 --wait --timeout 100s", "history web",
		"diff web", "install web app", "install web app --dry-run", "install other app --dry-run=server --hide-secret --skip-crds",
		"install other app --skip-crds --set service.port=text",
		"install third app --skip-crds --atomic --timeout 30s --set service.port=70000",
		"list -a", "list --failed -o json", "uninstall other",
		"upgrade web schema --set size=3", "upgrade web app --post-renderer add-label --post-renderer-args a --post-renderer-args b",
		"get manifest web --revision 2", "get manifest web", "test web --timeout 5s", "test web --filter name=none",
		"install labelled app --skip-crds -l team=me --no-hooks --hide-notes", "list -l team=me -q",
		"template web app --validate --skip-crds", "template web app --validate --is-upgrade",
		"uninstall web --keep-history", "list --uninstalled", "upgrade -i web app --skip-crds --set message=again",
		"uninstall web labelled --wait --timeout 200s", "uninstall web", "uninstall web --ignore-not-found", "list -a",
		"list --kube-context nowhere", "list --kube-token wrong", "list --kube-apiserver http://127.0.0.1:1",
		"list --kube-as-user nobody --kube-as-group none",
	} {
		want := unplaced(theirs.runReal(t, line{args: args}), theirs)
		got := unplaced(ours.run(t.Context(), line{args: args}), ours)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("helm %s (-helm +ours):\n%s", args, diff)
		}
		if !strings.Contains(got.Out+got.Errors, landmarks[args]) {
			t.Errorf("helm %s: %+v, want %q", args, got, landmarks[args])
		}
	}
}

// landmarks show that a comparison went through what it was written for.
var landmarks = map[string]string{
	"upgrade --install web app --create-namespace --wait --timeout 200s --skip-crds": "STATUS: deployed",
	"history web": "Upgrade \"web\" failed",
	"upgrade web app --set service.port=70000 --atomic --timeout 50s":               "rolled back due to atomic being set",
	"install third app --skip-crds --atomic --timeout 30s --set service.port=70000": "uninstalled due to atomic being set",
	"rollback web 2 --wait --timeout 100s":                                          "Rollback was a success",
	"get manifest web":                                                              "added: a-b",
	"uninstall web labelled --wait --timeout 200s":                                  `release "labelled" uninstalled`,
	"list --kube-as-user nobody --kube-as-group none":                               "forbidden",
}

// TestConfigMapsKeepReleases proves that the other storage in the cluster works.
func TestConfigMapsKeepReleases(t *testing.T) {
	s := clusterShell(t, fmt.Sprintf("configmaps-%d", time.Now().UnixNano()))
	t.Chdir(s.dir)
	s.env["HELM_DRIVER"] = "configmap"
	if r := s.run(t.Context(), line{args: "install web app --create-namespace --skip-crds --no-hooks"}); r.Code != 0 {
		t.Fatal(r)
	}
	compare(t, s, s, []line{{args: "list"}, {args: "status web"}})
	list, err := clients(t).CoreV1().ConfigMaps(s.env["HELM_NAMESPACE"]).List(t.Context(), metav1.ListOptions{LabelSelector: "owner=helm"})
	if err != nil || len(list.Items) != 1 {
		t.Errorf("%d ConfigMaps, %v", len(list.Items), err)
	}
}

// unplaced hides where a release is.
func unplaced(r result, s *shell) result {
	for _, text := range []*string{&r.Out, &r.Errors} {
		*text = strings.ReplaceAll(*text, s.env["HELM_NAMESPACE"], "NAMESPACE")
	}
	return r
}

// TestCancelledInstallIsFailed proves that the end of the job leaves a release
// as SIGTERM leaves it with helm.
func TestCancelledInstallIsFailed(t *testing.T) {
	s := clusterShell(t, fmt.Sprintf("cancelled-%d", time.Now().UnixNano()))
	t.Chdir(s.dir)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan result, 1)
	go func() {
		// Without a kubelet, a Deployment with a replica never becomes ready.
		done <- s.run(ctx, line{args: "upgrade --install stuck stuck --create-namespace --wait --timeout 5m"})
	}()
	client := clients(t)
	deadline := time.Now().Add(time.Minute)
	for {
		list, err := client.AppsV1().Deployments(s.env["HELM_NAMESPACE"]).List(t.Context(), metav1.ListOptions{})
		if err == nil && len(list.Items) == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the Deployment was not created")
		}
	}
	cancel()
	r := <-done
	if r.Code != 1 || !strings.Contains(r.Out, "Release stuck has been cancelled.") || !strings.Contains(r.Errors, "context canceled") {
		t.Errorf("%+v", r)
	}
	if r := s.run(t.Context(), line{args: "list --failed -q"}); r.Out != "stuck\n" {
		t.Errorf("%+v, want the release to be failed", r)
	}
}
