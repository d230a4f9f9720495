package job

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/towline/towline/pkg/jobspec"
)

func TestUnsupportedDefinitions(t *testing.T) {
	run := func(s string) *string { return &s }
	options := func(text string) map[string]map[string]json.RawMessage {
		var o map[string]map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			t.Fatal(err)
		}
		return o
	}
	script := []jobspec.Step{{Name: "script", Script: []string{"x"}}}
	for name, c := range map[string]struct {
		job  jobspec.Job
		want string
	}{
		"nothing odd":            {jobspec.Job{Steps: script, Image: &jobspec.Image{Name: "a"}}, ""},
		"no steps to run":        {jobspec.Job{Steps: script, Run: run("[]")}, ""},
		"run and script":         {jobspec.Job{Steps: script, Run: run("[{}]")}, "the `run` and `script` keywords cannot be used together"},
		"run and STEPS":          {jobspec.Job{Run: run("[{}]"), Variables: jobspec.Variables{{Key: "STEPS", Value: "x"}}}, "the `run` keyword requires the exclusive use of the variable STEPS"},
		"run":                    {jobspec.Job{Run: run("[{}]")}, "this runner does not support run: (CI steps): use script: instead"},
		"options of GitLab's":    {jobspec.Job{Image: &jobspec.Image{ExecutorOpts: options(`{"docker":{"platform":"x","user":"y"},"kubernetes":{"user":1}}`)}}, ""},
		"an unknown option":      {jobspec.Job{Image: &jobspec.Image{Name: "a\nb", ExecutorOpts: options(`{"docker":{"x":1}}`)}}, `unsupported executor_opts of image "a b": docker.x`},
		"an unknown executor":    {jobspec.Job{Services: []jobspec.Image{{Name: "s", ExecutorOpts: options(`{"vm":{}}`)}}}, `unsupported executor_opts of service "s": vm`},
		"several faults at once": {jobspec.Job{Run: run("[{}]"), Image: &jobspec.Image{Name: "i", ExecutorOpts: options(`{"vm":{}}`)}}, "this runner does not support run: (CI steps): use script: instead\n" + `unsupported executor_opts of image "i": vm`},
	} {
		err := unsupported(&c.job)
		if got := errorText(err); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestTheOperatorsWordOnDebugTracesWins(t *testing.T) {
	const warning = "WARNING: CI_DEBUG_TRACE: usage is disabled on this Runner"
	for _, forbidden := range []bool{false, true} {
		spec := testSpec(t, "echo $((1+1))")
		spec.Job.Variables = append(spec.Job.Variables, jobspec.Variable{Key: "CI_DEBUG_TRACE", Value: "true"})
		spec.NoDebugTrace = forbidden
		got := runJob(t, spec)
		if traced := strings.Contains(got.stderr, "+ echo 2"); traced == forbidden || strings.Contains(got.runner, warning) != forbidden {
			t.Errorf("forbidden %t: traced %t, log %s", forbidden, traced, got.log)
		}
	}
}
