package towline

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// variablesOf are the values that the entry's variables have in this job. GitLab
// has given them to the job; it is asked for nothing more.
func variablesOf(inv tool.Invocation, m agentconfig.Manifests) (map[string]string, error) {
	if m.SubstituteGitLab == nil {
		return nil, nil
	}
	values := map[string]string{}
	var missing []string
	for _, name := range m.SubstituteGitLab.Names {
		v, ok := inv.Getenv(name)
		if !ok {
			missing = append(missing, name)
			continue
		}
		if isFile(name, v) {
			return nil, fmt.Errorf("substitute.gitlab: variable %s is of the type file, and a value stands in a line; make it an ordinary variable", name)
		}
		values[name] = v
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("substitute.gitlab: this job has not been given %s; GitLab gives protected variables to jobs of protected refs, and those of an environment to its jobs. "+
			"To compare all the same, set others for this job under variables in .gitlab-ci.yml", strings.Join(missing, ", "))
	}
	return values, nil
}

// isFile says whether a variable was given as a file of its own name.
func isFile(name, value string) bool {
	if !filepath.IsAbs(value) || filepath.Base(value) != name {
		return false
	}
	info, err := os.Stat(value)
	return err == nil && info.Mode().IsRegular()
}
