package conformance

import (
	"context"
	"testing"

	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/e2e/rig"
)

func TestTheOperatorsWord(t *testing.T) {
	t.Parallel()
	i := install(t, sim.Options{}, func(_ *installation, o *rig.Options) {
		o.RunnerArgs = append(o.RunnerArgs, "--drain-timeout=0s", "--feature-flags=FF_SCRIPT_SECTIONS=false", "--debug-trace=false")
	})
	// One after the other: the last stops the runner.
	i.runAll([]execCase{
		{
			of: []int{89}, name: "given a feature flag that the operator has decided when a job sets it too then the operator's counts",
			yaml: "variables:\n  FF_SCRIPT_SECTIONS: \"true\"\nscript:\n  - |\n    echo flag=[$FF_SCRIPT_SECTIONS]\n    echo two\n", has: []string{"$ echo flag=[$FF_SCRIPT_SECTIONS] # collapsed multi-line command", "flag=[false]"}, lacks: []string{"feature flags"},
		},
		{
			name: "given debug traces that the operator forbids when a job asks for one then it is told so",
			yaml: "variables:\n  CI_DEBUG_TRACE: \"true\"\nscript: [echo shown]", has: []string{"WARNING: CI_DEBUG_TRACE: usage is disabled on this Runner", "shown"}, lacks: []string{"+ echo"},
		},
	})
	i.runAll(stalledCases())
	i.runAll([]execCase{
		{
			of: []int{62}, name: "given a runner that is told to stop when a script runs then the job fails as runner_interrupted",
			yaml: "script: [kubectl create configmap interrupt-me, sleep 60]\nafter_script: [echo never]", status: sim.Failed, reason: "runner_interrupted",
			has: []string{"ERROR: Job failed (system failure): aborted: the runner is shutting down"}, lacks: []string{"Running after_script"}, cut: true,
			during: func(t *testing.T, i *installation, _ int64) {
				i.started(t, "interrupt-me")
				must(t, i.rig.Runner.Stop())
				must(t, i.rig.StartRunner(context.Background()))
			},
		},
	})
}
