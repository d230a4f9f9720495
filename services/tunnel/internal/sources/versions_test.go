package sources

import (
	"strings"
	"testing"

	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

func TestTheNewestVersionInsideARange(t *testing.T) {
	var tags []gitlab.Tag
	for name := range strings.FieldsSeq("v1.2.0 1.10.0 v1.9.9 v2.0.0 v2.1.0-rc.1 2024 v3 release-9.9.9 v1.10.0 latest") {
		tags = append(tags, gitlab.Tag{Name: name, Commit: "of " + name})
	}
	for versions, want := range map[string]string{
		">=1.2.0 <2": "v1.10.0", "~1.9": "v1.9.9", "*": "v2.0.0", ">=2.1.0-0": "v2.1.0-rc.1", "1.x": "v1.10.0", "^1.2 || ^2": "v2.0.0", "=1.2.0": "v1.2.0",
	} {
		if got, err := Newest(versions, tags); err != nil || got.Name != want || got.Commit != "of "+want {
			t.Errorf("%s: %v, %v; want %s", versions, got, err, want)
		}
	}
	if _, err := Newest(">=3", tags); err == nil || err.Error() != "none of its 10 tags is a version in >=3" {
		t.Errorf("%v", err)
	}
	if _, err := Newest("latest", tags); err == nil {
		t.Error("no range was accepted")
	}
}

func FuzzNewest(f *testing.F) {
	f.Add(">=1.2.0 <2", "v1.3.0")
	f.Fuzz(func(t *testing.T, versions, tag string) {
		if got, err := Newest(versions, []gitlab.Tag{{Name: tag}}); err == nil && got.Name != tag {
			t.Errorf("%q", got.Name)
		}
	})
}
