package job

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/jobspec"
)

func TestLogOfAWholeJob(t *testing.T) {
	spec := testSpec(t, "echo hello", "X=1\nexport X", "", "echo $X >&2").after("echo $CI_JOB_STATUS")
	spec.Job.Features.TraceSections = true
	spec.Job.Image = &jobspec.Image{Name: "alpine:3"}
	spec.Preamble = []string{"allowed by ci_access.projects[0]"}
	got := runJob(t, spec)
	const section = "section_start:1700000000:"
	const end = "section_end:1700000000:"
	want := "\x1b[0KRunning with towline 1.2.3\x1b[0;m\n" +
		"\x1b[0K  on unit, system ID: s_1\x1b[0;m\n" +
		section + "prepare_executor\r\x1b[0K\x1b[0K\x1b[36;1mPreparing the \"towline\" executor\x1b[0;m\x1b[0;m\n" +
		"\x1b[0KUsing the in-process shell...\x1b[0;m\n" +
		"\x1b[32;1mThe image alpine:3 is not used: commands run in the runner's own process\x1b[0;m\n" +
		end + "prepare_executor\r\x1b[0K" +
		section + "prepare_script\r\x1b[0K\x1b[0K\x1b[36;1mPreparing environment\x1b[0;m\x1b[0;m\n" +
		"Running on host-1...\n" +
		"\x1b[0Kallowed by ci_access.projects[0]\x1b[0;m\n" +
		end + "prepare_script\r\x1b[0K" +
		section + "get_sources\r\x1b[0K\x1b[0K\x1b[36;1mGetting source from Git repository\x1b[0;m\x1b[0;m\n" +
		"\x1b[32;1mSkipping Git repository setup\x1b[0;m\n" +
		"\x1b[32;1mSkipping Git checkout\x1b[0;m\n" +
		"\x1b[32;1mSkipping Git submodules setup\x1b[0;m\n" +
		end + "get_sources\r\x1b[0K" +
		section + "step_script\r\x1b[0K\x1b[0K\x1b[36;1mExecuting \"step_script\" stage of the job script\x1b[0;m\x1b[0;m\n" +
		"\x1b[32;1m$ echo hello\x1b[0;m\n" +
		"hello\n" +
		"\x1b[32;1m$ X=1 # collapsed multi-line command\x1b[0;m\n" +
		"\n" +
		"\x1b[32;1m$ echo $X >&2\x1b[0;m\n" +
		"1\n" +
		end + "step_script\r\x1b[0K" +
		section + "after_script\r\x1b[0K\x1b[0K\x1b[36;1mRunning after_script\x1b[0;m\x1b[0;m\n" +
		"\x1b[32;1mRunning after script...\x1b[0;m\n" +
		"\x1b[32;1m$ echo $CI_JOB_STATUS\x1b[0;m\n" +
		"success\n" +
		end + "after_script\r\x1b[0K" +
		section + "cleanup_file_variables\r\x1b[0K\x1b[0K\x1b[36;1mCleaning up project directory and file based variables\x1b[0;m\x1b[0;m\n" +
		end + "cleanup_file_variables\r\x1b[0K" +
		"\x1b[32;1mJob succeeded\x1b[0;m\n"
	if diff := cmp.Diff(want, got.log); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	if got.result != (Result{State: StateSuccess}) || got.started != 1 || got.stderr != "1\n" {
		t.Errorf("result %+v, started %d, stderr %q", got.result, got.started, got.stderr)
	}
}
