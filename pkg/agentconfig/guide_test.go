package agentconfig

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

func guide(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../docs/guide/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Every example of the guide that is one of our files is read as it stands.
func TestExamplesOfTheGuide(t *testing.T) {
	read := map[string]int{}
	for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(guide(t), -1) {
		key, _, _ := strings.Cut(m[1], ":")
		var err error
		switch {
		case sections[key].schema != nil:
			_, _, err = ParseTowline("towline.yaml", []byte(m[1]))
		case file.Keys[key] != nil:
			_, _, err = Parse("config.yaml", []byte(m[1]), Options{})
		case strings.Contains(m[1], "script:"):
			continue // a job
		default:
			t.Errorf("neither of our files:\n%s", m[1])
		}
		if err != nil {
			t.Errorf("%v\n%s", err, m[1])
		}
		read[key]++
	}
	if read["refine"] < 4 || read["ci_access"] < 1 {
		t.Errorf("examples read: %v", read)
	}
}

func TestTheGuideKnowsEveryKey(t *testing.T) {
	text := guide(t)
	check := func(k keys, prefix string) {
		t.Helper()
		for name := range k {
			if !strings.Contains(text, "`"+prefix+name+"`") {
				t.Errorf("%s%s is not in the guide", prefix, name)
			}
		}
	}
	top := rules(Options{AllowToken: true}).Keys
	for name := range top {
		if name != "ci_access" && name != "agent" && !strings.Contains(text, "`"+name+"`") {
			t.Errorf("%s is not in the guide", name)
		}
	}
	check(ciAccess.Keys, "ci_access.")
	entry := accessEntry(true).Keys
	check(entry["access_as"].Keys, "access_as.")
	check(impersonate.Keys, "")
	delete(entry, "access_as")
	check(entry, "")
	check(narrowing, "")
	check(scope.Keys, "for.")
	for name := range sections {
		check(keys{name: nil}, "")
	}
	for _, p := range append([]string{PlaceholderEnvironment, PlaceholderProject, PlaceholderRef}, Roles...) {
		check(keys{p: nil}, "")
	}
}
