package toolbox

import (
	"os"
	"strings"
	"testing"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// TestCommandsEndSilentlyWhenNobodyReads: `kubectl ... | head` must not fill the
// log with broken pipes, and pipefail must see what it sees elsewhere.
func TestCommandsEndSilentlyWhenNobodyReads(t *testing.T) {
	tools, dir := box(t), t.TempDir()
	chart := map[string]string{
		"chart/Chart.yaml":        "apiVersion: v2\nname: chart\nversion: 0.1.0\n",
		"chart/templates/cm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
		"kustomization.yaml":      "resources: [chart/templates/cm.yaml]\n",
		"in.json":                 `{"a": 1}`,
	}
	if err := os.MkdirAll(dir+"/chart/templates", 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range chart {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []string{
		"kubectl version --client", "kubectl create cm a --dry-run=client -o yaml", "kubectl get --help", "kubectl options", "kustomize build .",
		"helm template x chart", "helm version", "helm show chart chart", "jq . in.json", "yq . in.json", "sha256sum in.json", "timeout 5 helm version",
	} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Close()
		var errs strings.Builder
		words := strings.Fields(line)
		code := tools.Run(t.Context(), tool.Invocation{
			Name: words[0], Args: words[1:], Dir: dir, Environ: []string{"HOME=" + dir, "PATH=" + SearchPath(nil)},
			Stdin: strings.NewReader(""), Stdout: w, Stderr: &errs,
		})
		_ = w.Close()
		if code != 141 || errs.Len() > 0 {
			t.Errorf("%s: exit %d, %q", line, code, &errs)
		}
	}
}
