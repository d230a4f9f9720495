//go:build linux && node

package node_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/e2e/gitlabsim/joblog"
	"github.com/towline/towline/e2e/node"
	"github.com/towline/towline/e2e/rig"
)

const (
	project   = "acme/apps/shop"
	agentName = "production"
	target    = "shop" // the namespace that jobs deploy to

	jobWithin = 3 * time.Minute
	longPoll  = 2 * time.Second
)

// agentConfig lets the project's jobs in.
const agentConfig = `ci_access:
  projects:
    - id: ` + project + `
      default_namespace: ` + target + `
      access_as: {ci_job: {}}
`

// seed is the pipeline of a team that deploys with kubectl.
const seed = `deploy:
  tags: [` + agentName + `]
  script:
    - echo "Deploying application..."
    - kubectl apply -f k8s/deployment.yaml
    - kubectl apply -f k8s/service.yaml
  environment: {name: production}
`

// long is a job that goes on until the test has made the ConfigMap of the
// variable FINISH.
const long = `long:
  tags: [` + agentName + `]
  script:
    - n=0
    - until kubectl get configmap "$FINISH" >/dev/null 2>&1; do n=$((n+1)); echo "line $n of the job"; sleep 1; done
    - echo "ended after $n lines"
`

// The objects that the seed's pipeline deploys.
const (
	deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: your-app}
spec:
  replicas: 2
  selector: {matchLabels: {app: your-app}}
  template:
    metadata: {labels: {app: your-app}}
    spec:
      containers:
        - {name: web, image: "` + appImage + `", ports: [{containerPort: 8080}]}
`
	service = `apiVersion: v1
kind: Service
metadata: {name: your-app}
spec: {selector: {app: your-app}, ports: [{port: 80, targetPort: 8080}]}
`
	// appImage is one that the node has.
	appImage = node.RedisRepository + ":" + node.RedisTag
)

// site is GitLab with a project, outside the cluster.
type site struct {
	r      *release
	gitlab *sim.Server
	runner sim.Runner
	config string // the token for the configuration
	back   int    // the revision of the release to roll back to
}

func newSite(t *testing.T, r *release) *site {
	t.Helper()
	s := &site{r: r}
	var err error
	// Several replicas of a tunnel may serve a runner one after the other.
	s.gitlab, err = sim.Start(sim.Options{Addr: node.Outside + ":0", LongPoll: longPoll, MaxManagers: 10})
	r.must(err)
	t.Cleanup(func() { _ = s.gitlab.Close() })
	p, err := s.gitlab.CreateProject(sim.ProjectOptions{Path: project})
	r.must(err)
	_, err = s.gitlab.CreateAgent(project, agentName)
	r.must(err)
	s.runner, err = s.gitlab.CreateRunner(sim.RunnerOptions{Tags: []string{agentName}})
	r.must(err)
	s.config, err = s.gitlab.CreateAccessToken(sim.AccessTokenOptions{Project: project, Scopes: []string{"read_repository"}})
	r.must(err)
	files := map[string]string{
		".gitlab/agents/" + agentName + "/config.yaml": agentConfig,
		".gitlab-ci.yml":      seed,
		"k8s/deployment.yaml": deployment, "k8s/service.yaml": service,
	}
	_, err = s.gitlab.Push(project, p.DefaultBranch, files)
	r.must(err)
	files[".gitlab-ci.yml"] = long
	_, err = s.gitlab.Push(project, "long", files)
	r.must(err)
	for _, ns := range []corev1.Namespace{
		{ObjectMeta: metav1.ObjectMeta{Name: target}},
		{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}},
	} {
		_, err := r.kube.CoreV1().Namespaces().Create(t.Context(), &ns, metav1.CreateOptions{})
		r.must(err)
	}
	r.must(rig.Allow(t.Context(), node.Shared().Cluster(), rig.Access{Group: fmt.Sprintf("gitlab:project:%d", p.ID), Namespace: target, Role: "edit"}))
	return s
}

// start starts the pipeline of a branch and returns its only job.
func (s *site) start(ref string, vars ...sim.Variable) int64 {
	s.r.t.Helper()
	p, err := s.gitlab.RunPipeline(sim.PipelineOptions{Project: project, Ref: ref, Variables: vars})
	s.r.must(err)
	return p.Jobs[0].ID
}

// succeeds waits for a job's end and returns its log, which has to be whole.
func (s *site) succeeds(id int64) string {
	s.r.t.Helper()
	ctx, cancel := context.WithTimeout(s.r.t.Context(), jobWithin)
	defer cancel()
	j, err := s.gitlab.Wait(ctx, id)
	raw, _ := s.gitlab.Trace(id)
	log := joblog.Text(raw, false)
	switch {
	case err != nil:
		s.r.must(fmt.Errorf("job %d is %s: %w\n%s", id, j.Status, err, log))
	case j.Status != sim.Success:
		s.r.must(fmt.Errorf("job %d is %s (%s)\n%s", id, j.Status, j.FailureReason, log))
	case !j.Checksum.Equal:
		s.r.t.Errorf("job %d: checksum announced %+v\n%s", id, j.Checksum, log)
	}
	return log
}

// longJob is a job that runs until it is told to end.
type longJob struct {
	s      *site
	id     int64
	finish string
}

// startLong starts a job and returns when its script runs.
func (s *site) startLong(name string) longJob {
	s.r.t.Helper()
	j := longJob{s: s, finish: "finish-" + name}
	j.id = s.start("long", sim.Variable{Key: "FINISH", Value: j.finish})
	s.r.must(s.gitlab.WatchJob(j.id, true)) // else GitLab gets a piece of the log once a minute
	ctx, cancel := context.WithTimeout(s.r.t.Context(), jobWithin)
	defer cancel()
	if err := s.gitlab.WaitTrace(ctx, j.id, "line 2 of"); err != nil {
		s.r.must(fmt.Errorf("job %d does not start: %w", j.id, err))
	}
	return j
}

// end lets the job end, and checks that not a line of its log is missing.
func (j longJob) end() {
	j.s.r.t.Helper()
	_, err := j.s.r.kube.CoreV1().ConfigMaps(target).Create(j.s.r.t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: j.finish}}, metav1.CreateOptions{})
	j.s.r.must(err)
	log := j.s.succeeds(j.id)
	lines := strings.Count(log, " of the job\n")
	var want strings.Builder
	for n := range lines {
		fmt.Fprintf(&want, "line %d of the job\n", n+1)
	}
	if end := fmt.Sprintf("ended after %d lines\n", lines); lines < 2 || !strings.Contains(log, want.String()) || !strings.Contains(log, end) {
		j.s.r.t.Errorf("the log of job %d is not whole:\n%s", j.id, log)
	}
}
