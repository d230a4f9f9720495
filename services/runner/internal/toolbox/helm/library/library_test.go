package library

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFallbacksAreTheLinkedVersions: binaries know them from the build.
func TestFallbacksAreTheLinkedVersions(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for module, version := range map[string]string{helmModule: FallbackVersion, kubernetesModule: FallbackKubernetes} {
		if !strings.Contains(string(mod), "\t"+module+" "+version+"\n") {
			t.Errorf("%s is not required as %s", module, version)
		}
	}
	if got := KubeVersion("v0.37.2"); got.Version != "v1.37.0" || got.Major != "1" || got.Minor != "37" {
		t.Errorf("%+v", got)
	}
}

func TestOverlay(t *testing.T) {
	below := map[string]any{"a": map[string]any{"b": 1, "c": 2}, "list": []any{1, 2}, "gone": "x"}
	above := map[string]any{"a": map[string]any{"b": 3}, "list": []any{3}, "gone": nil}
	want := map[string]any{"a": map[string]any{"b": 3, "c": 2}, "list": []any{3}, "gone": nil}
	if diff := cmp.Diff(want, Overlay(below, above)); diff != "" {
		t.Error(diff)
	}
	if below["a"].(map[string]any)["b"] != 1 {
		t.Error("the lower values were changed")
	}
}
