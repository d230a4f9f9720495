package towline

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

func TestVariablesOfAJob(t *testing.T) {
	file := filepath.Join(t.TempDir(), "KEY")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	inv := tool.Invocation{Environ: []string{"A=1", "B=b=c", "A=2", "EMPTY=", "KEY=" + file, "OTHER=" + file, "NOT_LISTED=x"}}
	of := func(names ...string) agentconfig.Manifests {
		return agentconfig.Manifests{SubstituteGitLab: &agentconfig.GitLabVariables{Names: names}}
	}
	got, err := variablesOf(inv, of("A", "B", "EMPTY", "OTHER"))
	if diff := cmp.Diff(map[string]string{"A": "2", "B": "b=c", "EMPTY": "", "OTHER": file}, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if got, err := variablesOf(inv, agentconfig.Manifests{}); got != nil || err != nil {
		t.Errorf("an entry that names none: %v, %v", got, err)
	}
	if _, err := variablesOf(inv, of("A", "X", "Y")); err == nil || !strings.HasPrefix(err.Error(), "substitute.gitlab: this job has not been given X, Y; GitLab gives protected variables") {
		t.Error(err)
	}
	if _, err := variablesOf(inv, of("KEY")); err == nil || !strings.HasPrefix(err.Error(), "substitute.gitlab: variable KEY is of the type file") {
		t.Error(err)
	}
}
