package gitlabsim

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func (f *fixture) run(state string) *testJob {
	f.t.Helper()
	j := f.take()
	j.log("x")
	f.wantStatus(j.finish(state, nil), http.StatusOK)
	return j
}

func (f *fixture) states(id int64) string {
	f.t.Helper()
	pl, err := f.Pipeline(id)
	f.must(err)
	var out []string
	for _, j := range pl.Jobs {
		out = append(out, j.Name+"="+string(j.Status))
	}
	return strings.Join(out, " ") + " -> " + string(pl.Status)
}

func TestStagesAndWhen(t *testing.T) {
	const yaml = `
stages: [one, two, three]
a: {stage: one, script: [x]}
b: {stage: two, script: [x]}
fixer: {stage: two, script: [x], when: on_failure}
cleanup: {stage: three, script: [x], when: always}
`
	t.Run("success", func(t *testing.T) {
		f := newFixture(t, Options{})
		pl := f.pipeline(yaml)
		if got := f.states(pl.ID); got != "a=pending b=created fixer=created cleanup=created -> pending" {
			t.Error(got)
		}
		f.run("success")
		if got := f.states(pl.ID); got != "a=success b=pending fixer=skipped cleanup=created -> running" {
			t.Error(got)
		}
		f.run("success")
		f.run("success")
		if got := f.states(pl.ID); got != "a=success b=success fixer=skipped cleanup=success -> success" {
			t.Error(got)
		}
		f.clean()
	})
	t.Run("failure", func(t *testing.T) {
		f := newFixture(t, Options{})
		pl := f.pipeline(yaml)
		f.run("failed")
		if got := f.states(pl.ID); got != "a=failed b=skipped fixer=pending cleanup=created -> running" {
			t.Error(got)
		}
		f.run("success")
		f.run("success")
		if got := f.states(pl.ID); !strings.HasSuffix(got, "cleanup=success -> failed") {
			t.Error(got)
		}
	})
}

func TestNeedsManualAndAllowFailure(t *testing.T) {
	f := newFixture(t, Options{})
	pl := f.pipeline(`
stages: [one, two, three]
slow: {stage: one, script: [x], tags: [towline]}
fast: {stage: one, script: [x], needs: []}
early: {stage: two, script: [x], needs: [fast]}
flaky: {stage: two, script: [x], needs: [fast], allow_failure: {exit_codes: [3]}}
push: {stage: three, script: [x], when: manual, needs: [early, flaky]}
`)
	slow := f.take()
	f.run("success") // fast
	if got := f.states(pl.ID); got != "slow=running fast=success early=pending flaky=pending push=created -> running" {
		t.Error(got)
	}
	f.run("success") // early
	flaky := f.take()
	flaky.log("x")
	flaky.finish("failed", map[string]any{"exit_code": 3})
	if got := f.states(pl.ID); got != "slow=running fast=success early=success flaky=failed push=manual -> running" {
		t.Error(got)
	}
	pl, err := f.Pipeline(pl.ID)
	f.must(err)
	push, _ := pl.Job("push")
	f.must(f.PlayJob(push.ID, []Variable{{Key: "WHERE", Value: "eu"}}, ""))
	j := f.take()
	if v, _ := j.variable("WHERE"); v["value"] != "eu" {
		t.Errorf("WHERE = %v", v)
	}
	if err := f.PlayJob(push.ID, nil, ""); err == nil {
		t.Error("a running job can be played")
	}
	j.log("x")
	j.finish("success", nil)
	slow.log("x")
	slow.finish("success", nil)
	if got := f.states(pl.ID); !strings.HasSuffix(got, "-> success") {
		t.Error(got)
	}
	f.clean()
}

