package kustomize

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

const module = "sigs.k8s.io/kustomize/kustomize/v5"

var input = map[string]string{
	"base/kustomization.yaml":            "resources: [deployment.yaml, service.yaml]\n",
	"base/deployment.yaml":               "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 1\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec: {containers: [{name: c, image: \"nginx:1\"}]}\n",
	"base/service.yaml":                  "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n",
	"overlay/kustomization.yaml":         "resources: [../base]\nnamespace: prod\nnamePrefix: p-\nimages: [{name: nginx, newTag: \"2\"}]\nconfigMapGenerator: [{name: settings, literals: [a=b], files: [file.txt]}]\nlabels: [{pairs: {team: x}}]\npatches: [{path: patch.yaml}]\n",
	"overlay/file.txt":                   "content\n",
	"overlay/patch.yaml":                 "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 3}\n",
	"outside/kustomization.yaml":         "configMapGenerator: [{name: x, files: [../overlay/file.txt]}]\n",
	"helm/kustomization.yaml":            "helmCharts: [{name: x, repo: \"https://example.invalid\", version: \"1\"}]\n",
	"bad/kustomization.yaml":             "resources: [missing.yaml]\n",
	"kustomization.yaml":                 "resources: [base]\n",
	"extra/a.yaml":                       "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
	"extra/b.yaml":                       "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n",
	"target/keep":                        "",
	"overlay/sub/kustomization.yaml":     "resources: [../../base]\nnameSuffix: -s\n",
	"namespaces/kustomization.yaml":      "resources: [x.yaml]\n",
	"namespaces/x.yaml":                  "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: one}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: two}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: one}\n",
	"components/kustomization.yaml":      "resources: [../base]\ncomponents: [part]\n",
	"components/part/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnamespace: part\n",
}

// TestSameAsKustomize compares output, exit code and all files. Each line is
// one or more commands, divided by semicolons.
func TestSameAsKustomize(t *testing.T) {
	program := filepath.Join(t.TempDir(), "kustomize")
	if out, err := exec.Command("go", "build", "-o", program, module).CombinedOutput(); err != nil {
		t.Fatalf("build the kustomize to compare with: %v\n%s", err, out)
	}
	for _, line := range []string{
		"build overlay",
		"build ./overlay/",
		"build",
		"build .",
		"build overlay/sub",
		"build components",
		"build bad",
		"build missing",
		"build extra",
		"build outside",
		"build outside --load-restrictor LoadRestrictionsNone",
		"build outside --load-restrictor=Nonsense",
		"build overlay --reorder legacy",
		"build overlay --reorder=none",
		"build overlay -o out.yaml",
		"build overlay -o target",
		"build namespaces --output target",
		"build a b",
		"edit set image nginx=registry.example.com/nginx:1.27 ; build",
		"edit set image nginx:1.28 other@sha256:24a0c4b4a4c0eb97a1aabb8e29f18e917d05abfe1b7a7c07857230879ce7d3d3",
		"edit set namespace staging ; build .",
		"edit set nameprefix a-",
		"edit set namesuffix -- -b",
		"edit set replicas web=4 ; build",
		"edit set label team:x",
		"edit set annotation owner:y",
		"edit add resource extra/a.yaml",
		"edit add resource extra/*.yaml ; build",
		"edit add resource missing.yaml",
		"edit add label env:test",
		"edit add annotation a:b",
		"edit add configmap settings --from-literal=a=b",
		"edit add configmap settings --from-file=overlay/file.txt ; build",
		"edit add secret hidden --from-literal=a=b",
		"edit add patch --path overlay/patch.yaml",
		"edit add component components/part",
		"edit remove resource base",
		"edit fix",
		"create --resources base,overlay",
	} {
		t.Run(line, func(t *testing.T) {
			theirs, ours := folder(t), folder(t)
			for command := range strings.SplitSeq(line, " ; ") {
				args := strings.Fields(command)
				var want, got answer
				cmd := exec.Command(program, args...)
				var out, errs bytes.Buffer
				cmd.Dir, cmd.Stdout, cmd.Stderr = theirs, &out, &errs
				var exit *exec.ExitError
				if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
					t.Fatal(err)
				}
				want = answer{cmd.ProcessState.ExitCode(), out.String(), contents(t, theirs)}
				said := ""
				got, said = run(t, ours, args)
				got.Files = contents(t, ours)
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("(-kustomize +here)\n%s\nkustomize says %s\nthis one %s", d, &errs, said)
				}
				if want.Code != 0 && said == "" {
					t.Error("fails without a word")
				}
			}
		})
	}
}

func TestCreateInAnEmptyDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(input["extra/a.yaml"]), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, said := run(t, dir, []string{"create", "--autodetect", "--namespace", "x"}); got.Code != 0 {
		t.Fatal(said)
	}
	got, said := run(t, dir, []string{"build"})
	if got.Code != 0 || !strings.Contains(got.Out, "namespace: x") {
		t.Errorf("%+v %s", got, said)
	}
}

func TestProgramsAreRefused(t *testing.T) {
	for line, want := range map[string]string{
		"build helm":                             "runs an external helm",
		"build helm --enable-helm":               "runs an external helm",
		"build base --enable-alpha-plugins":      "plugins are not available",
		"build base --enable-exec":               "plugins are not available",
		"build https://example.invalid/x?ref=v1": "Fetch them first",
		"build git@example.invalid:a/b":          "Fetch them first",
		"localize base":                          "not available in a job",
		"cfg tree":                               "not available in a job",
	} {
		got, said := run(t, folder(t), strings.Fields(line))
		if got.Code != 1 || got.Out != "" || !strings.Contains(said, want) {
			t.Errorf("%s: %+v, %q", line, got, said)
		}
	}
}

func TestRemoteResourceIsExplained(t *testing.T) {
	dir := folder(t)
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte("resources: [\"git::file:///nowhere/repo?ref=x\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", t.TempDir()) // a job has no git program
	got, said := run(t, dir, []string{"build"})
	if got.Code != 1 || said == "" {
		t.Errorf("%+v %q", got, said)
	}
}

type answer struct {
	Code  int
	Out   string
	Files map[string]string
}

func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range input {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, path))
		out[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func run(t *testing.T, dir string, args []string) (answer, string) {
	t.Helper()
	var out, errs strings.Builder
	code := Run(t.Context(), tool.Invocation{
		Name: "kustomize", Args: args, Dir: dir, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
	})
	return answer{Code: code, Out: out.String()}, errs.String()
}
