package helm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestChartsSeeTheLinkedKubernetes: what a chart is rendered for where no
// cluster is asked, and what lint calls deprecated.
func TestChartsSeeTheLinkedKubernetes(t *testing.T) {
	compare(t, newShell(t), newShell(t), []line{
		{args: "template mine capabilities -s templates/known.yaml"},
		{args: "template mine capabilities --kube-version 1.24.0"},
		{args: "template mine capabilities -s templates/known.yaml --kube-version 1.30.1 -a a/v1"},
		{args: "lint capabilities"},
		{args: "lint capabilities --strict --kube-version 1.21.0"},
	})
}

// TestFallbacksAreTheLinkedVersions: binaries know them from the build.
func TestFallbacksAreTheLinkedVersions(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join(packageDir, "..", "..", "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for module, version := range map[string]string{helmModule: fallbackVersion, kubernetesModule: fallbackKubernetes} {
		if !strings.Contains(string(mod), "\t"+module+" "+version+"\n") {
			t.Errorf("%s is not required as %s", module, version)
		}
	}
	if got := kubeVersion("v0.37.2"); got.Version != "v1.37.0" || got.Major != "1" || got.Minor != "37" {
		t.Errorf("%+v", got)
	}
}
