//go:build linux && node

package node_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/towline/towline/e2e/node"
)

var services = []string{"policy", "runner", "tunnel"}

const (
	credentials = "gitlab" // the Secret that the user brings
	nextTag     = "next"

	// readyWithin is how long all pods may take that have their images, on a
	// machine that does nothing else; readyAtMost on one that does.
	readyWithin = time.Minute
	readyAtMost = 5 * readyWithin
)

// TestChart is the life of a release, each step on what the one before has left.
func TestChart(t *testing.T) {
	began := time.Now()
	r := newRelease(t)
	r.importImages(r.chart.Metadata.AppVersion)
	r.importImages(nextTag)
	s := newSite(t, r)
	_, err := r.kube.CoreV1().Secrets(namespace).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: credentials},
		StringData: map[string]string{"runner-token": s.runner.Token, "config-token": s.config},
	}, metav1.CreateOptions{})
	r.must(err)
	for _, step := range []struct {
		name string
		do   func(*site)
	}{
		{"Install", install},
		{"Pipeline", pipeline},
		{"SelfCheck", selfCheck},
		{"NetworkPolicies", keepOut},
		{"RunnerToken", rotateRunnerToken},
		{"RedisPassword", rotateRedisPassword},
		{"UpgradeOfEveryPod", upgradeEveryPod},
		{"Authority", rotateAuthority},
		{"Keys", rotateKeys},
		{"Rollback", rollBack},
		{"Uninstall", uninstall},
	} {
		start := time.Now()
		ok := t.Run(step.name, func(t *testing.T) {
			r.t = t
			step.do(s)
		})
		r.t = t
		t.Logf("%s took %s", step.name, time.Since(start).Round(100*time.Millisecond))
		if !ok {
			t.FailNow()
		}
	}
	for _, a := range s.gitlab.AnomaliesExcept() {
		t.Errorf("GitLab: %s, job %d: %s", a.Endpoint, a.Job, a.What)
	}
	t.Logf("the whole life took %s", time.Since(began).Round(time.Second))
}

// install is what the guide says: two values and one Secret. The image of Redis
// is the machine's, for nothing can be pulled here.
func install(s *site) {
	r := s.r
	began := time.Now()
	made := r.install(fmt.Sprintf(`
gitlab: {url: %q}
agent: %s:%s
credentials: {runner: {existingSecret: %[4]s}, config: {existingSecret: %[4]s}}
redis: {embedded: {image: {repository: %s, tag: %s}}}
`, s.gitlab.URL(), project, agentName, credentials, node.RedisRepository, node.RedisTag))
	r.rolled()
	took := time.Since(began).Round(100 * time.Millisecond)
	r.t.Logf("all pods are ready %s after helm install; the aim is %s", took, readyWithin)
	if took > readyAtMost {
		r.t.Errorf("all pods are ready %s after helm install, which is more than %s even for a busy machine", took, readyAtMost)
	}
	if !strings.Contains(made.Info.Notes, project+":"+agentName) {
		r.t.Errorf("the notes do not name the agent:\n%s", made.Info.Notes)
	}
	for _, name := range append(slices.Clone(services), "redis") {
		for _, p := range r.pods(name) {
			for _, c := range p.Status.ContainerStatuses {
				if c.RestartCount > 0 {
					r.t.Errorf("%s of %s was restarted %d times: %+v", c.Name, p.Name, c.RestartCount, c.LastTerminationState.Terminated)
				}
			}
		}
	}
}

func pipeline(s *site) {
	first := s.succeeds(s.start(""))
	for _, want := range []string{"deployment.apps/your-app created", "service/your-app created"} {
		if !strings.Contains(first, want) {
			s.r.t.Errorf("the log lacks %q:\n%s", want, first)
		}
	}
	if second := s.succeeds(s.start("")); strings.Count(second, " unchanged\n") != 2 {
		s.r.t.Errorf("the second run should change nothing:\n%s", second)
	}
	s.r.eventually(rolledWithin, func(ctx context.Context) error {
		d, err := s.r.kube.AppsV1().Deployments(target).Get(ctx, "your-app", metav1.GetOptions{})
		if err != nil {
			return err
		}
		return deploymentRolled(*d)
	})
}

// selfCheck passes, and can be read by who asked for it.
func selfCheck(s *site) {
	if said := s.r.test(); !strings.Contains(said, "everything works") {
		s.r.t.Errorf("helm test --logs says:\n%s", said)
	}
}

// upgradeEveryPod is the upgrade to another version, with a job at work.
func upgradeEveryPod(s *site) {
	job := s.startLong("upgrade")
	before := s.r.podNames()
	s.r.upgrade(fmt.Sprintf("image: {tag: %s}\nredis: {embedded: {podLabels: {version: two}}}\n", nextTag))
	s.r.rolled()
	s.r.replaced(before)
	s.succeeds(s.start("")) // the new pods take jobs while the old one still has its own
	job.end()
}

// replaced checks that none of the pods is one of before; the name of Redis' stays.
func (r *release) replaced(before []string) {
	r.t.Helper()
	for _, name := range r.podNames() {
		if slices.Contains(before, name) && !strings.HasSuffix(name, "-redis-0") {
			r.t.Errorf("pod %s was not replaced", name)
		}
	}
}

// podNames are those of all pods that are not ending.
func (r *release) podNames() []string {
	var names []string
	for _, service := range append(slices.Clone(services), "redis") {
		for _, p := range r.pods(service) {
			names = append(names, p.Name)
		}
	}
	return names
}
