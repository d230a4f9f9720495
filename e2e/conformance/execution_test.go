package conformance

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	sim "github.com/towline/towline/e2e/gitlabsim"
)

type object = map[string]any

func TestExecution(t *testing.T) {
	t.Parallel()
	i := install(t, sim.Options{}, nil)
	cases := append(scriptCases(), variableCases()...)
	cases = append(cases, payloadCases()...)
	cases = append(cases, logCases()...)
	i.runAll(append(cases, endCases()...))
}

func scriptCases() []execCase {
	return []execCase{
		{
			of: []int{55}, name: "given a script that exits 42 when it ends then the job fails with 42",
			yaml: "script: [exit 42]", status: sim.Failed, reason: "script_failure", exit: 42, has: []string{"ERROR: Job failed: exit status 42"},
		},
		{
			name: "given a pipe whose first command fails when it ends then the script stops there",
			yaml: "script: [\"false | true\", echo not reached]", status: sim.Failed, reason: "script_failure", exit: 1, lacks: []string{"not reached"},
		},
		{
			name: "given failing commands behind if, || and ! when they fail then the script goes on",
			yaml: "script:\n  - if false; then echo never; fi\n  - false || echo or\n  - \"! false\"\n  - echo end", has: []string{"or", "end"},
		},
		{
			of: []int{69}, name: "given a script that fails when it ends then after_script runs with CI_JOB_STATUS failed",
			yaml: "script: [\"false\"]\nafter_script: [\"echo status=$CI_JOB_STATUS\"]", status: sim.Failed, reason: "script_failure", exit: 1,
			has: []string{"Running after_script", "Running after script...", "status=failed"},
		},
		{
			name: "given a script that succeeds when after_script runs then CI_JOB_STATUS was running and is success",
			yaml: "script: [\"echo before=$CI_JOB_STATUS\"]\nafter_script: [\"echo after=$CI_JOB_STATUS\"]", has: []string{"before=running", "after=success", "Job succeeded"},
		},
		{
			of: []int{73}, name: "given an after_script that fails when the script was good then the job succeeds with a warning",
			yaml: "script: [\"true\"]\nafter_script: [exit 1]", has: []string{"WARNING: after_script failed, but job will continue unaffected: exit status 1", "Job succeeded"},
		},
		{
			name: "given AFTER_SCRIPT_IGNORE_ERRORS=false when after_script fails then the job fails",
			yaml: "variables:\n  AFTER_SCRIPT_IGNORE_ERRORS: \"false\"\nscript: [\"true\"]\nafter_script: [exit 3]", status: sim.Failed, reason: "script_failure", exit: 3,
		},
		{
			of: []int{74}, name: "given export and cd in the script when after_script runs then neither is seen",
			yaml: "script: [export X=1, cd /, \"f() { echo never; }\"]\nafter_script: [\"echo x=[$X]\", \"[ $PWD = $CI_PROJECT_DIR ] && echo home\"]", has: []string{"x=[]", "home"},
		},
		{
			name: "given export in before_script when the script runs then it is seen: they share a shell",
			yaml: "before_script: [export X=1]\nscript: [\"echo x=[$X]\"]", has: []string{"x=[1]"},
		},
		{
			of: []int{76}, name: "given nothing to do in a stage when the job runs then it prints no section",
			yaml: "script: [\"true\"]", lacks: []string{"Running after_script", "Restoring cache", "Downloading artifacts", "Uploading artifacts", "Resolving secrets"},
			check: func(t *testing.T, raw string, _ sim.Job) {
				for _, s := range []string{"after_script", "restore_cache", "download_artifacts", "archive_cache", "upload_artifacts_on_success", "resolve_secrets"} {
					if strings.Contains(raw, ":"+s) {
						t.Errorf("there is a section %s", s)
					}
				}
			},
		},
		{
			of: []int{77}, name: "given script and release steps when the first fails then the second is skipped and after_script runs", mutate: withRelease("echo released"),
			yaml: "script: [exit 5]\nafter_script: [echo after]", status: sim.Failed, reason: "script_failure", exit: 5, has: []string{"after"}, lacks: []string{"step_release", "released"},
		},
		{
			name: "given script and release steps when the first succeeds then the second runs with variables put in by the runner", mutate: withRelease("echo 'for $CI_PROJECT_NAME'"),
			yaml: "script: [echo one]", has: []string{"one", `Executing "step_release" stage of the job script`, "for shop"},
		},
		{
			of: []int{81}, name: "given GITLAB_ENV written in a step when the next runs then its variables are there", mutate: withRelease("echo \"x=[$$FROM_STEP]\""),
			yaml: "script: [\"echo FROM_STEP=1 >> $GITLAB_ENV\"]\nafter_script: [\"echo y=[$FROM_STEP]\"]", has: []string{"x=[1]", "y=[1]"},
			order: []string{`Executing "step_script" stage of the job script`, `Executing "step_release" stage of the job script`, "x=[1]", "Running after_script", "y=[1]"},
		},
		{
			name: "given a job that has not written GITLAB_ENV when it runs then another job's is not there",
			yaml: "script: [\"[ -e $GITLAB_ENV ] || echo none; echo z=[$FROM_STEP]\"]", has: []string{"none", "z=[]"},
		},
		{
			name: "given a command that reads when the script runs then its input is empty",
			yaml: "script: [\"read x || echo end of input\"]", has: []string{"end of input"},
		},
		{
			name: "given script items of one, several and no lines when they are echoed then each has its form",
			yaml: "script:\n  - \"  echo padded  \"\n  - |\n    echo first\n    echo second\n  - \"\"", has: []string{"$ echo padded", "$ echo first # collapsed multi-line command", "second", ""},
		},
		{
			name: "given a syntax error when the script begins then nothing of it runs",
			yaml: "script: [echo never, \"if true; then\"]", status: sim.Failed, reason: "script_failure", exit: 2, lacks: []string{"\nnever\n"},
		},
		{
			name: "given a command that does not exist when it is called then the exit code is 127",
			yaml: "script: [no-such-command]", status: sim.Failed, reason: "script_failure", exit: 127,
		},
		{
			of: []int{63}, name: "given RUNNER_SCRIPT_TIMEOUT when the script exceeds it then after_script sees timedout and the reason is job_execution_timeout",
			yaml: "variables:\n  RUNNER_SCRIPT_TIMEOUT: 1s\nscript: [sleep 30]\nafter_script: [\"echo status=$CI_JOB_STATUS\"]", status: sim.Failed, reason: "job_execution_timeout", has: []string{"status=timedout"},
		},
		{
			of: []int{64}, name: "given a malformed timeout when the job is prepared then it is warned of and ignored",
			yaml: "variables:\n  RUNNER_SCRIPT_TIMEOUT: soon\nscript: [\"true\"]", has: []string{"WARNING: Ignoring malformed RUNNER_SCRIPT_TIMEOUT timeout: soon"},
		},
		{
			name: "given a negative timeout when the job is prepared then it is warned of and ignored",
			yaml: "variables:\n  RUNNER_AFTER_SCRIPT_TIMEOUT: -5s\nscript: [\"true\"]\nafter_script: [\"true\"]", has: []string{"WARNING: Ignoring relative RUNNER_AFTER_SCRIPT_TIMEOUT timeout: -5s"},
		},
		{
			name: "given a timeout beyond the job's when the job is prepared then the job's counts",
			yaml: "variables:\n  RUNNER_SCRIPT_TIMEOUT: 90h\nscript: [\"true\"]", has: []string{"WARNING: RUNNER_SCRIPT_TIMEOUT timeout: 90h is longer than job timeout. Setting to job timeout"},
		},
		{
			name: "given RUNNER_AFTER_SCRIPT_TIMEOUT=0s when after_script runs then it has its usual time",
			yaml: "variables:\n  RUNNER_AFTER_SCRIPT_TIMEOUT: 0s\nscript: [\"true\"]\nafter_script: [sleep 1, echo done]", has: []string{"done"},
		},
		{
			name: "given an after_script that exceeds its time when the script was good then the job succeeds",
			yaml: "variables:\n  RUNNER_AFTER_SCRIPT_TIMEOUT: 1s\nscript: [\"true\"]\nafter_script: [sleep 30]", has: []string{"Job succeeded"},
		},
		{
			of: []int{66}, name: "given a timeout of 0 when the job runs then it is 7200 s", mutate: func(p object) { p["runner_info"].(object)["timeout"] = 0 },
			yaml: "script: [\"echo timeout=$CI_JOB_TIMEOUT\"]", has: []string{"timeout=7200"},
		},
		{
			name: "given no runner_info when the job runs then the timeout is 7200 s", mutate: func(p object) { delete(p, "runner_info") },
			yaml: "script: [\"echo timeout=$CI_JOB_TIMEOUT\"]", has: []string{"timeout=7200"},
		},
		{
			name: "given a job that exceeds its time when it is stopped then no after_script runs", mutate: func(p object) { p["runner_info"].(object)["timeout"] = 2 },
			yaml: "script: [sleep 60]\nafter_script: [echo never]", status: sim.Failed, reason: "job_execution_timeout",
			has: []string{"ERROR: Job failed: execution took longer than 2s seconds"}, lacks: []string{"Running after_script"},
		},
	}
}

