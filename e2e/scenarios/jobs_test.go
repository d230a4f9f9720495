package scenarios

import (
	"context"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/e2e/rig"
)

func TestSeedPipeline(t *testing.T) {
	s := open(t, "seed")
	first := s.wait(s.start()["deploy"].ID)
	s.want(first, sim.Success, "", 0)
	if got := s.deployments(); !slices.Equal(got, []string{"your-app"}) {
		t.Errorf("deployments: %v", got)
	}
	if _, err := s.kube.CoreV1().Services(s.namespace).Get(context.Background(), "your-app", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	second := s.wait(s.start()["deploy"].ID)
	if log := s.log(second.ID); strings.Count(log, " unchanged\n") != 2 {
		t.Errorf("the second run should change nothing:\n%s", log)
	}
}

func TestFailingScripts(t *testing.T) {
	s := open(t, "failing")
	jobs := s.start()
	s.want(s.wait(jobs["exit-code"].ID), sim.Failed, "script_failure", 42)
	s.want(s.wait(jobs["pipe"].ID), sim.Failed, "script_failure", 1)
	s.want(s.wait(jobs["from-kubectl"].ID), sim.Failed, "script_failure", 1)
}

func TestDeniedProject(t *testing.T) {
	// The agent's own project may always use it; another one may not.
	s := open(t, "denied")
	const other = "acme/other/site"
	_, err := s.gitlab.CreateProject(sim.ProjectOptions{Path: other})
	s.must(err)
	_, err = s.gitlab.Push(other, "main", s.files("input"))
	s.must(err)
	s.want(s.wait(s.startIn(other)["deploy"].ID), sim.Failed, "runner_configuration_error", 0)
	if l, err := s.kube.CoreV1().ConfigMaps(s.namespace).List(context.Background(), metav1.ListOptions{}); err != nil || slices.ContainsFunc(l.Items, func(c corev1.ConfigMap) bool { return c.Name == "proof" }) {
		t.Errorf("the denied job reached the cluster (%v)", err)
	}
}

func TestCancelWhileRunning(t *testing.T) {
	s := open(t, "cancel")
	job := s.start()["deploy"]
	s.waitTraced(job.ID, "$ while true")
	s.must(s.gitlab.CancelJob(job.ID))
	done := s.wait(job.ID) // its script would go on for longer
	s.want(done, sim.Canceled, done.FailureReason, 0)
}

func TestTimeout(t *testing.T) {
	s := open(t, "timeout")
	s.want(s.wait(s.start()["deploy"].ID), sim.Failed, "job_execution_timeout", 0)
}

func TestMaskedAndFileVariables(t *testing.T) {
	const password, credentials = "correct-horse-battery", "user: admin\nkey: 5f3c9a7d2e\n"
	s := open(t, "variables", func(s *scenario) {
		s.must(s.gitlab.SetVariable("project:"+projectPath, sim.Variable{Key: "DB_PASSWORD", Value: password, Masked: true, Raw: true}))
		s.must(s.gitlab.SetVariable("project:"+projectPath, sim.Variable{Key: "CREDENTIALS", Value: credentials, File: true}))
	})
	job := s.wait(s.start()["deploy"].ID)
	s.want(job, sim.Success, "", 0)
	raw, err := s.gitlab.Trace(job.ID)
	s.must(err)
	for _, secret := range []string{password, job.Token} {
		if strings.Contains(string(raw), secret) {
			t.Errorf("the log holds a secret")
		}
	}
	if strings.Count(string(raw), "[MASKED]") < 3 {
		t.Errorf("want password, job token and grant masked:\n%s", s.log(job.ID))
	}
	secret, err := s.kube.CoreV1().Secrets(s.namespace).Get(context.Background(), "db", metav1.GetOptions{})
	s.must(err)
	if string(secret.Data["password"]) != password || string(secret.Data["credentials"]) != credentials {
		t.Errorf("the script saw other values than GitLab sent")
	}
	for _, keys := range []string{"*"} {
		s.redisHolds(keys, password, job.Token, "5f3c9a7d2e")
	}
}

func TestTwoJobsSideBySide(t *testing.T) {
	s := open(t, "side-by-side")
	jobs := s.start()
	// Each waits for the other, so both end only if they run together.
	s.want(s.wait(jobs["first"].ID), sim.Success, "", 0)
	s.want(s.wait(jobs["second"].ID), sim.Success, "", 0)
}

func TestBadInput(t *testing.T) {
	s := open(t, "bad-input")
	jobs := s.start()
	s.want(s.wait(jobs["unknown-command"].ID), sim.Failed, "script_failure", 127)
	s.want(s.wait(jobs["broken-manifest"].ID), sim.Failed, "script_failure", 1)
	s.want(s.wait(jobs["unknown-field"].ID), sim.Failed, "script_failure", 1)
	s.want(s.wait(jobs["missing-file"].ID), sim.Failed, "script_failure", 1)
	s.want(s.wait(jobs["syntax"].ID), sim.Failed, "script_failure", 2)
	s.want(s.wait(jobs["with-services"].ID), sim.Failed, "runner_configuration_error", 0)
	if got := s.deployments(); len(got) != 0 {
		t.Errorf("bad input changed the cluster: %v", got)
	}
}

func TestLocalConfigurationWithTokenGroupsAndAgentIdentity(t *testing.T) {
	// The form that people know: --config, with the token in the file.
	s := open(t, "local-config", func(s *scenario) {
		s.opts.Config = strings.NewReplacer("TOKEN", s.runner.Token, "NAMESPACE", s.namespace).Replace(s.files("config")["config.yaml"])
		s.opts.RunnerToken, s.opts.ConfigToken = "", ""
	})
	const other = "acme/other/site"
	_, err := s.gitlab.CreateProject(sim.ProjectOptions{Path: other})
	s.must(err)
	_, err = s.gitlab.Push(other, "main", s.files("input"))
	s.must(err)
	s.must(rig.Allow(context.Background(), s.Cluster, rig.Access{Group: "system:serviceaccounts:" + s.rig.Namespace, Namespace: s.namespace, Role: "edit"}))
	job := s.wait(s.startIn(other)["deploy"].ID)
	s.want(job, sim.Success, "", 0)
	if log := s.log(job.ID); !strings.Contains(log, "\nsystem:serviceaccount:"+s.rig.Namespace+":towline-agent\n") {
		t.Errorf("the job should act as the agent's ServiceAccount:\n%s", log)
	}
	warned := false
	for _, l := range s.rig.Tunnel.Lines() {
		warned = warned || strings.Contains(l.Text("notice"), "Secret")
		for _, v := range l {
			if text, ok := v.(string); ok && strings.Contains(text, s.runner.Token) {
				t.Error("the tunnel's log holds the token")
			}
		}
	}
	if !warned {
		t.Error("a token in config.yaml should be warned of")
	}
}

// redisHolds fails when a secret stands in Redis in the clear.
func (s *scenario) redisHolds(pattern string, secrets ...string) {
	s.t.Helper()
	ctx := context.Background()
	keys, err := s.redis.Client().Keys(ctx, pattern).Result()
	s.must(err)
	for _, k := range keys {
		dump, err := s.redis.Client().Dump(ctx, k).Result()
		if err != nil {
			continue
		}
		for _, secret := range secrets {
			if strings.Contains(dump, secret) {
				s.t.Errorf("redis key %s holds a secret", k)
			}
		}
	}
}
