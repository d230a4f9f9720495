package scenarios

import (
	"context"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/e2e/rig"
)

// goOn lets the scripts that wait for it continue.
func (s *scenario) goOn() {
	s.t.Helper()
	_, err := s.kube.CoreV1().ConfigMaps(s.namespace).Create(context.Background(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "go-on"}}, metav1.CreateOptions{})
	s.must(err)
}

func TestTunnelRestartedWhileAJobRuns(t *testing.T) {
	s := open(t, "tunnel-restart")
	job := s.start()["deploy"]
	s.waitStarted(job.ID)
	s.must(s.rig.Tunnel.Stop())
	s.must(s.rig.StartTunnel(context.Background()))
	s.goOn()
	s.want(s.wait(job.ID), sim.Success, "", 0)
}

func TestTunnelKilledWhileAJobRuns(t *testing.T) {
	s := open(t, "tunnel-restart")
	job := s.start()["deploy"]
	s.waitStarted(job.ID)
	s.rig.Tunnel.Kill()
	s.goOn() // the job ends while nobody can report it
	s.must(s.rig.StartTunnel(context.Background()))
	s.want(s.wait(job.ID), sim.Success, "", 0)
}

func TestPolicyRestartedWhileAJobRuns(t *testing.T) {
	s := open(t, "policy-restart")
	job := s.start()["deploy"]
	s.waitStarted(job.ID)
	s.must(s.rig.Policy.Stop())
	s.must(s.rig.StartPolicy(context.Background()))
	s.goOn()
	s.want(s.wait(job.ID), sim.Success, "", 0)
	if next := s.wait(s.start()["deploy"].ID); next.Status != sim.Success {
		t.Errorf("the next job is %s\n%s", next.Status, s.log(next.ID))
	}
}

func TestRunnerKilledWhileAScriptRuns(t *testing.T) {
	s := open(t, "runner-killed")
	job := s.start()["deploy"]
	s.waitTraced(job.ID, "$ sleep 600")
	s.rig.Runner.Kill()
	s.must(os.RemoveAll(s.opts.Dir + "/work")) // nobody is left to do so
	s.must(s.rig.StartRunner(context.Background()))
	done := s.wait(job.ID)
	s.want(done, sim.Failed, "runner_system_failure", 0)
	if log := s.log(job.ID); strings.Count(log, "$ echo started") != 1 {
		t.Errorf("the script ran more than once:\n%s", log)
	}
}

func TestConfigurationFaultKeepsTheLastGoodOne(t *testing.T) {
	s := open(t, "seed")
	files := s.files("input")
	const path = ".gitlab/agents/production/config.yaml"
	s.push(map[string]string{path: "ci_access:\n  project:\n    - id: " + projectPath + "\n"})
	ctx, cancel := context.WithTimeout(context.Background(), jobWithin)
	defer cancel()
	line, err := s.rig.Tunnel.WaitLine(ctx, func(l rig.Line) bool { return strings.Contains(l.Text("msg"), "last good one") })
	s.must(err)
	if text := line.Text("error"); !strings.Contains(text, "config.yaml:2:3: ci_access.project: ") || !strings.Contains(text, "projects") {
		t.Errorf("the fault should name file, line, column, key and remedy: %s", text)
	}
	job := s.wait(s.start()["deploy"].ID)
	if job.Status != sim.Success {
		t.Errorf("job %s under the last good configuration\n%s", job.Status, s.log(job.ID))
	}
	s.push(map[string]string{path: files[path]})
}

func TestRevokedTokenIsSaidAndHurtsNothingElse(t *testing.T) {
	s := open(t, "seed", func(s *scenario) { s.Expected = []string{"token"} })
	s.must(s.gitlab.DeleteRunner(s.runner.ID))
	ctx, cancel := context.WithTimeout(context.Background(), jobWithin)
	defer cancel()
	line, err := s.rig.Tunnel.WaitLine(ctx, func(l rig.Line) bool { return l.Text("msg") == "link is down" && l.Text("link") == "gitlab" })
	s.must(err)
	if text := line.Text("error"); !strings.Contains(text, "refuses the runner token") || !strings.Contains(text, "create a runner") {
		t.Errorf("the line should say what is wrong and what to do: %s", text)
	}
	if ready, body := s.rig.Tunnel.Ready(ctx); ready {
		t.Errorf("the tunnel calls itself ready: %s", body)
	}
}
