package job

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/services/runner/internal/shell"
)

func TestScripts(t *testing.T) {
	tests := []struct {
		name   string
		script []string
		code   int
		out    string // standard output without echoes
		err    string // contained in standard error
	}{
		{"shared shell", []string{"mkdir sub", "cd sub", "export A=1", "f() { echo f$1; }", "f $A", "pwd | { read -r p; echo ${p##*/}; }"}, 0, "f1\nsub\n", ""},
		{"exit code", []string{"exit 42", "echo never"}, 42, "", ""},
		{"errexit", []string{"false", "echo never"}, 1, "", ""},
		{"errexit in conditions", []string{"if false; then echo a; fi", "false || true", "! true || echo b", "false && echo c || echo d"}, 0, "b\nd\n", ""},
		{"pipefail", []string{"false | true", "echo never"}, 1, "", ""},
		{"construct over items", []string{"if true; then", "echo inside", "fi"}, 0, "inside\n", ""},
		{"heredoc", []string{"cat <<EOF\na $((1+1))\nEOF"}, 0, "a 2\n", ""},
		{"trap", []string{"trap 'echo bye' EXIT", "false"}, 1, "bye\n", ""},
		{"subshell and background", []string{"( cd /; exit 0 )", "( echo bg ) & wait", "x=$(echo sub)", "echo $x"}, 0, "bg\nsub\n", ""},
		{"arrays", []string{"a=(x y z)", "echo ${#a[@]} ${a[1]}", `[[ abc =~ b(c) ]] && echo ${BASH_REMATCH[1]}`}, 0, "3 y\nc\n", ""},
		{"process substitution", []string{"cat <(echo one)"}, 0, "one\n", ""},
		{"stdin is empty", []string{"cat", "read x || echo none"}, 0, "none\n", ""},
		{"unknown command", []string{"echo a", "nosuch --flag"}, 127, "a\n", "bash: line 2: nosuch: command not found\n"},
		{"well-known tool", []string{"terraform plan"}, 127, "", "terraform is not among the commands of this runner"},
		{"script file", []string{"echo 'echo hi $0; exit 3' > x", "chmod 755 x", "./x"}, 3, "hi ./x\n", ""},
		{"script file that may not run", []string{"echo 'echo hi' > x", "./x"}, 126, "", "Permission denied"},
		{"outside program", []string{"/sbin/init"}, 126, "", "Permission denied"},
		{"missing program", []string{"/nope/x"}, 127, "", "No such file or directory"},
		{"unset variable", []string{"set -u", "echo $nope"}, 1, "", "nope: unbound variable"},
		{"command -v", []string{"command -v kubectl", "type kubectl", "which sleep", "command -v nosuch || echo none"}, 0, "/usr/bin/kubectl\nkubectl is /usr/bin/kubectl\n/usr/bin/sleep\nnone\n", ""},
		{"by path", []string{"$(command -v ls) -a nofile || echo failed"}, 0, "failed\n", "ls: cannot access 'nofile': No such file or directory\n"},
		{"xargs", []string{"echo a b c | xargs -n 2 echo", "printf 'd\\0e f\\0' | xargs -0 -I % echo '<%>'"}, 0, "a b\nc\n<d>\n<e f>\n", ""},
		{"xargs unknown", []string{"echo a | xargs nosuch"}, 127, "", "nosuch: command not found"},
		{"set +e", []string{"set +e", "false", "echo on"}, 0, "on\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := runJob(t, testSpec(t, tt.script...))
			if diff := cmp.Diff(tt.out, got.said()); diff != "" {
				t.Errorf("stdout (-want +got):\n%s", diff)
			}
			if !strings.Contains(got.stderr, tt.err) || tt.err == "" && got.stderr != "" {
				t.Errorf("stderr %q, want %q", got.stderr, tt.err)
			}
			want := Result{State: StateSuccess}
			if tt.code != 0 {
				want = Result{State: StateFailed, FailureReason: ReasonScript, ExitCode: tt.code, Message: (&shell.ExitError{Code: tt.code}).Error()}
			}
			if diff := cmp.Diff(want, got.result); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSyntaxErrorRunsNothing(t *testing.T) {
	got := runJob(t, testSpec(t, "echo first", "echo 'open").after("echo after"))
	if got.result.ExitCode != exitSyntax || got.result.FailureReason != ReasonScript {
		t.Errorf("result %+v", got.result)
	}
	if !strings.HasPrefix(got.stderr, "bash: line 2: syntax error: ") {
		t.Errorf("stderr %q", got.stderr)
	}
	if got.said() != "after\n" {
		t.Errorf("stdout %q", got.stdout)
	}
	if !strings.HasSuffix(got.log, "\x1b[31;1mERROR: Job failed: exit status 2\x1b[0;m\n") {
		t.Errorf("end of log %q", got.log)
	}
}

func TestAfterScriptIsAFreshShell(t *testing.T) {
	got := runJob(t, testSpec(t, "mkdir d", "cd d", "export A=1", "f() { :; }", "false").
		after(`echo "[$A] $CI_JOB_STATUS ${PWD##*/}"`, "f"))
	if got.said() != "[] failed project\n" {
		t.Errorf("stdout %q", got.said())
	}
	if !strings.Contains(got.runner, "\x1b[0;33mWARNING: after_script failed, but job will continue unaffected: exit status 127\x1b[0;m\n") {
		t.Errorf("no warning in %q", got.runner)
	}
	if got.result.ExitCode != 1 || got.started != 1 {
		t.Errorf("result %+v, started %d", got.result, got.started)
	}
}

func TestAfterScriptThatCounts(t *testing.T) {
	strict := jobspec.Variable{Key: "AFTER_SCRIPT_IGNORE_ERRORS", Value: "false"}
	got := runJob(t, testSpec(t, "true").with(strict).after("exit 3"))
	if got.result.ExitCode != 3 || got.result.State != StateFailed {
		t.Errorf("result %+v", got.result)
	}
	got = runJob(t, testSpec(t, "exit 5").with(strict).after("exit 3"))
	if got.result.ExitCode != 5 {
		t.Errorf("the script's own code is lost: %+v", got.result)
	}
}

func TestStepsRunUntilOneFails(t *testing.T) {
	spec := testSpec(t, "echo one")
	spec.Job.Steps = append(spec.Job.Steps,
		jobspec.Step{Name: "release", Script: []string{"echo '$CI_SERVER'", "false"}},
		jobspec.Step{Name: "third one", Script: []string{"echo three"}})
	got := runJob(t, spec)
	if got.said() != "one\nyes\n" || got.started != 1 {
		t.Errorf("stdout %q, started %d", got.said(), got.started)
	}
	if !strings.Contains(got.runner, `Executing "step_release" stage of the job script`) {
		t.Errorf("log %q", got.runner)
	}
}

func TestCancel(t *testing.T) {
	spec := testSpec(t, "echo running", "sleep 600", "echo never").after("echo $CI_JOB_STATUS")
	got := runJobWith(t, spec, context.Background(), func(log string, cancel func()) {
		if strings.Contains(log, "$ sleep 600") {
			cancel()
		}
	})
	if got.said() != "running\ncanceled\n" {
		t.Errorf("stdout %q", got.said())
	}
	if !strings.Contains(got.runner, "\x1b[0;33mWARNING: script canceled externally (UI, API)\x1b[0;m\n") ||
		!strings.HasSuffix(got.log, "\x1b[31;1mERROR: Job failed: canceled\x1b[0;m\n") {
		t.Errorf("log %q", got.runner)
	}
	if got.result != (Result{State: StateFailed, FailureReason: ReasonCanceled, Message: "canceled"}) {
		t.Errorf("result %+v", got.result)
	}
}

func TestEndlessLoopIsCanceled(t *testing.T) {
	got := runJobWith(t, testSpec(t, "while true; do echo x; done"), context.Background(), func(log string, cancel func()) {
		cancel()
	})
	if got.result.FailureReason != ReasonCanceled {
		t.Errorf("result %+v", got.result)
	}
}

func TestTimeouts(t *testing.T) {
	t.Run("job", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			spec := testSpec(t, "sleep 1h").after("echo after")
			spec.Job.RunnerInfo.Timeout = 90
			got := runJob(t, spec)
			want := Result{State: StateFailed, FailureReason: ReasonTimeout, Message: "execution took longer than 1m30s seconds"}
			if diff := cmp.Diff(want, got.result); diff != "" {
				t.Error(diff)
			}
			if strings.Contains(got.log, "after") || strings.Contains(got.log, "Cleaning") {
				t.Errorf("log %q", got.log)
			}
			if !strings.HasSuffix(got.log, "ERROR: Job failed: execution took longer than 1m30s seconds\x1b[0;m\n") {
				t.Errorf("log %q", got.log)
			}
		})
	})
	t.Run("script", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			spec := testSpec(t, "sleep 1h").with(jobspec.Variable{Key: "RUNNER_SCRIPT_TIMEOUT", Value: "2m"}).after("echo $CI_JOB_STATUS")
			got := runJob(t, spec)
			if got.said() != "timedout\n" || got.result.FailureReason != ReasonTimeout {
				t.Errorf("stdout %q, result %+v", got.said(), got.result)
			}
		})
	})
	t.Run("after_script", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			got := runJob(t, testSpec(t, "true").after("sleep 1h"))
			if took := time.Since(start); took < jobspec.DefaultAfterScript || took > jobspec.DefaultAfterScript+time.Second {
				t.Errorf("took %s", took)
			}
			if got.result.State != StateSuccess {
				t.Errorf("result %+v", got.result)
			}
		})
	})
}

