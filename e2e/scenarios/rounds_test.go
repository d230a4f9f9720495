package scenarios

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sim "github.com/towline/towline/e2e/gitlabsim"
)

// rounds runs the jobs of testdata/rotation time and again.
type rounds struct {
	*scenario
	round int
}

// startRound starts five jobs for four slots, and returns when one of them uses
// the cluster: a cut connection to Redis can cost the ticket of a slot, which
// comes back when it has run out.
func (r *rounds) startRound() map[string]sim.Job {
	r.t.Helper()
	r.round++
	jobs := r.start(sim.Variable{Key: "ROUND", Value: r.mark()})
	r.until("a job runs", func() bool {
		l, err := r.kube.CoreV1().ConfigMaps(r.namespace).List(context.Background(), metav1.ListOptions{})
		r.must(err)
		return slices.ContainsFunc(l.Items, func(c corev1.ConfigMap) bool { return strings.HasPrefix(c.Name, r.mark()+"-") })
	})
	return jobs
}

func (r *rounds) mark() string { return fmt.Sprintf("round-%d", r.round) }

var counted = regexp.MustCompile(`(?m)^line (\d+) of (\w)$`)

// finishRound lets the jobs end and looks at each line of their logs.
func (r *rounds) finishRound(jobs map[string]sim.Job) {
	r.t.Helper()
	_, err := r.kube.CoreV1().ConfigMaps(r.namespace).Create(context.Background(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: r.mark() + "-go-on"}}, metav1.CreateOptions{})
	r.must(err)
	for name, j := range jobs {
		done := r.wait(j.ID)
		text := r.log(j.ID)
		if done.Status != sim.Success {
			r.t.Errorf("job %s is %s (%s)\n%s", name, done.Status, done.FailureReason, text)
		}
		lines := counted.FindAllStringSubmatch(text, -1)
		for i, l := range lines {
			if l[1] != fmt.Sprint(i+1) || l[2] != name {
				r.t.Errorf("job %s: line %d of the log is %q", name, i+1, l[0])
				break
			}
		}
		if end := fmt.Sprintf("\nwent on after %d lines\n", len(lines)); !strings.Contains(text, end) {
			r.t.Errorf("job %s: the log lacks %q, or lines before it\n%s", name, end, text)
		}
	}
}

func (r *rounds) until(what string, is func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(jobWithin); !is(); {
		if time.Now().After(deadline) {
			r.t.Fatalf("never: %s", what)
		}
		<-time.After(20 * time.Millisecond)
	}
}