// withRelease adds a step as release: does.
func withRelease(command string) func(object) {
	return func(p object) {
		steps := p["steps"].([]object)
		release := object{"name": "release", "script": []string{command}, "timeout": 3600, "when": "on_success", "allow_failure": false}
		p["steps"] = append(append([]object{steps[0]}, release), steps[1:]...)
	}
}

func endCases() []execCase {
	return []execCase{
		{
			of: []int{60}, name: "given a job that is cancelled when its script runs then it stops within 2 s and after_script runs with canceled",
			yaml:   "script: [kubectl create configmap cancel-$CI_JOB_ID, sleep 300, echo never]\nafter_script: [\"echo status=$CI_JOB_STATUS\"]",
			status: sim.Canceled, has: []string{"WARNING: script canceled externally (UI, API)", "status=canceled", "ERROR: Job failed: canceled"},
			during: stoppedSoon,
		},
		{
			of: []int{61}, name: "given a job that GitLab has closed when its script runs then it is aborted without after_script",
			yaml:   "script: [kubectl create configmap abort-me, sleep 300]\nafter_script: [echo never]",
			status: sim.Failed, reason: "job_token_expired", lacks: []string{"Running after_script"},
			during: func(t *testing.T, i *installation, id int64) {
				i.started(t, "abort-me")
				must(t, i.gitlab.ExpireJobToken(id))
			},
			cut: true,
		},
		{
			of: []int{70}, name: "given sources that cannot be fetched when the job runs then neither script nor after_script runs",
			yaml: "variables:\n  GIT_STRATEGY: fetch\nscript: [echo never]\nafter_script: [echo never]", status: sim.Failed, reason: "script_failure", exit: 1,
			mutate: func(p object) { p["git_info"].(object)["sha"] = strings.Repeat("1", 40) },
			lacks:  []string{"Running after_script", "step_script", "\nnever\n"},
		},
		{
			name: "given a branch when its sources are fetched then the notices are GitLab's",
			yaml: "variables:\n  GIT_STRATEGY: clone\nscript: [\"[ -f hello.txt ] && echo there\"]",
			has:  []string{"Fetching changes with git depth set to 20...", "Created fresh repository.", "there", "Skipping Git submodules setup"},
			check: func(t *testing.T, raw string, _ sim.Job) {
				if !regexp.MustCompile(`Checking out [0-9a-f]{8} as detached HEAD \(ref is main\)\.\.\.`).MatchString(raw) {
					t.Error("no notice of the checkout")
				}
			},
		},
		{
			name: "given GIT_STRATEGY none when the job runs then nothing is fetched and it says so",
			yaml: "script: [\"true\"]", has: []string{"Skipping Git repository setup", "Skipping Git checkout", "Skipping Git submodules setup"},
		},
		{
			name: "given hooks when the sources are fetched then they run before and after", mutate: func(p object) {
				p["hooks"] = []object{
					{"name": "post_get_sources_script", "script": []string{"cat hello.txt", "export SEEN=1"}},
					{"name": "pre_get_sources_script", "script": []string{"[ -e hello.txt ] || echo pre"}},
				}
			},
			yaml:  "variables:\n  GIT_STRATEGY: clone\nscript: [\"echo seen=[$SEEN]\"]",
			order: []string{"Getting source from Git repository", "$ [ -e hello.txt ] || echo pre", "pre", "Created fresh repository.", "Skipping Git submodules setup", "$ cat hello.txt", "hello", `Executing "step_script" stage of the job script`, "seen=[]"},
		},
		{
			name: "given a hook that fails before the sources are fetched when it ends then neither sources nor script follow", mutate: func(p object) {
				p["hooks"] = []object{{"name": "pre_get_sources_script", "script": []string{"exit 4"}}}
			},
			yaml: "variables:\n  GIT_STRATEGY: clone\nscript: [echo never]\nafter_script: [echo never]", status: sim.Failed, reason: "script_failure", exit: 4,
			lacks: []string{"Created fresh repository.", "step_script", "\nnever\n"},
		},
	}
}

