package conformance

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/e2e/gitlabsim/joblog"
	"github.com/towline/towline/e2e/rig"
	"github.com/towline/towline/pkg/eventually"
)

// jobWithin is how long a job of the installation may take.
const jobWithin = 90 * time.Second

// installation is the three services with a real API server and the simulator.
// Its jobs are all of one pipeline.
type installation struct {
	*rig.Trial
	t         *testing.T
	gitlab    *sim.Server
	rig       *rig.Rig
	kube      kubernetes.Interface
	namespace string

	mu     sync.Mutex
	mutate map[string]func(payload map[string]any) // by name of the job
}

// install starts one; change, if any, has the last word on its services.
func install(t *testing.T, opts sim.Options, change func(*installation, *rig.Options)) *installation {
	t.Helper()
	i := &installation{t: t, mutate: map[string]func(map[string]any){}}
	opts.LongPoll, opts.MutatePayload = longPoll, i.mutation
	i.Trial = rig.NewTrialAt(t, opts)
	i.gitlab, i.kube, i.namespace = i.GitLab, i.Kube, i.Namespace
	i.Allow(fmt.Sprintf("gitlab:project:%d", i.Project(projectPath).ID), "edit")
	i.Agent(projectPath, tag)
	o := &i.Options
	o.ConfigToken = "" // instead of the project:
	o.Config = "ci_access:\n  projects:\n    - id: " + projectPath + "\n      default_namespace: " + i.namespace + "\n      access_as: {ci_job: {}}\n"
	o.Concurrent, o.RunnerArgs = 6, []string{"--log-limit=200000"}
	if change != nil {
		change(i, o)
	}
	i.Stopped = i.swept
	i.Start()
	i.rig = i.Rig
	return i
}

func (i *installation) mutation(p map[string]any) {
	info, _ := p["job_info"].(map[string]any)
	i.mu.Lock()
	defer i.mu.Unlock()
	if f := i.mutate[fmt.Sprint(info["name"])]; f != nil {
		f(p)
	}
}

// swept looks for what the jobs have left on the disk.
func (i *installation) swept() {
	if left, err := os.ReadDir(filepath.Join(i.Options.Dir, "work")); err == nil && len(left) > 0 {
		i.t.Errorf("%d job directories are left behind", len(left))
	}
}

// execCase is one job and what becomes of it.
type execCase struct {
	of     []int // cases of the sheet
	name   string
	yaml   string // beside tags
	mutate func(payload map[string]any)
	status sim.Status // success if empty
	reason string
	exit   int
	has    []string // lines of the log
	order  []string // lines of the log, in this order
	lacks  []string // texts that the log must not have
	cut    bool     // the log ends in the middle
	// before acts before the job runs, during while it does; check looks at
	// the raw log, content at the artifacts of a type.
	before  func(i *installation, id int64)
	content map[string]func(t *testing.T, b []byte)
	during  func(t *testing.T, i *installation, id int64)
	check   func(t *testing.T, raw string, j sim.Job)
}

// runAll runs the cases as jobs of one pipeline, side by side.
func (i *installation) runAll(cases []execCase) {
	i.t.Helper()
	var yaml strings.Builder
	for n, c := range cases {
		name := fmt.Sprintf("c%03d", n)
		i.mutate[name] = c.mutate
		fmt.Fprintf(&yaml, "%s:\n  tags: [%s]\n", name, tag)
		text := strings.TrimSpace(c.yaml)
		if c.before != nil {
			text = "when: manual\n" + text
		}
		if !strings.Contains(text, "GIT_STRATEGY") {
			if strings.Contains(text, "variables:\n") {
				text = strings.Replace(text, "variables:\n", "variables:\n  GIT_STRATEGY: none\n", 1)
			} else {
				text = "variables:\n  GIT_STRATEGY: none\n" + text
			}
		}
		fmt.Fprintf(&yaml, "  %s\n", strings.ReplaceAll(text, "\n", "\n  "))
	}
	_, err := i.gitlab.Push(projectPath, "main", map[string]string{".gitlab-ci.yml": yaml.String(), "hello.txt": "hello\n"})
	must(i.t, err)
	p, err := i.gitlab.RunPipeline(sim.PipelineOptions{Project: projectPath})
	must(i.t, err)
	ids := map[string]int64{}
	for _, j := range p.Jobs {
		ids[j.Name] = j.ID
	}
	i.t.Run("cases", func(t *testing.T) {
		for n, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				id := ids[fmt.Sprintf("c%03d", n)]
				if c.before != nil {
					c.before(i, id)
					must(t, i.gitlab.PlayJob(id, nil, ""))
				}
				i.judge(t, c, id)
				held(t, c.of)
			})
		}
	})
}

func (i *installation) judge(t *testing.T, c execCase, id int64) {
	t.Helper()
	if c.during != nil {
		c.during(t, i, id)
	}
	ctx, cancel := context.WithTimeout(context.Background(), jobWithin)
	defer cancel()
	j, err := i.gitlab.Wait(ctx, id)
	raw, _ := i.gitlab.Trace(id)
	if err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	if c.status == "" {
		c.status = sim.Success
	}
	reported(t, j, c.status, c.reason, c.exit)
	log := joblog.Parse(raw)
	for _, e := range log.Errors {
		if !c.cut || !strings.Contains(e, "never closed") {
			t.Errorf("log: %s", e)
		}
	}
	text := joblog.Text(raw, false)
	for _, want := range c.has {
		if !strings.Contains("\n"+text, "\n"+want+"\n") {
			t.Errorf("the log lacks the line %q", want)
		}
	}
	rest := "\n" + text
	for _, want := range c.order {
		_, after, found := strings.Cut(rest, "\n"+want+"\n")
		if !found {
			t.Errorf("the log lacks the line %q, or has it too early", want)
			continue
		}
		rest = "\n" + after
	}
	for _, bad := range c.lacks {
		if strings.Contains(text, bad) {
			t.Errorf("the log has %q", bad)
		}
	}
	if c.check != nil {
		c.check(t, string(raw), j)
	}
	for kind, check := range c.content {
		b, err := i.gitlab.ArtifactContent(id, kind)
		must(t, err)
		check(t, b)
	}
	if t.Failed() {
		t.Logf("log:\n%.4000s", text)
	}
}

// started waits until the job has made the ConfigMap of that name.
func (i *installation) started(t *testing.T, name string) {
	t.Helper()
	eventually.Is(t, name+" is there", func() bool {
		_, err := i.kube.CoreV1().ConfigMaps(i.namespace).Get(t.Context(), name, metav1.GetOptions{})
		return err == nil
	})
}
