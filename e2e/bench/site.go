package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/towline/towline/e2e/cluster"
	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/e2e/gitlabsim/simclient"
	"github.com/towline/towline/e2e/rig"
	"github.com/towline/towline/pkg/ledger/redistest"
)

const (
	projectPath = "your-group/your-project"
	agentName   = "your-agent-name"
	environment = "production"
	namespace   = "default"
	jobWithin   = time.Minute
)

// site is everything that runs during the measurement.
type site struct {
	dir, project string
	progress     io.Writer

	gitlab    *simclient.Client
	url       string
	cluster   *cluster.Cluster
	kubectl   string
	readToken string
	undo      []func() error
}

func (s *site) set(ctx context.Context) (err error) {
	if s.kubectl, err = cluster.Kubectl(ctx, s.progress); err != nil {
		return err
	}
	if s.cluster, err = cluster.Start(ctx, cluster.Options{Progress: s.progress}); err != nil {
		return err
	}
	s.undo = append(s.undo, s.cluster.Stop)
	redis, err := redistest.Start(ctx, redistest.Options{})
	if err != nil {
		return err
	}
	s.undo = append(s.undo, redis.Close)
	gitlab, err := sim.Start(sim.Options{})
	if err != nil {
		return err
	}
	s.undo = append(s.undo, gitlab.Close)
	s.url, s.gitlab = gitlab.URL(), simclient.New(gitlab.URL(), nil)
	opts, _, err := rig.Site{
		GitLab: s.gitlab, Cluster: s.cluster, Project: projectPath, Agent: agentName, Dir: s.project,
		Environment: environment, Namespace: namespace,
	}.Prepare(ctx)
	if err != nil {
		return err
	}
	opts.RedisURL, opts.GitLabURL, opts.Dir, opts.Progress = redis.URL, s.url, s.dir, s.progress
	s.readToken = opts.ConfigToken
	r, err := rig.Start(ctx, opts)
	if err != nil {
		return err
	}
	s.undo = append(s.undo, r.Stop)
	return nil
}

func (s *site) clear() error {
	var errs []error
	for i := len(s.undo) - 1; i >= 0; i-- {
		errs = append(errs, s.undo[i]())
	}
	return errors.Join(errs...)
}

// towline runs the pipeline once.
func (s *site) towline(ctx context.Context) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, jobWithin)
	defer cancel()
	p, err := s.gitlab.RunPipeline(ctx, sim.PipelineOptions{Project: projectPath})
	if err != nil {
		return sample{}, err
	}
	j, err := s.gitlab.Wait(ctx, p.Jobs[0].ID)
	if err != nil {
		return sample{}, err
	}
	if j.Status != sim.Success || !j.Checksum.Equal {
		return sample{}, fmt.Errorf("job %d ended as %s (%s)", j.ID, j.Status, j.FailureReason)
	}
	handed := j.At(sim.EventHandedOut)
	return sample{j.At(sim.EventFirstByte).Sub(handed), j.At(sim.EventFinalPut).Sub(handed)}, nil
}

const script = `set -eo pipefail
echo "Deploying application..."
kubectl apply -f k8s/deployment.yaml
kubectl apply -f k8s/service.yaml
`

// fetch is what get_sources does, by hand.
const fetch = `set -e
git init -q .
git fetch -q --depth 20 "$URL" main
git checkout -q FETCH_HEAD
`

// bash runs the job's script with real kubectl processes, after fetching the
// project if asked to.
func (s *site) bash(ctx context.Context, withFetch bool) (time.Duration, error) {
	dir, text := s.project, script
	if withFetch {
		tmp, err := os.MkdirTemp(s.dir, "checkout-")
		if err != nil {
			return 0, err
		}
		defer os.RemoveAll(tmp)
		dir, text = tmp, fetch+script
	}
	cmd := exec.CommandContext(ctx, "bash", "-c", text)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(),
		"KUBECONFIG="+s.cluster.Kubeconfig(), "HOME="+s.dir, // kubectl's disk cache stays warm there
		"PATH="+filepath.Dir(s.kubectl)+":"+os.Getenv("PATH"), "GIT_TERMINAL_PROMPT=0",
		fmt.Sprintf("URL=http://token:%s@%s/%s.git", s.readToken, s.url[len("http://"):], projectPath))
	began := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(began)
	if err != nil {
		return 0, fmt.Errorf("bash: %w\n%s", err, out)
	}
	return took, nil
}
