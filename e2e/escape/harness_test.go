package escape

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/e2e/cluster"
	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/e2e/gitlabsim/joblog"
	"github.com/towline/towline/e2e/rig"
	"github.com/towline/towline/pkg/eventually"
)

const (
	projectPath  = "acme/apps/shop"
	agentName    = "production"
	jobWithin    = 2 * time.Minute
	scratchLimit = 64 << 20
	memoryLimit  = 512 << 20
	runnerSource = "../../services/runner"
	systemShell  = "/bin/busybox"
)

var binaries, toolbox string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("/var/tmp", "towline-escape-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return cluster.Main(m)
}

// build makes the services and a toolbox with the attacker in it.
func build(dir string) error {
	// Limits are those of the services as people run them, not of ones that the
	// race detector makes several times as large and slow.
	binaries = dir
	if err := rig.Build(context.Background(), dir, false, os.Stderr); err != nil {
		return err
	}
	if _, err := os.Stat(systemShell); err != nil {
		return fmt.Errorf("%w: install the package busybox-static", err)
	}
	toolbox = filepath.Join(dir, "toolbox")
	call := filepath.Join(dir, "call")
	for _, args := range [][]string{
		{"go", "build", "-o", call, runnerSource + "/cmd/call"},
		{filepath.Join(binaries, "runner"), "toolbox", "make", "-busybox", systemShell, "-call", call, toolbox},
		{"go", "build", "-o", filepath.Join(toolbox, "attacker"), runnerSource + "/internal/sandbox/attacker"},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

// outsideTmp makes a directory that jobs can name: below /tmp they would find
// their own.
func outsideTmp(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "towline-escape-") //nolint:usetesting // t.TempDir is below /tmp
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// prison is one installation, with a job of somebody else's in it.
type prison struct {
	*rig.Trial
	t      *testing.T
	gitlab *sim.Server
	rig    *rig.Rig
	dir    string // of the installation's files
	words  *strings.Replacer
	files  map[string]string // of the project
}

// caches is where the runner keeps those of jobs.
func (p *prison) caches() string { return filepath.Join(p.dir, "caches") }

func open(t *testing.T) *prison {
	t.Helper()
	trial := rig.NewTrial(t, 2*time.Second)
	p := &prison{Trial: trial, t: t, gitlab: trial.GitLab, dir: outsideTmp(t)}
	p.Allow(fmt.Sprintf("gitlab:project:%d", p.Project(projectPath).ID), "edit")
	p.Agent(projectPath, agentName)
	p.files = map[string]string{".gitlab/agents/" + agentName + "/config.yaml": "ci_access:\n  projects:\n    - id: " + projectPath + "\n      default_namespace: " + p.Namespace + "\n      access_as:\n        ci_job: {}\n"}
	p.push(job{})
	o := &p.Options
	o.Dir, o.Binaries = p.dir, binaries
	o.RunnerArgs = []string{"--toolbox=" + toolbox, fmt.Sprintf("--scratch-limit=%d", scratchLimit), fmt.Sprintf("--memory-limit=%d", memoryLimit), "--log-limit=1000000", "--cache-dir=" + p.caches()}
	o.TunnelArgs = []string{"--cache"}
	p.Stopped = p.swept
	p.Start()
	p.rig = p.Rig
	cfg, err := p.Cluster.RESTConfig()
	p.must(err)
	victim, pid := p.victim()
	p.words = strings.NewReplacer(
		"DIR", p.dir, "TOOLBOX", toolbox, "RUNNER_PID", fmt.Sprint(p.rig.Runner.Pid()), "VICTIM_PID", pid, "VICTIM", victim,
		"REDIS", host(p.Redis.URL), "POLICY", host(p.rig.Policy.URL), "TUNNEL", host(p.rig.Tunnel.URL), "RUNNER", host(p.rig.Runner.URL), "APISERVER", host(cfg.Host),
	)
	return p
}

func host(address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		return u.Host
	}
	return address
}

func (p *prison) must(err error) {
	p.t.Helper()
	p.Must(err)
}

// victim starts a job that goes on, and returns its directory and its process.
func (p *prison) victim() (dir, pid string) {
	p.t.Helper()
	p.push(job{script: []string{"echo victims-secret > victims-file", "sleep 3600"}})
	p.start()
	deadline := time.Now().Add(jobWithin)
	for {
		found, _ := filepath.Glob(filepath.Join(p.dir, "work/*/*/project/victims-file"))
		if len(found) == 1 {
			dir = filepath.Dir(found[0])
			break
		}
		if time.Now().After(deadline) {
			p.t.Fatal("the victim's job does not start")
		}
		time.Sleep(20 * time.Millisecond)
	}
	cwds, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, cwd := range cwds {
		if to, err := os.Readlink(cwd); err == nil && to == dir {
			return dir, filepath.Base(filepath.Dir(cwd))
		}
	}
	p.t.Fatal("the victim's process is not found")
	return "", ""
}

// job is what a case puts into .gitlab-ci.yml.
type job struct{ script []string }

func (j job) yaml() string {
	var b strings.Builder
	b.WriteString("job:\n  tags: [" + agentName + "]\n  script:\n    - echo a job runs\n")
	for _, line := range j.script {
		b.WriteString("    - |\n")
		for part := range strings.SplitSeq(line, "\n") {
			b.WriteString("      " + part + "\n")
		}
	}
	return b.String()
}

func (p *prison) push(j job) {
	p.t.Helper()
	p.files[".gitlab-ci.yml"] = j.yaml()
	_, err := p.gitlab.Push(projectPath, "main", p.files)
	p.must(err)
}

func (p *prison) start() int64 {
	p.t.Helper()
	run, err := p.gitlab.RunPipeline(sim.PipelineOptions{Project: projectPath})
	p.must(err)
	return run.Jobs[0].ID
}

// run runs a script as a job and returns how it ended, and its log.
func (p *prison) run(t *testing.T, script ...string) (sim.Job, string) {
	t.Helper()
	lines := make([]string, 0, len(script))
	for _, s := range script {
		lines = append(lines, p.words.Replace(s))
	}
	p.push(job{script: lines})
	id := p.start()
	ctx, cancel := context.WithTimeout(context.Background(), jobWithin)
	defer cancel()
	j, err := p.gitlab.Wait(ctx, id)
	raw, traceErr := p.gitlab.Trace(id)
	if err != nil || traceErr != nil {
		t.Fatalf("job %d: %v, %v (state %s)\n%s", id, err, traceErr, j.Status, last(string(raw)))
	}
	return j, joblog.Text(raw, false)
}

// last is the end of a log.
func last(log string) string {
	const most = 3000
	return log[max(0, len(log)-most):]
}

// healthy checks that the runner is ready and runs another job.
func (p *prison) healthy(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // a machine that was full needs a moment
	defer cancel()
	if err := p.rig.Runner.WaitReady(ctx); err != nil {
		t.Errorf("the runner does not become ready: %v", err)
	}
	if j, log := p.run(t, "kubectl version >/dev/null && echo fine | grep fine"); j.Status != sim.Success {
		t.Errorf("the next job is %s\n%s", j.Status, last(log))
	}
}

// swept looks for what the jobs have left on the disk and running.
func (p *prison) swept() {
	eventually.Is(p.t, "nothing is left behind", func() bool {
		left, _ := os.ReadDir(filepath.Join(p.dir, "work"))
		return len(left) == 0
	})
	eventually.Is(p.t, "no program runs", func() bool { return len(p.programs()) == 0 })
}

// programs lists the running programs of the toolbox.
func (p *prison) programs() (out []string) {
	exes, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, exe := range exes {
		if to, err := os.Readlink(exe); err == nil && strings.HasPrefix(to, toolbox) {
			out = append(out, exe)
		}
	}
	return out
}
