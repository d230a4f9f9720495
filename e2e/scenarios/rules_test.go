package scenarios

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sim "github.com/towline/towline/e2e/gitlabsim"
)

// The rules of the cluster's owner refuse a job and a request, narrow the
// namespaces, and are read again while everything runs.
func TestRulesOfTheOwner(t *testing.T) {
	var file string
	s := open(t, "rules", func(s *scenario) {
		file = filepath.Join(s.opts.Dir, "rules.yaml")
		s.must(os.WriteFile(file, []byte(s.files("config")["rules.yaml"]), 0o600))
		s.opts.PolicyArgs = append(s.opts.PolicyArgs, "--rules="+file)
		s.opts.RunnerArgs = append(s.opts.RunnerArgs, "--rules="+file)
	})
	jobs := s.start()
	s.want(s.wait(jobs["production"].ID), sim.Failed, "runner_configuration_error", 0)
	s.want(s.wait(jobs["look"].ID), sim.Failed, "script_failure", 1)
	l, err := s.kube.CoreV1().ConfigMaps(s.namespace).List(context.Background(), metav1.ListOptions{})
	s.must(err)
	has := func(name string) bool {
		return slices.ContainsFunc(l.Items, func(c corev1.ConfigMap) bool { return c.Name == name })
	}
	if has("proof") || !has("made-by-the-job") {
		t.Errorf("what the jobs have made: %v", l.Items)
	}
	s.must(os.WriteFile(file, []byte("rules: [{name: closed, deny: true, message: closed for today}]"), 0o600))
	for ends := time.Now().Add(jobWithin); ; {
		job := s.wait(s.start()["look"].ID)
		if strings.Contains(s.log(job.ID), "closed for today") {
			return
		}
		if time.Now().After(ends) {
			t.Fatalf("the changed rules are not in force:\n%s", s.log(job.ID))
		}
	}
}