// stoppedSoon cancels a job, and those with which it is tried again, until one has
// stopped soon enough: a machine that is busy or stands still may hold up one, and
// not each of three. The first is judged further.
func stoppedSoon(t *testing.T, i *installation, id int64) {
	t.Helper()
	var times []time.Duration
	for range 3 {
		i.started(t, fmt.Sprintf("cancel-%d", id))
		must(t, i.gitlab.CancelJob(id))
		ctx, cancel := context.WithTimeout(t.Context(), jobWithin)
		defer cancel()
		j, err := i.gitlab.Wait(ctx, id)
		must(t, err)
		raw, err := i.gitlab.Trace(id)
		must(t, err)
		took := stampOf(t, string(raw), "script canceled externally").Sub(j.At(sim.EventCancel))
		if took <= 2*time.Second {
			return
		}
		times = append(times, took)
		again, err := i.gitlab.RetryJob(id)
		must(t, err)
		id = again.ID
	}
	t.Errorf("the scripts stopped %s after the cancel", times)
}

// stampOf is the time of the first line with a text.
func stampOf(t *testing.T, raw, text string) time.Time {
	t.Helper()
	for line := range strings.Lines(raw) {
		if !strings.Contains(line, text) {
			continue
		}
		at, err := time.Parse("2006-01-02T15:04:05.000000Z", line[:27])
		must(t, err)
		return at
	}
	t.Fatalf("no line with %q", text)
	return time.Time{}
}
