package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// elsewhere says which test of which file holds a case that the tests of this
// package do not: cases of the server alone are the simulator's, long waits and
// what nobody outside can see are the packages' own.
var elsewhere = map[int][2]string{
	5:  {"services/tunnel/internal/intake/refusals_test.go", "TestThreeRefusalsDisableTheRunnerForAnHour"},
	16: {"e2e/gitlabsim/request_test.go", "TestAssignmentRules"},
	24: {"e2e/gitlabsim/twophase_test.go", "TestTwoPhases"},
	25: {"e2e/gitlabsim/twophase_test.go", "TestTwoPhases"},
	31: {"e2e/gitlabsim/trace_test.go", "TestPatchRefusals"},
	32: {"e2e/gitlabsim/trace_test.go", "TestPatchRefusals"},
	57: {"e2e/gitlabsim/update_test.go", "TestPutRefusals"},
	79: {"services/runner/internal/worker/prepare_test.go", "TestAPreparationThatFailsIsTriedThreeTimes"},
	88: {"services/policy/internal/decide/decide_test.go", "TestAuthorsWordsDoNotMatter"},
}

// sheet lists the cases of runner-api sheet, section 21.
var sheet = []int{
	1, 2, 3, 4, 5, 6, 9, 10, 12, 14, 15, 16, 17, 18, 19, 21, 22, 24, 25,
	26, 27, 29, 30, 31, 32, 33, 34, 35, 37, 39, 40, 41, 42, 43, 46, 48,
	49, 51, 52, 53, 55, 56, 57, 59, 60, 61, 62, 63, 64, 66, 68,
	69, 70, 71, 72, 73, 74, 76, 77, 79, 81, 82, 83, 87, 88, 89, 93, 94, 96, 98, 100, 101, 103, 104, 105,
}

// tally counts the cases that have held in this run.
var tally struct {
	sync.Mutex
	sheet map[int]bool
	cases int
}

// held notes a case that has come to its end, and which of the sheet it shows.
func held(t *testing.T, of []int) {
	t.Helper()
	if t.Failed() || t.Skipped() {
		return
	}
	tally.Lock()
	defer tally.Unlock()
	tally.cases++
	if tally.sheet == nil {
		tally.sheet = map[int]bool{}
	}
	for _, n := range of {
		tally.sheet[n] = true
	}
}

// unshown is what a whole run did not show.
func unshown() (out []string) {
	shown := 0
	for _, n := range sheet {
		_, other := elsewhere[n]
		switch {
		case tally.sheet[n] && other:
			out = append(out, fmt.Sprintf("case %d of the sheet is held here: it need not be elsewhere", n))
		case tally.sheet[n]:
			shown++
		case !other:
			out = append(out, fmt.Sprintf("case %d of the sheet was not shown", n))
		}
	}
	const beyond = 60 // cases from the rest of the text
	if tally.cases < shown+beyond {
		out = append(out, fmt.Sprintf("%d cases, %d of them of section 21, are too few", tally.cases, shown))
	}
	return out
}

func TestCasesElsewhereExist(t *testing.T) {
	for id, at := range elsewhere {
		exists(t, id, at)
	}
}

// exists looks for the test in its file.
func exists(t *testing.T, id int, at [2]string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(at[0])))
	if err != nil || !strings.Contains(string(text), "\nfunc "+at[1]+"(") {
		t.Errorf("case %d: there is no %s in %s", id, at[1], at[0])
	}
}
