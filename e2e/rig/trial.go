package rig

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/towline/towline/e2e/cluster"
	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/pkg/ledger/redistest"
)

// trialWithin bounds the start of an installation in a test.
const trialWithin = 60 * time.Second

// Main runs a package's tests with the services' binaries, which it builds
// first unless EnvBinaries names some, and stops the shared cluster. It returns
// the exit code for os.Exit.
func Main(m *testing.M) int {
	if os.Getenv(EnvBinaries) == "" {
		dir, err := os.MkdirTemp("", "towline-binaries-")
		if err == nil {
			defer os.RemoveAll(dir)
			err = Build(context.Background(), dir, false, os.Stderr)
		}
		if err == nil {
			err = os.Setenv(EnvBinaries, dir)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return cluster.Main(m)
}

// Trial is what one test has for itself: a GitLab, a Redis, a namespace in the
// shared cluster and, once it is started, an installation. When the test ends,
// the installation is stopped, GitLab says what it thinks of it, and the logs of
// a failed test are printed before what it failed with.
type Trial struct {
	testing.TB
	Cluster   *cluster.Cluster
	Kube      kubernetes.Interface
	Namespace string
	GitLab    *sim.Server
	Redis     *redistest.Server
	Runner    sim.Runner
	Options   Options  // to install with; Start reads them
	Rig       *Rig     // after Start
	Stopped   func()   // further checks, once the installation has stopped
	Expected  []string // parts of the anomalies that the test provokes
}

// NewTrial prepares a trial. GitLab answers requests for jobs after longPoll at
// the latest.
func NewTrial(tb testing.TB, longPoll time.Duration) *Trial {
	tb.Helper()
	return NewTrialAt(tb, sim.Options{LongPoll: longPoll})
}

// NewTrialAt prepares a trial at a certain GitLab.
func NewTrialAt(tb testing.TB, gitlab sim.Options) *Trial {
	tb.Helper()
	t := &Trial{TB: tb, Cluster: cluster.Shared(tb), Redis: redistest.Private(tb)}
	t.Namespace = t.Cluster.Namespace(tb)
	cfg, err := t.Cluster.RESTConfig()
	t.Must(err)
	t.Kube, err = kubernetes.NewForConfig(cfg)
	t.Must(err)
	t.GitLab, err = sim.Start(gitlab)
	t.Must(err)
	tb.Cleanup(func() { _ = t.GitLab.Close() })
	t.Options = Options{Cluster: t.Cluster, RedisURL: t.Redis.URL, GitLabURL: t.GitLab.URL(), Dir: tb.TempDir()}
	return t
}

// Must ends the test at an error.
func (t *Trial) Must(err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Project makes a project of GitLab's.
func (t *Trial) Project(path string) sim.Project {
	t.Helper()
	p, err := t.GitLab.CreateProject(sim.ProjectOptions{Path: path})
	t.Must(err)
	return p
}

// Agent makes the agent, its runner and the token that reads its project, and
// puts them into the options.
func (t *Trial) Agent(project, name string) {
	t.Helper()
	agent, err := t.GitLab.CreateAgent(project, name)
	t.Must(err)
	t.Runner, err = t.GitLab.CreateRunner(sim.RunnerOptions{Tags: []string{name}})
	t.Must(err)
	t.Options.Agent, t.Options.AgentID, t.Options.RunnerToken = project+":"+name, agent.ID, t.Runner.Token
	t.Options.ConfigToken, err = t.GitLab.CreateAccessToken(sim.AccessTokenOptions{Project: project, Scopes: []string{"read_repository"}})
	t.Must(err)
}

// Allow gives a group a role in the trial's namespace.
func (t *Trial) Allow(group, role string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), trialWithin)
	defer cancel()
	t.Must(Allow(ctx, t.Cluster, Access{Group: group, Namespace: t.Namespace, Role: role}))
}

// Start installs with the options.
func (t *Trial) Start() {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), trialWithin)
	defer cancel()
	var err error
	t.Rig, err = Start(ctx, t.Options)
	t.Must(err)
	t.Cleanup(t.close)
}

func (t *Trial) close() {
	if err := t.Rig.Stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	for _, a := range t.GitLab.AnomaliesExcept(t.Expected...) {
		t.Errorf("anomaly at %s, job %d: %s", a.Endpoint, a.Job, a.What)
	}
	if t.Stopped != nil {
		t.Stopped()
	}
	if t.Failed() {
		// Not t.Log: what the test failed with shall stand below all this.
		t.Rig.PrintLogs(os.Stdout)
	}
}
