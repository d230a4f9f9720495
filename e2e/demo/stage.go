package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/towline/towline/e2e/cluster"
	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/e2e/gitlabsim/simclient"
	"github.com/towline/towline/e2e/rig"
	"github.com/towline/towline/pkg/ledger/redistest"
)

// What the demo creates in GitLab.
const (
	projectPath = "your-group/your-project"
	agentName   = "your-agent-name"
	environment = "production"
	namespace   = "default"

	startWithin = 20 * time.Minute // the first time builds Kubernetes
	jobWithin   = time.Minute
	stopWithin  = 10 * time.Second
)

// stage is everything that runs.
type stage struct {
	dir, project string
	tell         *teller

	cluster *cluster.Cluster
	gitlab  *simclient.Client
	url     string
	rig     *rig.Rig
	undo    []func() error
}

func (s *stage) play(ctx context.Context, keep bool) error {
	if err := s.set(ctx); err != nil {
		return err
	}
	for _, title := range []string{"The pipeline runs", "The same pipeline again: nothing changes"} {
		s.tell.head("%s", title)
		if err := s.pipeline(ctx); err != nil {
			return err
		}
	}
	if err := s.judge(ctx); err != nil {
		return err
	}
	if keep {
		s.wait(ctx)
	}
	return nil
}

// set starts everything.
func (s *stage) set(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	s.tell.head("Starting a real Kubernetes API, Redis, a simulated GitLab and Towline")
	var err error
	if s.cluster, err = cluster.Start(ctx, cluster.Options{Progress: s.tell}); err != nil {
		return err
	}
	s.undo = append(s.undo, s.cluster.Stop)
	s.tell.say("cluster", "etcd, kube-apiserver and controllers are ready: %s", s.cluster.Kubeconfig())
	redisURL, err := s.redis(ctx)
	if err != nil {
		return err
	}
	if err := s.startGitLab(ctx); err != nil {
		return err
	}
	opts, err := s.fill(ctx)
	if err != nil {
		return err
	}
	opts.RedisURL, opts.GitLabURL, opts.Dir = redisURL, s.url, s.dir
	opts.Progress, opts.Tee = s.tell, s.tell.log
	if s.rig, err = rig.Start(ctx, opts); err != nil {
		return err
	}
	s.undo = append(s.undo, s.rig.Stop)
	s.tell.say("towline", "policy, tunnel and runner are ready; the cluster has opened no port for GitLab")
	return nil
}

// redis starts the system's Redis, or an imitation where none is installed.
func (s *stage) redis(ctx context.Context) (string, error) {
	r, err := redistest.Start(ctx, redistest.Options{})
	if err == nil {
		s.undo = append(s.undo, r.Close)
		s.tell.say("redis", "redis-server is ready")
		return r.URL, nil
	}
	if !errors.Is(err, redistest.ErrNotInstalled) {
		return "", err
	}
	m := miniredis.NewMiniRedis()
	if err := m.Start(); err != nil {
		return "", err
	}
	s.undo = append(s.undo, func() error { m.Close(); return nil })
	s.tell.say("redis", "redis-server is not installed (apt-get install redis-server): an in-memory imitation takes its place")
	return "redis://" + m.Addr() + "/0", nil
}

// startGitLab builds and starts the simulator as a process.
func (s *stage) startGitLab(ctx context.Context) error {
	binary := filepath.Join(s.dir, "gitlabsim")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/towline/towline/e2e/gitlabsim/cmd/gitlabsim").CombinedOutput(); err != nil {
		return fmt.Errorf("build the simulated GitLab: %w\n%s", err, out)
	}
	cmd := exec.Command(binary, "--exit-with-parent", "--data-dir", filepath.Join(s.dir, "gitlab"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.undo = append(s.undo, func() error {
		kill := time.AfterFunc(stopWithin, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		_ = stdin.Close()
		return cmd.Wait()
	})
	var info sim.Info
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil || json.Unmarshal(line, &info) != nil {
		return fmt.Errorf("the simulated GitLab did not start: %w", err)
	}
	s.url, s.gitlab = info.URL, simclient.New(info.URL, nil)
	s.tell.say("gitlab", "simulated GitLab is ready: %s", s.url)
	return nil
}

// fill creates project, agent, runner and rights.
func (s *stage) fill(ctx context.Context) (rig.Options, error) {
	site := rig.Site{
		GitLab: s.gitlab, Cluster: s.cluster, Project: projectPath, Agent: agentName, Dir: s.project,
		Environment: environment, Namespace: namespace,
	}
	o, group, err := site.Prepare(ctx)
	if err != nil {
		return o, err
	}
	s.tell.say("gitlab", "project %s with agent %s and its config.yaml", projectPath, agentName)
	s.tell.say("cluster", "jobs of group %s may edit namespace %s", group, namespace)
	return o, nil
}

// wait keeps everything running until the user interrupts.
func (s *stage) wait(ctx context.Context) {
	s.tell.head("Still running; press Ctrl-C to stop everything")
	s.tell.block(fmt.Sprintf(`run the pipeline again:   curl -s -X POST %s/_sim/RunPipeline -d '{"pipeline":{"project":"%s"}}'
read a job's log:         curl -s '%s/_sim/jobs/1001/log?ansi'
look into the cluster:    kubectl --kubeconfig %s get deployment,service
`, s.url, projectPath, s.url, s.cluster.Kubeconfig()))
	<-ctx.Done()
}

// clear stops everything in reverse.
func (s *stage) clear() error {
	var errs []error
	for i := len(s.undo) - 1; i >= 0; i-- {
		errs = append(errs, s.undo[i]())
	}
	s.tell.head("Everything is stopped")
	return errors.Join(errs...)
}
