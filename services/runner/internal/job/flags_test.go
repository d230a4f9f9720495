package job

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/jobspec"
)

func TestFeatureFlags(t *testing.T) {
	const none = ""
	for name, c := range map[string]struct {
		job      jobspec.Variables
		operator map[string]bool
		head     string // of the log
		seen     string // by the script
	}{
		"nothing said":         {nil, nil, none, "false true"},
		"the job's":            {jobspec.Variables{{Key: "FF_SCRIPT_SECTIONS", Value: "true"}}, nil, "FF_SCRIPT_SECTIONS:true", "true true"},
		"both":                 {jobspec.Variables{{Key: "FF_SCRIPT_SECTIONS", Value: "1"}, {Key: "FF_TIMESTAMPS", Value: "false"}}, nil, "FF_SCRIPT_SECTIONS:true, FF_TIMESTAMPS:false", "true false"},
		"the last counts":      {jobspec.Variables{{Key: "FF_SCRIPT_SECTIONS", Value: "true"}, {Key: "FF_SCRIPT_SECTIONS", Value: "false"}}, nil, none, "false true"},
		"nonsense":             {jobspec.Variables{{Key: "FF_SCRIPT_SECTIONS", Value: "maybe"}}, nil, none, "false true"},
		"the operator forbids": {jobspec.Variables{{Key: "FF_SCRIPT_SECTIONS", Value: "true"}}, map[string]bool{FlagScriptSections: false}, none, "false true"},
		"the operator demands": {jobspec.Variables{{Key: "FF_SCRIPT_SECTIONS", Value: "false"}}, map[string]bool{FlagScriptSections: true}, "FF_SCRIPT_SECTIONS:true", "true true"},
		"flags of others":      {jobspec.Variables{{Key: "FF_NETWORK_PER_BUILD", Value: "true"}}, nil, none, "false true"},
	} {
		spec := testSpec(t, `echo "$FF_SCRIPT_SECTIONS $FF_TIMESTAMPS${FF_NETWORK_PER_BUILD+ passed on}"`).with(c.job...)
		spec.FeatureFlags = c.operator
		got := runJob(t, spec)
		head := none
		if _, rest, ok := strings.Cut(got.runner, "\x1b[0K  feature flags: "); ok {
			head, _, _ = strings.Cut(rest, "\x1b[0;m\n")
		}
		if head != c.head || got.said() != c.seen+"\n" {
			t.Errorf("%s: head %q, the script sees %q", name, head, got.said())
		}
	}
}

var sectionTime = regexp.MustCompile(`(section_(?:start|end)):[0-9]+:`)

// sectioned runs a job with sections in its script, and is its script's output.
func sectioned(t *testing.T, spec *Spec) (string, Result) {
	t.Helper()
	spec.Job.Features.TraceSections = true
	got := runJob(t, spec.with(jobspec.Variable{Key: FlagScriptSections, Value: "true"}))
	return sectionTime.ReplaceAllString(got.stdout, "$1:T:"), got.result
}

// Section 16 of the runner-api sheet; the numbers count items from 0.
func TestCommandsOfSeveralLinesAreSections(t *testing.T) {
	const start, end = "[hide_duration=true,collapsed=true]\r\x1b[0K\x1b[32;1m", "\r\x1b[0K\n"
	spec := testSpec(t, "echo one", "echo 'two\\n'\necho three", "", "IFS=1234567890\necho $IFS").after("echo a\necho b")
	spec.Job.Hooks = nil
	got, result := sectioned(t, spec)
	want := "\x1b[32;1m$ echo one\x1b[0;m\none\n" +
		"section_start:T:section_script_step_1" + start + "$ echo 'two\\n'\necho three\x1b[0;m\ntwo\\n\nthree\nsection_end:T:section_script_step_1" + end +
		"\n" +
		"section_start:T:section_script_step_3" + start + "$ IFS=1234567890\necho $IFS\x1b[0;m\n\nsection_end:T:section_script_step_3" + end +
		"section_start:T:section_after_script_step_0" + start + "$ echo a\necho b\x1b[0;m\na\nb\nsection_end:T:section_after_script_step_0" + end
	got = strings.ReplaceAll(got, strings.Repeat(" ", 10)+"\n", "\n") // $IFS itself, split
	if diff := cmp.Diff(want, got); diff != "" || result.State != StateSuccess {
		t.Errorf("(-want +got):\n%s%+v", diff, result)
	}
}

func TestASectionOfACommandThatFailsStaysOpen(t *testing.T) {
	got, result := sectioned(t, testSpec(t, "echo a\nexit 3"))
	if strings.Contains(got, "section_end") || !strings.HasSuffix(got, "\na\n") || result.ExitCode != 3 {
		t.Errorf("output %q, %+v", got, result)
	}
}

func TestCommandsHaveNoSectionsWhereGitLabDoesNotShowThem(t *testing.T) {
	got := runJob(t, testSpec(t, "echo a\necho b").with(jobspec.Variable{Key: FlagScriptSections, Value: "true"}))
	if got.stdout != "\x1b[32;1m$ echo a # collapsed multi-line command\x1b[0;m\na\nb\n" {
		t.Errorf("output %q", got.stdout)
	}
}

// What goes around a command must not change what it does: bash is the judge.
func TestSectionsAreCommandsThatBashUnderstands(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal("this test compares with bash: install the Debian package bash")
	}
	items := []string{"if true; then", "cat <<'EOF'\n$x '\"\\\nEOF", "fi", "for i in a b\ndo echo \"$i\" # a comment\ndone", "set -u\ntrue &&\n  echo '%s\\t'"}
	s, err := newScript(items, "section_x_")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bash, "--norc", "-c", s.text)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ours, result := sectioned(t, testSpec(t, items...))
	theirs := strings.ReplaceAll(sectionTime.ReplaceAllString(string(out), "$1:T:"), "section_x_", "section_script_step_")
	if diff := cmp.Diff(theirs, ours); diff != "" || result.State != StateSuccess {
		t.Errorf("(-bash +ours):\n%s%+v", diff, result)
	}
	if n := len(slices.Collect(strings.Lines(s.text))); n+1 != len(s.lines) {
		t.Errorf("%d lines, %d of them are known", n, len(s.lines)-1)
	}
}
