package scenarios

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/e2e/rig"
)

// A towline.yaml that is pushed narrows config.yaml within seconds, its faults
// are read in jobs' logs, and policy explains what became of a job.
func TestTowlineFileNarrowsAndIsExplained(t *testing.T) {
	socket := ""
	s := open(t, "seed", func(s *scenario) {
		socket = "@towline-" + filepath.Base(s.opts.Dir) + s.namespace
		s.opts.PolicyArgs = append(s.opts.PolicyArgs, "--explain-socket="+socket)
	})
	const path = ".gitlab/agents/production/towline.yaml"
	ctx, cancel := context.WithTimeout(context.Background(), jobWithin)
	defer cancel()
	push := func(content, message string) {
		t.Helper()
		commit, err := s.gitlab.Push(projectPath, "main", map[string]string{path: content})
		s.must(err)
		_, err = s.rig.Tunnel.WaitLine(ctx, func(l rig.Line) bool {
			return strings.Contains(l.Text("msg"), message) && strings.Contains(l.Text("file"), fmt.Sprintf("@%.8s:", commit))
		})
		s.must(err)
	}
	explain := func(status int, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(ctx, filepath.Join(os.Getenv(rig.EnvBinaries), "policy"), append(args, "--explain-socket="+socket)...)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) || cmd.ProcessState.ExitCode() != status {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}

	deploy := func(want sim.Status) sim.Job {
		t.Helper()
		job := s.wait(s.start()["deploy"].ID)
		if job.Status != want {
			t.Errorf("job %s, want %s\n%s", job.Status, want, s.log(job.ID))
		}
		return job
	}

	push("refine:\n  - tags: ['v*']\n", "configuration taken over")
	refused := deploy(sim.Failed)
	const why = "towline.yaml:2: refine[0] takes jobs of the tags v* only, and this job is for the branch \"main\""
	if log := s.log(refused.ID); !strings.Contains(log, why) {
		t.Errorf("the job does not say %q:\n%s", why, log)
	}
	if out := explain(1, "explain", "--job", fmt.Sprint(refused.ID)); !strings.Contains(out, why) || !strings.Contains(out, "What to do") {
		t.Errorf("explain --job:\n%s", out)
	}
	if out := explain(1, "explain", "--project", projectPath, "--ref", "main"); !strings.Contains(out, why) {
		t.Errorf("explain:\n%s", out)
	}
	if out := explain(0, "show"); !strings.Contains(out, "towline.yaml:2 refine[0]") || !strings.Contains(out, "from repository") {
		t.Errorf("show:\n%s", out)
	}

	push("refine:\n  - refs: [main]\n", "configuration taken over")
	deploy(sim.Success)
	push("refine:\n  - ref: [main]\n", "not taken over")
	job := deploy(sim.Success)
	if log := s.log(job.ID); !strings.Contains(log, "towline.yaml:2:5: refine[0].ref: unknown key; did you mean \"refs\"?") {
		t.Errorf("the job does not say that its configuration is an old one:\n%s", log)
	}
}
