package helmtest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/towline/towline/services/runner/internal/toolbox/helm/library"
)

// Binary is the path of the helm binary of the linked version.
func Binary(tb testing.TB) string {
	tb.Helper()
	path, err := Build()
	if err != nil {
		tb.Fatalf("the helm binary to compare with cannot be built: %v", err)
	}
	return path
}

// Build makes the helm binary with the go command, as helm's Makefile does it.
// The go command only links it when it has changed.
var Build = sync.OnceValues(func() (string, error) {
	kube := library.KubeVersion(library.FallbackKubernetes)
	versions := []string{"-X helm.sh/helm/v3/internal/version.version=" + library.FallbackVersion}
	for _, name := range []string{"helm.sh/helm/v3/pkg/chartutil.k8sVersion", "helm.sh/helm/v3/pkg/lint/rules.k8sVersion"} {
		versions = append(versions, "-X "+name+"Major="+kube.Major, "-X "+name+"Minor="+kube.Minor)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, "towline", "helm-"+library.FallbackVersion+"-kubernetes-"+kube.Version)
	cmd := exec.CommandContext(context.Background(), "go", "build", "-ldflags", strings.Join(versions, " "), "-o", path, "helm.sh/helm/v3/cmd/helm")
	cmd.Dir, cmd.Stderr = packageDir, os.Stderr
	return path, cmd.Run()
})

// packageDir is where the tests begin; some change the directory.
var packageDir, _ = os.Getwd()
