package pipelines

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/e2e/gitlabsim/joblog"
)

func TestPipelines(t *testing.T) {
	list, err := names()
	must(t, err)
	s := open(t)
	t.Run("projects", func(t *testing.T) {
		for _, name := range list {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s.play(t, name)
			})
		}
	})
}

// attempt is one project while its steps run.
type attempt struct {
	*testing.T
	site      *site
	name      string
	about     description
	project   sim.Project
	namespace string
	commits   []string
	pipeline  sim.Pipeline
}

// play runs all steps of a project.
func (s *site) play(t *testing.T, name string) {
	d, err := describe(name)
	must(t, err)
	a := &attempt{T: t, site: s, name: name, about: d, namespace: name + "-" + suffix()}
	a.project, err = s.gitlab.CreateProject(sim.ProjectOptions{Path: path(name)})
	must(t, err)
	s.prepare(t, d, a.project.ID, a.namespace)
	for _, v := range variables(d.Variables, a.namespace) {
		must(t, s.gitlab.SetVariable("project:"+a.project.Path, v))
	}
	a.push("main", "project")
	for _, st := range d.Steps {
		a.step(st)
		if t.Failed() && !*update && *oracle == "" {
			return
		}
	}
}

func suffix() string {
	var b [3]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

func (a *attempt) push(branch, folder string) {
	a.Helper()
	content, err := files(a.name, folder)
	must(a.T, err)
	sha, err := a.site.gitlab.Push(a.project.Path, branch, content)
	must(a.T, err)
	a.commits = append(a.commits, sha)
}

// change applies one entry of "before".
func (a *attempt) change(what string) {
	a.Helper()
	verb, object, _ := strings.Cut(what, " ")
	switch verb {
	case "push":
		a.push("main", object)
	case "branch":
		a.push(object, "project")
	case "tag":
		must(a.T, a.site.gitlab.CreateTag(a.project.Path, object, "main"))
	default:
		a.Fatalf("%s/run.yaml: %q is not push, branch or tag", a.name, what)
	}
}

// step runs one step and compares what it did.
func (a *attempt) step(st step) {
	a.Helper()
	for _, what := range st.Before {
		a.change(what)
	}
	var err error
	if len(st.Play) == 0 {
		a.pipeline, err = a.site.gitlab.RunPipeline(sim.PipelineOptions{
			Project: a.project.Path, Ref: st.Ref, Source: st.Source, Variables: variables(st.Variables, a.namespace),
		})
		must(a.T, err)
	}
	for _, name := range st.Play {
		j, ok := a.pipeline.Job(name)
		if !ok {
			a.Fatalf("step %s: there is no job %q", st.Name, name)
		}
		must(a.T, a.site.gitlab.PlayJob(j.ID, nil, ""))
	}
	a.rest(st)
	expected := maps.Clone(st.Jobs)
	for _, j := range a.pipeline.Jobs {
		if j.Retried || len(st.Play) > 0 && !slices.Contains(st.Play, j.Name) {
			continue
		}
		want := "success"
		if w, ok := expected[j.Name]; ok {
			want = w
			delete(expected, j.Name)
		}
		a.job(st, j, want)
	}
	for name := range expected {
		a.Errorf("step %s: job %q is expected and does not exist", st.Name, name)
	}
	a.compare(filepath.Join(st.Name, "objects.yaml"), a.normal(a.site.objects(a.T, a.about, a.namespace)))
}

// rest waits until nothing of the pipeline runs or is about to run.
func (a *attempt) rest(st step) {
	a.Helper()
	await(a.T, "the end of step "+st.Name, func() bool {
		var err error
		a.pipeline, err = a.site.gitlab.Pipeline(a.pipeline.ID)
		must(a.T, err)
		for _, j := range a.pipeline.Jobs {
			if j.Status == sim.Pending || j.Status == sim.Running || j.Status == sim.Canceling {
				return false
			}
		}
		return true
	})
}

// job compares a job's state and log.
func (a *attempt) job(st step, j sim.Job, want string) {
	a.Helper()
	got := string(j.Status)
	if j.Status == sim.Failed && j.ExitCode != nil {
		got = fmt.Sprintf("failed %d", *j.ExitCode)
	}
	raw, err := a.site.gitlab.Trace(j.ID)
	must(a.T, err)
	if got != want {
		a.Errorf("step %s: job %q is %s (%s), want %s\n%s", st.Name, j.Name, got, j.FailureReason, want, joblog.Text(raw, false))
	}
	if len(raw) == 0 {
		return
	}
	if *oracle == "" && !j.Checksum.Equal {
		a.Errorf("step %s: job %q: checksum announced %+v", st.Name, j.Name, j.Checksum)
	}
	for _, e := range joblog.Parse(raw).Errors {
		a.Errorf("step %s: log of job %q: %s", st.Name, j.Name, e)
	}
	a.compare(filepath.Join(st.Name, fileName(j.Name)+".log"), a.normal(scripts(joblog.Text(raw, false))))
}

var unsafeName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

func fileName(job string) string { return strings.Trim(unsafeName.ReplaceAllString(job, "-"), "-") }

func lines(text string) []string { return strings.Split(text, "\n") }

func (a *attempt) compare(file, got string) {
	a.Helper()
	file = filepath.Join(projects, a.name, "want", file)
	if *oracle != "" {
		a.consulted(file, got)
		return
	}
	if *update {
		must(a.T, os.MkdirAll(filepath.Dir(file), 0o755))
		must(a.T, os.WriteFile(file, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	must(a.T, err)
	if diff := cmp.Diff(lines(string(want)), lines(got)); diff != "" {
		a.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
