package scenarios

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/e2e/gitlabsim/joblog"
	"github.com/towline/towline/e2e/rig"
	"github.com/towline/towline/pkg/ledger/redistest"
)

var update = flag.Bool("update", false, "write want/ from what the scenarios print")

const (
	projectPath = "acme/apps/shop"
	agentName   = "production"
	jobWithin   = 60 * time.Second
	longPoll    = 2 * time.Second
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

// scenario is one installation with one project. What it shares with the
// installations of other packages has short names here.
type scenario struct {
	*rig.Trial
	t         *testing.T
	name      string
	kube      kubernetes.Interface
	namespace string
	gitlab    *sim.Server
	redis     *redistest.Server
	project   sim.Project
	runner    sim.Runner
	rig       *rig.Rig
	opts      *rig.Options
}

// setup changes a scenario before it starts.
type setup func(*scenario)

// open starts an installation for the scenario in testdata/name.
func open(t *testing.T, name string, setups ...setup) *scenario {
	t.Helper()
	return openAt(t, name, sim.Options{LongPoll: longPoll}, setups...)
}

// openAt is open at a certain GitLab.
func openAt(t *testing.T, name string, gitlab sim.Options, setups ...setup) *scenario {
	t.Helper()
	trial := rig.NewTrialAt(t, gitlab)
	s := &scenario{Trial: trial, t: t, name: name, kube: trial.Kube, namespace: trial.Namespace, gitlab: trial.GitLab, redis: trial.Redis, opts: &trial.Options}
	s.project = s.Project(projectPath)
	s.Agent(projectPath, agentName)
	s.runner = s.Runner
	for _, f := range setups {
		f(s)
	}
	s.push(s.files("input"))
	s.Allow(fmt.Sprintf("gitlab:project:%d", s.project.ID), "edit")
	s.Stopped = s.swept
	s.Start()
	s.rig = s.Rig
	return s
}

func (s *scenario) must(err error) {
	s.t.Helper()
	s.Must(err)
}

// swept looks for what the installation has left on the disk.
func (s *scenario) swept() {
	if left, err := filepath.Glob(filepath.Join(s.opts.Dir, "work", "replica-*")); err != nil || len(left) > 0 {
		s.t.Errorf("left behind: %v, %v", left, err)
	}
}

// files reads a folder of the scenario; NAMESPACE and PROJECT stand for the
// scenario's own.
func (s *scenario) files(folder string) map[string]string {
	s.t.Helper()
	root := filepath.Join("testdata", s.name, folder)
	out := map[string]string{}
	s.must(filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		out[filepath.ToSlash(rel)] = strings.NewReplacer("NAMESPACE", s.namespace, "PROJECT", projectPath).Replace(string(b))
		return err
	}))
	return out
}

func (s *scenario) push(files map[string]string) {
	s.t.Helper()
	_, err := s.gitlab.Push(projectPath, "main", files)
	s.must(err)
}

// start runs the project's pipeline and returns its jobs by name.
func (s *scenario) start(vars ...sim.Variable) map[string]sim.Job {
	s.t.Helper()
	return s.startIn(projectPath, vars...)
}

func (s *scenario) startIn(project string, vars ...sim.Variable) map[string]sim.Job {
	s.t.Helper()
	p, err := s.gitlab.RunPipeline(sim.PipelineOptions{Project: project, Variables: vars})
	s.must(err)
	jobs := map[string]sim.Job{}
	for _, j := range p.Jobs {
		jobs[j.Name] = j
	}
	return jobs
}

// wait waits for a job's end and checks the checksum of its log.
func (s *scenario) wait(id int64) sim.Job {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), jobWithin)
	defer cancel()
	j, err := s.gitlab.Wait(ctx, id)
	if err != nil {
		s.t.Fatalf("job %d: %v (state %s)\n%s", id, err, j.Status, s.log(id))
	}
	if j.Status != sim.Canceled && !j.Checksum.Equal {
		s.t.Errorf("job %d: checksum announced %+v", id, j.Checksum)
	}
	return j
}

