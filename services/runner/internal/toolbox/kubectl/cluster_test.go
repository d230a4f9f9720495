//go:build integration

package kubectl

import (
	"os"
	"path/filepath"
	"testing"
)

// clusterEnv names a kubeconfig of a real API server.
const clusterEnv = "TOWLINE_E2E_KUBECONFIG"

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: bench, namespace: default}
spec:
  replicas: 0
  selector: {matchLabels: {app: bench}}
  template:
    metadata: {labels: {app: bench}}
    spec: {containers: [{name: c, image: "nginx:1"}]}
`

func clusterShell(t testing.TB) *shell {
	t.Helper()
	path := os.Getenv(clusterEnv)
	if path == "" {
		t.Fatalf("%s is not set", clusterEnv)
	}
	sh := &shell{k: New(t.TempDir()), dir: t.TempDir(), env: map[string]string{"KUBECONFIG": path}}
	if err := os.WriteFile(filepath.Join(sh.dir, "d.yaml"), []byte(deployment), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sh.run("delete", "-f", "d.yaml", "--wait=false") })
	return sh
}

// TestServerValidatesFields proves that leaving validation to the server keeps
// kubectl's default strictness.
func TestServerValidatesFields(t *testing.T) {
	sh := clusterShell(t)
	sh.stdin = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: strict, namespace: default}\nnonsense: true\n"
	for _, args := range [][]string{{"apply", "-f", "-"}, {"create", "-f", "-"}, {"apply", "--server-side", "-f", "-"}} {
		if code, out, errs := sh.run(args...); code == 0 {
			t.Errorf("%v accepted an unknown field: %s %s", args, out, errs)
		}
	}
	if code, _, errs := sh.run("apply", "--dry-run=server", "--validate=ignore", "-f", "-"); code != 0 {
		t.Error(errs)
	}
}
