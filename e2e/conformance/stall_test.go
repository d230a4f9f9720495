package conformance

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	sim "github.com/towline/towline/e2e/gitlabsim"
)

// stall is as long as a machine may stand still without a lease of ours running
// out, and longer than a tunnel owns a job without renewing that.
const stall = 9 * time.Second

// counting is a script whose output ends within the stall.
const counting = "script:\n  - i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo line $i; sleep 0.02; done\n  - echo end of it\n"

// stalledCases run side by side on a machine that stands still for a while: one
// job waits for the API server meanwhile, the others deliver their logs.
func stalledCases() []execCase {
	whole := func(t *testing.T, raw string, j sim.Job) {
		t.Helper()
		for n := 1; n <= 200; n++ {
			if c := strings.Count(raw, fmt.Sprintf("line %d\n", n)); c != 1 {
				t.Fatalf("line %d is there %d times", n, c)
			}
		}
		if !j.Checksum.Equal {
			t.Errorf("checksum %+v", j.Checksum)
		}
	}
	return []execCase{
		{
			name: "given a machine that stands still while a job asks the API server when it goes on then so does the job",
			yaml: "script:\n  - kubectl create configmap stall-me\n  - sleep 4\n  - kubectl get configmap stall-me -o name\n  - sleep 1\n  - echo end of it\n",
			has:  []string{"configmap/stall-me", "end of it"}, during: standsStill,
		},
		{name: "given a machine that stands still while a log is delivered when it goes on then the log is whole", yaml: counting, has: []string{"end of it"}, check: whole},
		{
			name: "given a machine that stands still while a failing script ends when it goes on then the job has its exit code",
			yaml: strings.Replace(counting, "echo end of it", "exit 7", 1), status: sim.Failed, reason: "script_failure", exit: 7, check: whole,
		},
	}
}

// standsStill stops tunnel and runner for a while, and wants the job's end soon
// after.
func standsStill(t *testing.T, i *installation, id int64) {
	i.started(t, "stall-me")
	pids := []int{i.rig.Tunnel.Pid(), i.rig.Runner.Pid()}
	for _, pid := range pids {
		must(t, syscall.Kill(pid, syscall.SIGSTOP))
	}
	<-time.After(stall)
	for _, pid := range pids {
		must(t, syscall.Kill(pid, syscall.SIGCONT))
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	_, err := i.gitlab.Wait(ctx, id)
	must(t, err)
	for _, l := range i.rig.Tunnel.Lines() {
		if text := l.Text("msg"); strings.Contains(text, "its runner is gone") || strings.Contains(text, "job closed") || strings.Contains(text, "job dropped") {
			t.Errorf("tunnel: %v", l)
		}
	}
	for _, l := range i.rig.Runner.Lines() {
		if text := l.Text("msg"); strings.Contains(text, "job stopped") || strings.Contains(text, "not taken") || strings.Contains(text, "not delivered") {
			t.Errorf("runner: %v", l)
		}
	}
}