func TestRetry(t *testing.T) {
	f := newFixture(t, Options{})
	pl := f.pipeline("a:\n  script: [x]\n  retry: {max: 1, when: runner_system_failure}\n")
	j := f.take()
	j.log("x")
	j.finish("failed", map[string]any{"failure_reason": "runner_system_failure"})
	k := f.run("failed") // script_failure is not retried
	if k.id == j.id || k.token == j.token {
		t.Error("the retried job is the same")
	}
	if got := f.states(pl.ID); got != "a=failed a=failed -> failed" {
		t.Error(got)
	}
	again, err := f.RetryJob(k.id)
	f.must(err)
	if again.Status != Pending || again.ID == k.id {
		t.Errorf("retried by hand: %+v", again)
	}
	f.clean()
}

func TestRulesVariablesAndErrors(t *testing.T) {
	f := newFixture(t, Options{})
	pl := f.pipeline(`
always: {script: [x]}
never: {script: [x], rules: [{if: $CI_COMMIT_BRANCH == "main", when: never}]}
main: {script: [x], rules: [{if: '$CI_COMMIT_BRANCH =~ /^ma/ && $NOPE == null', variables: {BY: rule}}]}
`)
	if got := f.states(pl.ID); got != "always=pending main=pending -> pending" {
		t.Error(got)
	}
	f.run("success")
	if v, _ := f.take().variable("BY"); v["value"] != "rule" {
		t.Errorf("BY = %v", v)
	}
	for yaml, want := range map[string]string{
		"a: {script: [x], parallel: 3}":                      "only a matrix",
		"a: {script: [x], artifacts: {reports: {magic: x}}}": `unknown keyword "magic"`,
		"include: x\na: {script: [x]}":                       `unknown keyword "include"`,
		"a: {script: [x], rules: [{if: $A == \"b\"}]}":       "no job",
		"a: {script: [x], needs: [b]}":                       "undefined need",
	} {
		_, err := f.Push(f.project, "main", map[string]string{".gitlab-ci.yml": yaml})
		f.must(err)
		if _, err = f.RunPipeline(PipelineOptions{Project: f.project}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", yaml, err)
		}
	}
	for _, opts := range []PipelineOptions{{Project: "no/where"}, {Project: f.project, Ref: "nope"}, {Project: f.project, User: "nobody"}} {
		if _, err := f.RunPipeline(opts); err == nil {
			t.Errorf("%+v runs", opts)
		}
	}
}

func TestCancelPipelineAndWait(t *testing.T) {
	f := newFixture(t, Options{})
	pl := f.pipeline("stages: [a, b]\na: {stage: a, script: [x]}\nb: {stage: b, script: [x]}\n")
	j := f.take()
	f.must(f.CancelPipeline(pl.ID))
	if got := f.states(pl.ID); got != "a=canceling b=canceled -> running" {
		t.Error(got)
	}
	go func() {
		time.Sleep(20 * time.Millisecond)
		_, _ = f.do("PUT", j.path(""), map[string]string{"Content-Type": "application/json"},
			fmt.Appendf(nil, `{"token":%q,"state":"failed","failure_reason":"unknown_failure","output":{"checksum":"crc32:00000000","bytesize":0}}`, j.token))
	}()
	done, err := f.WaitPipeline(shortContext(t), pl.ID)
	if err != nil || done.Status != Canceled {
		t.Errorf("%v %v", done.Status, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err = f.Wait(ctx, j.id, Success); err == nil || !strings.Contains(err.Error(), "is canceled") {
		t.Errorf("wait: %v", err)
	}
	f.clean()
}

func TestProtectedVariables(t *testing.T) {
	f := newFixture(t, Options{})
	f.must(f.SetVariable("project:"+f.project, Variable{Key: "SECRET", Value: "s", Protected: true, Masked: true}))
	for ref, want := range map[string]int{"main": 1, "topic": 0} {
		_, err := f.Push(f.project, ref, map[string]string{".gitlab-ci.yml": simpleYAML})
		f.must(err)
		_, err = f.RunPipeline(PipelineOptions{Project: f.project, Ref: ref})
		f.must(err)
		if v, n := f.take().variable("SECRET"); n != want || n > 0 && v["masked"] != true {
			t.Errorf("%s: SECRET = %v, %d times", ref, v, n)
		}
	}
	if err := f.SetVariable("nowhere", Variable{}); err == nil {
		t.Error("a bad scope is accepted")
	}
}
