package agentconfig

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestExamplesOfTheGitOpsGuide reads every example of the guide and looks for every key
// in it.
func TestExamplesOfTheGitOpsGuide(t *testing.T) {
	text, err := os.ReadFile(filepath.FromSlash("../../docs/guide/gitops.md"))
	if err != nil {
		t.Fatal(err)
	}
	all := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1)
	var examples strings.Builder
	for _, e := range all {
		own, notices, err := ParseTowline("example", e[1])
		if err != nil || len(notices) > 0 || len(own.GitOps.Manifests) == 0 {
			t.Errorf("%v %v in\n%s", err, notices, e[1])
		}
		examples.Write(e[1])
	}
	if len(all) < 3 {
		t.Fatalf("%d examples found", len(all))
	}
	for _, s := range []*schema{ownManifestProject, chart} {
		for key := range s.Keys {
			if !strings.Contains(string(text), "| `"+key+"` |") || !regexp.MustCompile(`\b`+key+`:`).MatchString(examples.String()) {
				t.Errorf("the guide has no row or no example for %s", key)
			}
		}
	}
}
