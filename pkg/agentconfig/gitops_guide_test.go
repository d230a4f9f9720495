package agentconfig

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestExamplesOfTheGitOpsGuide reads every example of the guides and looks for
// every key in them.
func TestExamplesOfTheGitOpsGuide(t *testing.T) {
	everyKey(t, "gitops.md", ownManifestProject)
	source := ownChart.Keys["source"].Keys
	everyKey(t, "releases.md", ownChart, source["repository"])
}

func everyKey(t *testing.T, name string, schemas ...*schema) {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash("../../docs/guide/" + name))
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
	if len(all) == 0 {
		t.Fatal("no examples found")
	}
	for _, s := range schemas {
		for key := range s.Keys {
			if !strings.Contains(string(text), "| `"+key+"` |") || !regexp.MustCompile(`\b`+key+`:`).MatchString(examples.String()) {
				t.Errorf("%s has no row or no example for %s", name, key)
			}
		}
	}
}

// TestExamplesOfTheMigration reads each towline.yaml of the page on migrations.
func TestExamplesOfTheMigration(t *testing.T) {
	text, err := os.ReadFile(filepath.FromSlash("../../docs/guide/migrate.md"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range regexp.MustCompile("(?s)```yaml\n(gitops:.*?)```").FindAllSubmatch(text, -1) {
		n++
		if own, notices, err := ParseTowline("example", e[1]); err != nil || len(notices) > 0 || len(own.GitOps.Manifests) == 0 {
			t.Errorf("%v %v in\n%s", err, notices, e[1])
		}
	}
	if n == 0 {
		t.Error("no example found")
	}
}
