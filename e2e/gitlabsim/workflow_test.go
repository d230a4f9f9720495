package gitlabsim

import (
	"strings"
	"testing"
)

func TestWorkflowAddsVariablesThatRulesSee(t *testing.T) {
	f := newFixture(t, Options{})
	pl := f.pipeline(`
workflow: {rules: [{if: $CI_COMMIT_TAG, when: never}, {when: always, variables: {KIND: live}}]}
a: {script: [x], rules: [{if: $KIND == "live"}]}
b: {script: [x], rules: [{if: $KIND != "live"}]}
`)
	if got := f.states(pl.ID); got != "a=pending -> pending" {
		t.Error(got)
	}
	f.run("success")
	f.must(f.CreateTag(f.project, "v1", "main"))
	if _, err := f.RunPipeline(PipelineOptions{Project: f.project, Ref: "v1"}); err == nil || !strings.Contains(err.Error(), "workflow rules") {
		t.Errorf("a pipeline for the tag: %v", err)
	}
}

func TestRulesCompareWithTheLastPush(t *testing.T) {
	f := newFixture(t, Options{})
	const yaml = `
a: {script: [x], rules: [{changes: [a/**/*]}]}
b: {script: [x], rules: [{exists: [b/*.txt]}]}
`
	_, err := f.Push(f.project, "main", map[string]string{".gitlab-ci.yml": yaml, "b/x.txt": "1"})
	f.must(err)
	// The first push changes everything.
	for _, step := range []struct{ push, want string }{
		{"", "a=pending b=pending -> pending"}, {"b/y.txt", "b=pending -> pending"}, {"a/deep/file", "a=pending b=pending -> pending"},
	} {
		if step.push != "" {
			_, err := f.Push(f.project, "main", map[string]string{step.push: "new"})
			f.must(err)
		}
		pl, err := f.RunPipeline(PipelineOptions{Project: f.project})
		f.must(err)
		if got := f.states(pl.ID); got != step.want {
			t.Errorf("after %q: %s, want %s", step.push, got, step.want)
		}
	}
}

func TestResourceGroupRunsOneJobAtATime(t *testing.T) {
	f := newFixture(t, Options{})
	pl := f.pipeline("a: {script: [x], resource_group: live}\nb: {script: [x], resource_group: live}\nc: {script: [x]}\n")
	f.take()
	f.run("success") // c: b waits for a
	if got := f.states(pl.ID); got != "a=running b=pending c=success -> running" {
		t.Error(got)
	}
}
