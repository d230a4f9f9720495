//go:build linux && node

package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"

	"helm.sh/helm/v3/pkg/action"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sim "github.com/towline/towline/e2e/gitlabsim"
)

// rotateRunnerToken replaces the token in its Secret: nothing restarts.
func rotateRunnerToken(s *site) {
	r := s.r
	job := s.startLong("runner-token")
	before := r.podNames()
	next, err := s.gitlab.CreateRunner(sim.RunnerOptions{Tags: []string{agentName}})
	r.must(err)
	secret := r.secret(credentials)
	secret.Data["runner-token"] = []byte(next.Token)
	_, err = r.kube.CoreV1().Secrets(namespace).Update(r.t.Context(), secret, metav1.UpdateOptions{})
	r.must(err)
	r.eventually(rolledWithin, func(context.Context) error {
		seen, err := s.gitlab.Runner(next.ID)
		if err == nil && len(seen.Managers) == 0 {
			err = errors.New("GitLab has not seen the new token")
		}
		return err
	})
	job.end()
	r.must(s.gitlab.DeleteRunner(s.runner.ID))
	s.runner = next
	s.succeeds(s.start(""))
	r.samePods(before)
}

// rotateRedisPassword makes the passwords of before good for nothing in two
// upgrades: the first uses their successors, which were made beforehand, the
// second forgets them. A rollback goes over one of the two.
func rotateRedisPassword(s *site) {
	const name = releaseName + "-redis"
	job := s.startLong("redis-password")
	for generation := 2; generation <= 3; generation++ {
		before := s.r.secret(name).Data
		revision := s.r.upgrade(fmt.Sprintf("redis: {embedded: {generation: %d}}", generation))
		s.r.rolled()
		after := s.r.secret(name).Data
		if bytes.Equal(before["tunnel-password"], after["tunnel-password"]) || !bytes.Equal(before["tunnel-password"], after["tunnel-password-previous"]) {
			s.r.t.Errorf("generation %d: the password did not become the previous one", generation)
		}
		if !bytes.Equal(before["tunnel-password-next"], after["tunnel-password"]) {
			s.r.t.Errorf("generation %d: the password is not the next one of before", generation)
		}
		if generation == 2 {
			s.back = revision
		}
		s.succeeds(s.start(""))
	}
	job.end()
}

// rotateAuthority makes another authority for TLS between the services.
func rotateAuthority(s *site) {
	job := s.startLong("authority")
	before := s.r.certificates()
	s.r.upgrade("tls: {generation: 2}")
	s.r.rolled()
	for name, certificate := range s.r.certificates() {
		if before[name] == certificate {
			s.r.t.Errorf("the certificate of Secret %s is still the one of before", name)
		}
	}
	s.succeeds(s.start(""))
	job.end()
	s.r.test()
}

// certificates are those of the Secrets for TLS.
func (r *release) certificates() map[string]string {
	r.t.Helper()
	l, err := r.kube.CoreV1().Secrets(namespace).List(r.t.Context(), metav1.ListOptions{})
	r.must(err)
	all := map[string]string{}
	for _, s := range l.Items {
		if c := s.Data[corev1.TLSCertKey]; len(c) > 0 {
			all[s.Name] = string(c)
		}
	}
	if len(all) == 0 {
		r.t.Error("no Secret has a certificate")
	}
	return maps.Clone(all)
}

// rotateKeys makes another key that seals jobs and another that signs grants.
func rotateKeys(s *site) {
	job := s.startLong("keys")
	s.r.upgrade("credentials: {seal: {generation: 2}, signing: {generation: 2}}")
	s.r.rolled()
	s.succeeds(s.start(""))
	job.end()
}

// rollBack is `helm rollback` to the version of before with a job at work, over one
// generation of every key and password, as the guide has it. The runner of the job
// has been told to end before, so that its volumes are not brought up to date any
// more: what it knows has to stay good until the job is over.
func rollBack(s *site) {
	job := s.startLong("rollback")
	for _, p := range s.r.pods("runner") {
		s.r.must(s.r.kube.CoreV1().Pods(namespace).Delete(s.r.t.Context(), p.Name, metav1.DeleteOptions{}))
	}
	s.r.rolled()
	before := s.r.podNames()
	password := s.r.secret(releaseName + "-redis").Data["runner-password"]
	back := action.NewRollback(s.r.helm)
	back.Version = s.back
	s.r.must(back.Run(releaseName))
	s.r.rolled()
	s.r.replaced(before)
	if after := s.r.secret(releaseName + "-redis").Data; !bytes.Equal(password, after["runner-password-next"]) {
		s.r.t.Error("the password in use did not become the next one")
	}
	s.succeeds(s.start(""))
	job.end()
}

func (r *release) secret(name string) *corev1.Secret {
	r.t.Helper()
	s, err := r.kube.CoreV1().Secrets(namespace).Get(r.t.Context(), name, metav1.GetOptions{})
	r.must(err)
	return s
}

// samePods checks that no pod has been replaced or restarted.
func (r *release) samePods(before []string) {
	r.t.Helper()
	after := r.podNames()
	if fmt.Sprint(before) != fmt.Sprint(after) {
		r.t.Errorf("pods were replaced: %v, now %v", before, after)
	}
}
