//go:build integration

package towline

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towline/towline/services/runner/internal/toolbox/kubectl"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// clusterEnv names a kubeconfig of a real API server without a kubelet.
const clusterEnv = "TOWLINE_E2E_KUBECONFIG"

const (
	nothing = `apiVersion: apps/v1
kind: Deployment
metadata: {name: towline-nothing, namespace: default}
spec:
  replicas: 0
  selector: {matchLabels: {app: towline-nothing}}
  template:
    metadata: {labels: {app: towline-nothing}}
    spec: {containers: [{name: c, image: "nginx:1"}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: towline-settings, namespace: default}
data: {a: b}
`
	never = `apiVersion: apps/v1
kind: Deployment
metadata: {name: towline-never, namespace: default}
spec:
  selector: {matchLabels: {app: towline-never}}
  template:
    metadata: {labels: {app: towline-never}}
    spec: {containers: [{name: c, image: "nginx:1"}]}
`
	late = `apiVersion: v1
kind: ConfigMap
metadata: {name: towline-late, namespace: default}
`
	secret = `apiVersion: v1
kind: Secret
metadata: {name: towline-secret, namespace: default}
stringData: {password: %s}
`
)

// cluster is a kubeconfig and a directory with a file.
func cluster(t *testing.T, text string) (config, dir string) {
	t.Helper()
	config = os.Getenv(clusterEnv)
	if config == "" {
		t.Fatalf("%s is not set", clusterEnv)
	}
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "set.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return config, dir
}

// kubectlIn runs kubectl through the same door as `towline diff` does.
func kubectlIn(t *testing.T, config, dir string, args ...string) {
	t.Helper()
	if code, _, errs := runKubectl(t, config, dir, args...); code != 0 {
		t.Fatalf("kubectl %v: %s", args, errs)
	}
}

func runKubectl(t *testing.T, config, dir string, args ...string) (int, string, string) {
	t.Helper()
	var out, errs strings.Builder
	code := kubectl.New(t.TempDir()).Run(context.Background(), tool.Invocation{
		Name: "kubectl", Args: args, Dir: dir, Environ: []string{"KUBECONFIG=" + config},
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
	})
	return code, out.String(), errs.String()
}

func TestWhoamiOfAnAdministrator(t *testing.T) {
	config, dir := cluster(t, "")
	code, out, errs := run(t, config, dir, "", "whoami", "-o", "json")
	var who Identity
	if err := json.Unmarshal([]byte(out), &who); err != nil || code != 0 {
		t.Fatalf("%d, %v, %s", code, err, errs)
	}
	if who.User == "" || len(who.Groups) == 0 || who.Namespace == "" || who.Job != 0 {
		t.Errorf("%+v", who)
	}
}

func TestWaitForWhatIsThere(t *testing.T) {
	config, dir := cluster(t, nothing)
	kubectlIn(t, config, dir, "apply", "-f", "set.yaml")
	t.Cleanup(func() { runKubectl(t, config, dir, "delete", "-f", "set.yaml", "--wait=false") })
	for _, args := range [][]string{
		{"wait", "-f", "set.yaml", "--timeout", "2m"},
		{"wait", "-n", "default", "deployment/towline-nothing", "configmap/towline-settings", "--timeout=2m"},
		{"wait", "-f", "-", "--timeout=2m"},
	} {
		code, out, errs := run(t, config, dir, nothing, args...)
		if code != 0 || !strings.Contains(out, "2 objects are rolled out") || !strings.Contains(out, "deployments.apps/towline-nothing: 0 replicas are available") {
			t.Errorf("%v: %d, %s%s", args, code, out, errs)
		}
	}
}

func TestWaitTimesOutWithTheReasons(t *testing.T) {
	config, dir := cluster(t, never)
	kubectlIn(t, config, dir, "apply", "-f", "set.yaml")
	t.Cleanup(func() { runKubectl(t, config, dir, "delete", "-f", "set.yaml", "--wait=false") })
	code, out, errs := run(t, config, dir, "", "wait", "-f", "set.yaml", "--timeout", "10s")
	if code != exitFailure || !strings.Contains(errs, "timed out after 10s") || !strings.Contains(out, "NOT READY") ||
		!strings.Contains(out, "deployments.apps/towline-never") {
		t.Errorf("%d, %s%s", code, out, errs)
	}
}

func TestWaitSeesWhatComesLater(t *testing.T) {
	config, dir := cluster(t, late)
	t.Cleanup(func() { runKubectl(t, config, dir, "delete", "-f", "set.yaml", "--wait=false") })
	done := make(chan string, 1)
	go func() {
		_, out, errs := run(t, config, dir, "", "wait", "-f", "set.yaml", "--timeout", "2m")
		done <- out + errs
	}()
	kubectlIn(t, config, dir, "apply", "-f", "set.yaml")
	if out := <-done; !strings.Contains(out, "1 objects are rolled out") {
		t.Error(out)
	}
}

func TestDiffMasksSecrets(t *testing.T) {
	config, dir := cluster(t, strings.ReplaceAll(secret, "%s", "before-hunter2"))
	kubectlIn(t, config, dir, "apply", "-f", "set.yaml")
	t.Cleanup(func() { runKubectl(t, config, dir, "delete", "-f", "set.yaml", "--wait=false") })
	if code, out, errs := run(t, config, dir, "", "diff", "-f", "set.yaml"); code != 0 {
		t.Errorf("unchanged: %d, %s%s", code, out, errs)
	}
	changed := strings.ReplaceAll(secret, "%s", "after-hunter2")
	code, out, errs := run(t, config, dir, changed, "diff", "-f", "-")
	if code != 1 || !strings.Contains(out, "***") || strings.Contains(out, "hunter2") {
		t.Errorf("changed: %d, %s%s", code, out, errs)
	}
	if code, _, _ := run(t, config, dir, "", "diff", "-f", "missing.yaml"); code < 1 {
		t.Errorf("missing file: %d", code)
	}
}
