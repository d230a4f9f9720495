//go:build integration

package kubectl

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// kubectlEnv names the real kubectl; without it the benchmarks look on PATH,
// where `withcluster --kubectl` puts it.
const kubectlEnv = "TOWLINE_E2E_KUBECTL"

func realKubectl(tb testing.TB) string {
	tb.Helper()
	if path := os.Getenv(kubectlEnv); path != "" {
		return path
	}
	path, err := exec.LookPath("kubectl")
	if err != nil {
		tb.Fatalf("no kubectl to compare with: %v; run this under `withcluster --kubectl --`", err)
	}
	return path
}

// kinds of the mixed set, with how many of each a namespace has.
var kinds = []struct {
	count int
	text  string
}{
	{15, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME, namespace: SPACE, labels: {app: bench}}\ndata: {key: value, file: \"a\\nb\\nc\\n\"}\n"},
	{5, "apiVersion: v1\nkind: Secret\nmetadata: {name: NAME, namespace: SPACE}\nstringData: {password: secret}\n"},
	{8, "apiVersion: v1\nkind: Service\nmetadata: {name: NAME, namespace: SPACE}\nspec: {selector: {app: NAME}, clusterIP: None, ports: [{name: http, port: 80, targetPort: 8080}]}\n"},
	{8, `apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: SPACE}
spec:
  replicas: 0
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      containers:
      - name: app
        image: registry.invalid/app:1
        env: [{name: A, value: "1"}, {name: B, value: "2"}]
        ports: [{containerPort: 8080}]
        resources: {requests: {cpu: 10m, memory: 16Mi}}
        readinessProbe: {httpGet: {path: /, port: 8080}}
`},
	{5, "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: NAME, namespace: SPACE}\n"},
	{4, "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: NAME, namespace: SPACE}\nrules: [{apiGroups: [\"\"], resources: [pods], verbs: [get, list]}]\n"},
	{4, "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: NAME, namespace: SPACE}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: NAME}\nsubjects: [{kind: User, name: u, apiGroup: rbac.authorization.k8s.io}]\n"},
	{1, `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: NAME, namespace: SPACE}
spec: {rules: [{host: a.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: s, port: {number: 80}}}}]}}]}
`},
}

// mixedObjects writes 50 objects for each of 20 namespaces and creates them.
func mixedObjects(b *testing.B) *shell {
	b.Helper()
	sh := clusterShell(b)
	var spaces strings.Builder
	for n := range 20 {
		space := fmt.Sprintf("bench-%d", n)
		fmt.Fprintf(&spaces, "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n", space)
		var file strings.Builder
		for k, kind := range kinds {
			for i := range kind.count {
				file.WriteString("---\n" + strings.NewReplacer("NAME", fmt.Sprintf("o-%d-%d", k, i), "SPACE", space).Replace(kind.text))
			}
		}
		writeText(b, filepath.Join(sh.dir, "many", space+".yaml"), file.String())
	}
	writeText(b, filepath.Join(sh.dir, "spaces.yaml"), spaces.String())
	for _, args := range [][]string{{"apply", "-f", "spaces.yaml"}, {"apply", "-f", "many"}} {
		if code, _, errs := sh.run(args...); code != 0 {
			b.Fatal(errs)
		}
	}
	b.Cleanup(func() { sh.run("delete", "-f", "spaces.yaml", "--wait=false") })
	return sh
}

func writeText(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkApply compares applying one unchanged Deployment, and getting it,
// here and with a kubectl process.
func BenchmarkApply(b *testing.B) {
	sh := clusterShell(b)
	sh.run("apply", "-f", "d.yaml")
	for _, args := range [][]string{
		{"apply", "-f", "d.yaml"},
		{"apply", "--server-side", "--force-conflicts", "-f", "d.yaml"},
		{"get", "-f", "d.yaml", "-o", "name"},
	} {
		name := strings.Join(args[:2], " ")
		b.Run("here/"+name, func(b *testing.B) { here(b, sh, args) })
		b.Run("process/"+name, func(b *testing.B) { process(b, sh, args) })
	}
}

// BenchmarkColdApply is the first apply of a job's process, with discovery.
func BenchmarkColdApply(b *testing.B) {
	sh := clusterShell(b)
	sh.run("apply", "-f", "d.yaml")
	b.ReportAllocs()
	for b.Loop() {
		sh.k = New(b.TempDir())
		if code, _, errs := sh.run("apply", "-f", "d.yaml"); code != 0 {
			b.Fatal(errs)
		}
	}
}

// BenchmarkApplyThousand compares `kubectl apply -f DIR` of 1,000 unchanged
// objects. The process takes a minute.
func BenchmarkApplyThousand(b *testing.B) {
	sh := mixedObjects(b)
	args := []string{"apply", "-f", "many"}
	b.Run("here", func(b *testing.B) { here(b, sh, args) })
	b.Run("process", func(b *testing.B) { process(b, sh, args) })
}

func here(b *testing.B, sh *shell, args []string) {
	b.ReportAllocs()
	for b.Loop() {
		if code, _, errs := sh.run(args...); code != 0 {
			b.Fatal(errs)
		}
	}
}

func process(b *testing.B, sh *shell, args []string) {
	path := realKubectl(b)
	for b.Loop() {
		cmd := exec.CommandContext(b.Context(), path, args...)
		cmd.Dir, cmd.Env = sh.dir, append(os.Environ(), "KUBECONFIG="+sh.env["KUBECONFIG"], "HOME="+sh.dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
	}
}
