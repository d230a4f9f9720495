package forgery

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/e2e/gitlabsim/joblog"
	"github.com/towline/towline/e2e/rig"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
	"github.com/towline/towline/pkg/seal"
)

const (
	agentProject = "acme/agents"
	agentName    = "production"
	prefix       = "towline"
	within       = 60 * time.Second
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

// site is the installation and its GitLab.
type site struct {
	kube      kubernetes.Interface
	namespace string
	gitlab    *sim.Server
	redis     *redistest.Server
	ledger    *ledger.Ledger
	rig       *rig.Rig
	opts      rig.Options
	watch     *watch
}

// TestForgery runs the attacks one after the other against one installation and
// looks for secrets at the end.
func TestForgery(t *testing.T) {
	s := open(t)
	t.Run("variables", func(t *testing.T) { variables(t, s) })
	t.Run("strangers", func(t *testing.T) { strangers(t, s) })
	t.Run("evidence", func(t *testing.T) { evidence(t, s) })
	t.Run("ledger", func(t *testing.T) { tampering(t, s) })
	t.Run("accounts", func(t *testing.T) { accounts(t, s) })
	t.Run("leaks", func(t *testing.T) { leaks(t, s) })
}

// projects of the site that config.yaml lets in. The last one only from
// protected branches and for the environment production.
var projects = []string{"acme/apps/plain", "acme/apps/yaml", "acme/apps/project", "acme/apps/pipeline", "acme/apps/dotenv", "acme/apps/approved", "acme/apps/guarded"}

const stranger = "acme/other/stranger"

func open(t *testing.T) *site {
	t.Helper()
	trial := rig.NewTrial(t, 2*time.Second)
	// What GitLab has already, nobody can change in Redis; it notices the attempt.
	trial.Expected = []string{"final PUT announces checksum"}
	s := &site{kube: trial.Kube, namespace: trial.Namespace, gitlab: trial.GitLab, redis: trial.Redis}
	s.watch = newWatch(t, s.redis)
	s.ledger = ledger.New(s.redis.Client(), prefix)
	s.prepare(t, trial)
	trial.Start()
	s.rig, s.opts = trial.Rig, trial.Options
	return s
}

// prepare makes the projects, the runner and the rights in the cluster.
func (s *site) prepare(t *testing.T, trial *rig.Trial) {
	t.Helper()
	config := "ci_access:\n  projects:\n"
	for _, path := range append(slices.Clone(projects), stranger, agentProject) {
		trial.Allow(fmt.Sprintf("gitlab:project:%d", trial.Project(path).ID), "edit")
		if path == stranger || path == agentProject {
			continue
		}
		config += "  - id: " + path + "\n    default_namespace: " + s.namespace + "\n    access_as: {ci_job: {}}\n"
		if path == "acme/apps/guarded" {
			config += "    environments: [production]\n    protected_branches_only: true\n"
		}
		must(t, s.gitlab.SetVariable("project:"+path, sim.Variable{Key: "DB_PASSWORD", Value: password, Masked: true, Raw: true}))
		must(t, s.gitlab.SetVariable("project:"+path, sim.Variable{Key: "MARK", Value: marker}))
	}
	trial.Agent(agentProject, agentName)
	_, err := s.gitlab.Push(agentProject, "main", map[string]string{".gitlab/agents/" + agentName + "/config.yaml": config})
	must(t, err)
	file := filepath.Join(t.TempDir(), "rules.yaml")
	must(t, os.WriteFile(file, []byte(rules), 0o600))
	o := &trial.Options
	s.watch.secret("runner token", o.RunnerToken)
	s.watch.secret("configuration token", o.ConfigToken)
	o.RedisPrefix, o.Concurrent = prefix, 1
	o.PolicyArgs, o.RunnerArgs = []string{"--rules=" + file}, []string{"--rules=" + file}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start pushes a pipeline to a branch of a project and runs it.
func (s *site) start(t *testing.T, project, branch, pipeline string, vars ...sim.Variable) map[string]sim.Job {
	t.Helper()
	_, err := s.gitlab.Push(project, branch, map[string]string{".gitlab-ci.yml": pipeline})
	must(t, err)
	p, err := s.gitlab.RunPipeline(sim.PipelineOptions{Project: project, Ref: branch, Variables: vars})
	must(t, err)
	jobs := map[string]sim.Job{}
	for _, j := range p.Jobs {
		jobs[j.Name] = j
	}
	return jobs
}

// wait waits for a job's end; its log must be what was announced.
func (s *site) wait(t *testing.T, id int64) sim.Job {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	j, err := s.gitlab.Wait(ctx, id)
	if err != nil {
		t.Fatalf("%v\n%s", err, s.log(t, id))
	}
	s.watch.secret(fmt.Sprintf("token of job %d", id), j.Token)
	return j
}

func (s *site) log(t *testing.T, id int64) string {
	t.Helper()
	raw, err := s.gitlab.Trace(id)
	must(t, err)
	return joblog.Text(raw, false)
}

// denied checks that a job was refused for a reason and did nothing.
func (s *site) denied(t *testing.T, j sim.Job, reason string) {
	t.Helper()
	if log := s.log(t, j.ID); j.Status != sim.Failed || j.FailureReason != "runner_configuration_error" || !strings.Contains(log, reason) {
		t.Errorf("job %s is %s (%s), want a denial with %q:\n%s", j.Name, j.Status, j.FailureReason, reason, log)
	}
	if n := s.runs(t, j.Name); n != 0 {
		t.Errorf("the denied job %s ran %d times", j.Name, n)
	}
}

// leave is a command that leaves a trace in the cluster each time it runs.
func leave(name string) string {
	return fmt.Sprintf(`printf '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"ran-","labels":{"job":%q}}}' | kubectl create -f -`, name)
}

// runs counts how often the script of a job ran.
func (s *site) runs(t *testing.T, name string) int {
	t.Helper()
	l, err := s.kube.CoreV1().ConfigMaps(s.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "job=" + name})
	must(t, err)
	return len(l.Items)
}

// configMap makes one, for jobs that wait for it.
func (s *site) configMap(t *testing.T, name string) {
	t.Helper()
	_, err := s.kube.CoreV1().ConfigMaps(s.namespace).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	must(t, err)
}

// box seals and opens as the services do: for attacks of somebody who has the
// key.
func (s *site) box(t *testing.T) *seal.Box {
	t.Helper()
	b, err := seal.Load(filepath.Join(s.opts.Dir, "seal.key"))
	must(t, err)
	return b
}

// watch sees every command that Redis gets and looks for secrets in it.
type watch struct {
	mu      sync.Mutex
	secrets map[string]string // by what they are
	// commands are those that Redis has been sent.
	commands func() string
}

const (
	password = "correct-horse-battery-staple"
	marker   = "only-in-the-payload-5f3c9a7d2e"
)

func newWatch(t *testing.T, r *redistest.Server) *watch {
	return &watch{
		secrets: map[string]string{"masked variable": password, "variable of the payload": marker}, commands: redistest.Commands(t, r),
	}
}

func (w *watch) secret(what, value string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if value != "" {
		w.secrets[what] = value
	}
}

// in lists which secrets a text holds, as they are or in base64.
func (w *watch) in(text string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []string
	for what, value := range w.secrets {
		if strings.Contains(text, value) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(value))) {
			found = append(found, what)
		}
	}
	return found
}

// text is a service's whole log.
func text(t *testing.T, svc *rig.Service) string {
	t.Helper()
	b, err := json.Marshal(svc.Lines())
	must(t, err)
	return string(b)
}
