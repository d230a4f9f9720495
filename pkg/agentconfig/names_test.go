package agentconfig

import (
	"strings"
	"testing"
)

func TestNamesHaveLengths(t *testing.T) {
	t.Parallel()
	for what, tt := range map[string]struct {
		check func(string) (string, string)
		most  int
	}{"object": {checkObjectName, 253}, "entry": {checkEntryName, 200}, "variable": {checkVariable, 100}} {
		if problem, _ := tt.check(strings.Repeat("a", tt.most)); problem != "" {
			t.Errorf("%s of %d characters: %s", what, tt.most, problem)
		}
		for _, wrong := range []string{strings.Repeat("a", tt.most+1), "", "a\n", "-a", "ä"} {
			if problem, _ := tt.check(wrong); problem == "" {
				t.Errorf("%s %q is taken", what, wrong)
			}
		}
	}
}