func TestStageTimeouts(t *testing.T) {
	tests := map[string]struct {
		value string
		want  time.Duration
		warn  string
	}{
		"unset":     {"", 0, ""},
		"good":      {"10m", 10 * time.Minute, ""},
		"malformed": {"soon", 0, "Ignoring malformed RUNNER_SCRIPT_TIMEOUT timeout: soon"},
		"negative":  {"-1m", 0, "Ignoring relative RUNNER_SCRIPT_TIMEOUT timeout: -1m"},
		"too long":  {"10h", jobspec.DefaultTimeout, "RUNNER_SCRIPT_TIMEOUT timeout: 10h is longer than job timeout. Setting to job timeout"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			e := &environment{spec: &Spec{}, vars: jobspec.Variables{{Key: "RUNNER_SCRIPT_TIMEOUT", Value: tt.value}}}
			script, after := stageTimeouts(e, &logger{w: &log})
			if script != tt.want || after != jobspec.DefaultAfterScript {
				t.Errorf("script %s, after %s", script, after)
			}
			if !strings.Contains(log.String(), tt.warn) || tt.warn == "" && log.Len() > 0 {
				t.Errorf("log %q", log.String())
			}
		})
	}
}

func TestVariables(t *testing.T) {
	spec := testSpec(t,
		`echo "$A|$RAW|$DUP|$CI_SERVER|$CI_PROJECT_DIR|$CI_JOB_STATUS"`,
		`cat "$CONF"; echo; echo "$REF"`,
		`echo "${KUBECONFIG##*/} $CI_RUNNER_VERSION ${#CI_RUNNER_REVISION} ${FF_X-none}"`,
		`cat "$CI_SERVER_TLS_CA_FILE"`,
		`echo B=from-env > "$GITLAB_ENV"`).
		with(
			jobspec.Variable{Key: "A", Value: "x-$DUP-${NOPE}"},
			jobspec.Variable{Key: "DUP", Value: "first"}, jobspec.Variable{Key: "DUP", Value: "second"},
			jobspec.Variable{Key: "RAW", Value: "x-$DUP", Raw: true},
			jobspec.Variable{Key: "CONF", Value: "content $DUP", File: true, Raw: true},
			jobspec.Variable{Key: "REF", Value: "at $CONF"},
			agents, jobspec.Variable{Key: "CI_RUNNER_REVISION", Value: "fake"},
			jobspec.Variable{Key: "CI_RUNNER_VERSION", Value: "fake"},
			jobspec.Variable{Key: "FF_X", Value: "true"},
			jobspec.Variable{Key: "not-a-name", Value: "1"},
			jobspec.Variable{Key: "CI_SERVER", Value: "overridden"}).
		after(`echo $B`, `[ -e "$CONF" ] && echo there`)
	spec.Kubeconfig, spec.GitCA = "apiVersion: v1\nkind: Config\n", "certificates\n"
	got := runJob(t, spec)
	want := "x-second-|x-$DUP|second|overridden|" + spec.ProjectDir + "|running\n" +
		"content $DUP\nat " + filepath.Join(spec.TempDir, "CONF") + "\n" +
		fmt.Sprintf("KUBECONFIG 1.2.3 %d none\ncertificates\nfrom-env\nthere\n", len(revision()))
	if diff := cmp.Diff(want, got.said()); diff != "" {
		t.Errorf("stdout (-want +got):\n%s\nstderr %s", diff, got.stderr)
	}
	if left, err := os.ReadDir(spec.TempDir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestFileVariableKeys(t *testing.T) {
	for _, key := range []string{"../x", "a/b", ".", "..", ".home", "gitlab_runner_env", "a\nb", strings.Repeat("k", 300)} {
		spec := testSpec(t, "echo never").with(jobspec.Variable{Key: key, Value: "v", File: true}).after("echo never")
		got := runJob(t, spec)
		if got.result.FailureReason != ReasonConfiguration || got.started != 0 || got.stdout != "" {
			t.Errorf("%q: result %+v, stdout %q", key, got.result, got.stdout)
		}
		if !strings.Contains(got.runner, "not a plain file name") {
			t.Errorf("%q: log %q", key, got.runner)
		}
	}
}

func TestAJobWithServicesIsRefused(t *testing.T) {
	spec := testSpec(t, "echo never")
	spec.Job.Services = []jobspec.Image{{Name: "postgres"}}
	got := runJob(t, spec)
	if got.result.FailureReason != ReasonConfiguration || got.started != 0 || !strings.Contains(got.runner, "ERROR: Job failed: this runner has no services: ") {
		t.Errorf("%+v %q", got.result, got.runner)
	}
}

func TestRunnerLinesCannotBeForged(t *testing.T) {
	spec := testSpec(t, "true")
	spec.Job.Image = &jobspec.Image{Name: "a\r\x1b[0Ksection_start:0:x\nb"}
	got := runJob(t, spec)
	if strings.Contains(got.runner, "\x1b[0Ksection_start") || strings.Contains(got.runner, "\nb") {
		t.Errorf("log %q", got.runner)
	}
}
