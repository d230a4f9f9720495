package main

import (
	"bufio"
	"bytes"
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
	jobWithin   = 5 * time.Minute
)

// site is everything that runs during the measurement.
type site struct {
	dir, project string
	progress     io.Writer

	gitlab    *simclient.Client
	url       string
	redisURL  string
	cluster   *cluster.Cluster
	kubectl   string
	helm      string
	rig       *rig.Rig
	readToken string
	undo      []func() error
}

func (s *site) set(ctx context.Context) (err error) {
	if s.kubectl, err = cluster.Kubectl(ctx, s.progress); err != nil {
		return err
	}
	if s.helm, err = helmFolder(ctx, s.dir); err != nil {
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
	s.redisURL = redis.URL
	gitlab, err := sim.Start(sim.Options{})
	if err != nil {
		return err
	}
	s.undo = append(s.undo, gitlab.Close)
	s.url, s.gitlab = gitlab.URL(), simclient.New(gitlab.URL(), nil)
	opts, group, err := rig.Site{
		GitLab: s.gitlab, Cluster: s.cluster, Project: projectPath, Agent: agentName, Dir: s.project,
		Environment: environment, Namespace: namespace,
	}.Prepare(ctx)
	if err != nil {
		return err
	}
	// Roles and RoleBindings are among the objects.
	if err := rig.Allow(ctx, s.cluster, rig.Access{Group: group, Namespace: namespace, Role: "admin"}); err != nil {
		return err
	}
	opts.RedisURL, opts.GitLabURL, opts.Dir, opts.Progress = redis.URL, s.url, s.dir, s.progress
	s.readToken = opts.ConfigToken
	folder, err := filepath.Abs("bin/toolbox")
	if err != nil {
		return err
	}
	rules, err := s.writeRules()
	if err != nil {
		return err
	}
	opts.PolicyArgs = []string{"--rules=" + rules}
	opts.Concurrent, opts.RunnerArgs = concurrency, []string{"--toolbox=" + folder}
	if s.rig, err = rig.Start(ctx, opts); err != nil {
		return err
	}
	s.undo = append(s.undo, s.rig.Stop)
	return nil
}

func (s *site) clear() error {
	var errs []error
	for i := len(s.undo) - 1; i >= 0; i-- {
		errs = append(errs, s.undo[i]())
	}
	return errors.Join(errs...)
}

// sample is one run of the pipeline under Towline.
type sample struct{ firstByte, final time.Duration }

// towline runs the pipeline once.
func (s *site) towline(ctx context.Context) (sample, error) {
	j, err := s.runJob(ctx)
	if err != nil {
		return sample{}, err
	}
	handed := j.At(sim.EventHandedOut)
	return sample{j.At(sim.EventFirstByte).Sub(handed), j.At(sim.EventFinalPut).Sub(handed)}, nil
}

// push replaces the files of the project.
func (s *site) push(ctx context.Context, files map[string]string) error {
	_, err := s.gitlab.Push(ctx, projectPath, "main", files)
	return err
}

// pushProject puts the project of the main job back.
func (s *site) pushProject(ctx context.Context) error {
	_, err := s.gitlab.PushDir(ctx, projectPath, "main", s.project)
	return err
}

// handRun is a script run by hand.
type handRun struct {
	took  time.Duration
	lines []stamp
}

// bash runs a script with real processes in dir.
func (s *site) bash(ctx context.Context, dir, text string) (handRun, error) {
	cmd := exec.CommandContext(ctx, "bash", "-c", text)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(),
		"KUBECONFIG="+s.cluster.Kubeconfig(), "HOME="+s.dir, // kubectl's disk cache stays warm there
		"PATH="+filepath.Dir(s.kubectl)+":"+s.helm+":"+os.Getenv("PATH"), "GIT_TERMINAL_PROMPT=0",
		fmt.Sprintf("URL=http://token:%s@%s/%s.git", s.readToken, s.url[len("http://"):], projectPath))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return handRun{}, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return handRun{}, err
	}
	var run handRun
	for lines := bufio.NewScanner(out); lines.Scan(); {
		run.lines = append(run.lines, stamp{time.Now(), lines.Text()})
	}
	err = cmd.Wait()
	run.took = time.Since(began)
	if err != nil {
		return run, fmt.Errorf("bash: %w\n%s", err, stderr.String())
	}
	return run, nil
}

// checkedOut runs the main job's script after fetching the project.
func (s *site) checkedOut(ctx context.Context) (handRun, error) {
	dir, err := os.MkdirTemp(s.dir, "checkout-")
	if err != nil {
		return handRun{}, err
	}
	defer os.RemoveAll(dir)
	return s.bash(ctx, dir, fetchScript+mainScript)
}
