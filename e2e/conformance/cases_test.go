package conformance

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// elsewhere says which test of which file holds a case that the tests of this
// package do not: cases of the server alone are the simulator's, long waits and
// what nobody outside can see are the packages' own.
var elsewhere = map[int][2]string{
	5:  {"services/tunnel/internal/intake/refusals_test.go", "TestThreeRefusalsDisableTheRunnerForAnHour"},
	14: {"e2e/gitlabsim/request_test.go", "TestMissingFeatureDropsTheJob"},
	16: {"e2e/gitlabsim/request_test.go", "TestAssignmentRules"},
	17: {"e2e/gitlabsim/request_test.go", "TestPayloadErrorIsSchedulerFailure"},
	18: {"e2e/gitlabsim/request_test.go", "TestManagersBySystemID"},
	24: {"e2e/gitlabsim/twophase_test.go", "TestTwoPhases"},
	25: {"e2e/gitlabsim/twophase_test.go", "TestTwoPhases"},
	29: {"e2e/gitlabsim/trace_test.go", "TestBadRangesAreRewound"},
	30: {"e2e/gitlabsim/trace_test.go", "TestLostTraceIsResentFromZero"},
	31: {"e2e/gitlabsim/trace_test.go", "TestPatchRefusals"},
	32: {"e2e/gitlabsim/trace_test.go", "TestPatchRefusals"},
	46: {"e2e/gitlabsim/trace_test.go", "TestTraceSizeLimit"},
	57: {"e2e/gitlabsim/update_test.go", "TestPutRefusals"},
	59: {"e2e/gitlabsim/update_test.go", "TestErasedAndExpired"},
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

var (
	number   = regexp.MustCompile(`(?m)^\t*// (\d+(?:, \d+)*)$`)
	caseName = regexp.MustCompile(`(?:name:\s+|\{)"given `)
)

func TestEveryCaseHasItsTest(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	must(t, err)
	here, cases := map[int]bool{}, 0
	for _, f := range files {
		text, err := os.ReadFile(f)
		must(t, err)
		cases += len(caseName.FindAll(text, -1))
		for _, m := range number.FindAllSubmatch(text, -1) {
			for n := range strings.SplitSeq(string(m[1]), ", ") {
				id, err := strconv.Atoi(n)
				must(t, err)
				here[id] = true
			}
		}
	}
	held := 0
	for _, id := range sheet {
		at, other := elsewhere[id]
		switch {
		case here[id]:
			held++
		case other:
			exists(t, id, at)
		default:
			t.Errorf("case %d has no test", id)
		}
	}
	const beyond = 60 // cases from the rest of the text
	if cases < held+beyond {
		t.Errorf("%d cases here, %d of them of section 21", cases, held)
	}
	t.Logf("%d cases here; %d of the %d of section 21, the others in the packages' own tests", cases, held, len(sheet))
}

// exists looks for the test in its file.
func exists(t *testing.T, id int, at [2]string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(at[0])))
	if err != nil || !strings.Contains(string(text), "\nfunc "+at[1]+"(") {
		t.Errorf("case %d: there is no %s in %s", id, at[1], at[0])
	}
}