// waitStarted waits until a job's script has made the ConfigMap "started".
func (s *scenario) waitStarted(id int64) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), jobWithin)
	defer cancel()
	w, err := s.kube.CoreV1().ConfigMaps(s.namespace).Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=started"})
	s.must(err)
	defer w.Stop()
	if _, ok := <-w.ResultChan(); !ok {
		s.t.Fatalf("the script of job %d has not started\n%s", id, s.log(id))
	}
}

// waitTraced waits until the ledger holds a text of a job's log; GitLab gets it
// only in the interval that it asks for.
func (s *scenario) waitTraced(id int64, text string) {
	s.t.Helper()
	key := fmt.Sprintf("towline:{%d}:trace", id)
	deadline := time.Now().Add(jobWithin)
	for !strings.Contains(s.redis.Client().Get(context.Background(), key).Val(), text) {
		if time.Now().After(deadline) {
			s.t.Fatalf("the ledger does not get %q of job %d", text, id)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (s *scenario) log(id int64) string {
	raw, err := s.gitlab.Trace(id)
	s.must(err)
	return joblog.Text(raw, false)
}

// want compares a job with what the scenario's folder says of it.
func (s *scenario) want(j sim.Job, status sim.Status, reason string, exit int) {
	s.t.Helper()
	got := 0
	if j.ExitCode != nil {
		got = *j.ExitCode
	}
	if j.Status != status || j.FailureReason != reason || got != exit {
		s.t.Errorf("job %s is %s (%s, exit code %d); want %s (%s, %d)\n%s", j.Name, j.Status, j.FailureReason, got, status, reason, exit, s.log(j.ID))
	}
	raw, err := s.gitlab.Trace(j.ID)
	s.must(err)
	if reason != "runner_system_failure" { // a log that was cut off has an open section
		for _, e := range joblog.Parse(raw).Errors {
			s.t.Errorf("log of job %s: %s", j.Name, e)
		}
	}
	s.compare(filepath.Join("testdata", s.name, "want", j.Name+".log"), s.normal(j, joblog.Text(raw, false)))
}

func (s *scenario) compare(file, got string) {
	s.t.Helper()
	if *update {
		s.must(os.MkdirAll(filepath.Dir(file), 0o755))
		s.must(os.WriteFile(file, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	s.must(err)
	if diff := cmp.Diff(string(want), got); diff != "" {
		s.t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

var variable = []struct {
	is *regexp.Regexp
	as string
}{
	{regexp.MustCompile(`Running with towline \S+`), "Running with towline VERSION"},
	{regexp.MustCompile(`system ID: r_[0-9a-f]{12}`), "system ID: SYSTEM"},
	{regexp.MustCompile(`Running on .*\.\.\.`), "Running on HOST..."},
	{regexp.MustCompile(`/\S*/work/replica-\S+/\d+-\d+/project`), "DIR"},
	{regexp.MustCompile(`Checking out [0-9a-f]{8}`), "Checking out COMMIT"},
	{regexp.MustCompile(`@[0-9a-f]{8}:`), "@COMMIT:"},
	{regexp.MustCompile(`host=127\.0\.0\.1:\d+`), "host=GITLAB"},
}

// normal replaces what differs from run to run.
func (s *scenario) normal(j sim.Job, text string) string {
	for _, v := range variable {
		text = v.is.ReplaceAllString(text, v.as)
	}
	return strings.NewReplacer(s.namespace, "NAMESPACE", s.rig.Namespace, "TOWLINE", s.opts.Dir, "RIG", fmt.Sprintf("ci_job:%d", j.ID), "ci_job:ID").Replace(text)
}

// deployments lists the deployments in the scenario's namespace.
func (s *scenario) deployments() []string {
	s.t.Helper()
	l, err := s.kube.AppsV1().Deployments(s.namespace).List(context.Background(), metav1.ListOptions{})
	s.must(err)
	var names []string
	for _, d := range l.Items {
		names = append(names, d.Name)
	}
	return names
}
