package gitlabsim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/towline/towline/e2e/gitlabsim/ciyaml"
)

const zeroSHA = "0000000000000000000000000000000000000000"

// RunPipeline creates a pipeline from the .gitlab-ci.yml at a ref; jobs of the
// first stage become pending at once.
func (s *Server) RunPipeline(opts PipelineOptions) (Pipeline, error) {
	pl, err := s.prepare(opts)
	if err != nil {
		return Pipeline{}, err
	}
	ctx := context.Background()
	_, data, err := s.git.file(ctx, pl.project.id, pl.sha, ".gitlab-ci.yml")
	if err != nil {
		return Pipeline{}, fmt.Errorf("read .gitlab-ci.yml at %s: %w", pl.ref, err)
	}
	cfg, err := ciyaml.Parse(data)
	if err != nil {
		return Pipeline{}, fmt.Errorf(".gitlab-ci.yml: %w", err)
	}
	if err := checkReports(cfg); err != nil {
		return Pipeline{}, err
	}
	if pl.message, pl.author, pl.timestamp, err = s.git.describe(ctx, pl.project.id, pl.sha); err != nil {
		return Pipeline{}, err
	}
	if err := s.changes(ctx, pl); err != nil {
		return Pipeline{}, err
	}
	s.mu.Lock()
	pl.id = s.st.next("pipeline")
	s.mu.Unlock()
	if err := s.git.setRef(ctx, pl.project.id, fmt.Sprintf("refs/pipelines/%d", pl.id), pl.sha); err != nil {
		return Pipeline{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.populate(pl, cfg); err != nil {
		return Pipeline{}, err
	}
	return s.pipelineView(pl), nil
}

func checkReports(cfg *ciyaml.Config) error {
	for _, j := range cfg.Jobs {
		if j.Artifacts == nil {
			continue
		}
		for _, r := range j.Artifacts.Reports {
			if _, ok := reportTypes[r.Type]; !ok || r.Type == "archive" || r.Type == "metadata" {
				return fmt.Errorf("jobs:%s:artifacts:reports: unknown keyword %q", j.Name, r.Type)
			}
		}
	}
	return nil
}

// prepare resolves project, user and ref.
func (s *Server) prepare(opts PipelineOptions) (*pipeline, error) {
	s.mu.Lock()
	p := s.findProject(opts.Project)
	u := s.st.users[orDefault(opts.User, "root")]
	s.mu.Unlock()
	if p == nil {
		return nil, fmt.Errorf("project %q not found", opts.Project)
	}
	if u == nil {
		return nil, fmt.Errorf("user %q not found", opts.User)
	}
	ctx := context.Background()
	pl := &pipeline{
		project: p, ref: orDefault(opts.Ref, p.defaultBranch), source: orDefault(opts.Source, "push"), user: u,
		vars: opts.Variables, beforeSHA: zeroSHA, createdAt: s.now(),
	}
	sha, err := s.git.commit(ctx, p.id, pl.ref)
	if err != nil {
		return nil, fmt.Errorf("project %s: %w", p.path, err)
	}
	pl.sha = sha
	pl.tag = !s.git.hasRef(ctx, p.id, "refs/heads/"+pl.ref) && s.git.hasRef(ctx, p.id, "refs/tags/"+pl.ref)
	return pl, nil
}

// populate makes the jobs; the mutex is held.
func (s *Server) populate(pl *pipeline, cfg *ciyaml.Config) error {
	if err := s.workflow(pl, cfg); err != nil {
		return err
	}
	pl.stages, pl.yaml = cfg.Stages, cfg.Variables
	pl.project.iid++
	pl.iid = pl.project.iid
	var specs []ciyaml.Job
	for _, spec := range cfg.Jobs {
		spec.Rules = ciyaml.Among(spec.Rules, pl.files)
		seen := spec // rules see the pipeline's variables too
		seen.Variables = ciyaml.Override(cfg.Variables, spec.Variables)
		resolved, ok, err := spec.Resolve(s.ruleLookup(pl, seen))
		if err != nil {
			return fmt.Errorf("jobs:%s: %w", spec.Name, err)
		}
		if ok {
			resolved.Variables = ciyaml.Override(cfg.Variables, resolved.Variables)
			specs = append(specs, resolved)
		}
	}
	if len(specs) == 0 {
		return errors.New("the rules left no job in the pipeline")
	}
	for _, spec := range specs {
		for _, n := range spec.Needs {
			if !n.Optional && !slices.ContainsFunc(specs, func(o ciyaml.Job) bool { return o.Name == n.Job }) {
				return fmt.Errorf("'%s' job needs '%s' job, but '%s' does not exist in the pipeline", spec.Name, n.Job, n.Job)
			}
		}
	}
	s.st.pipelines[pl.id] = pl
	slices.SortStableFunc(specs, func(a, b ciyaml.Job) int {
		return slices.Index(cfg.Stages, a.Stage) - slices.Index(cfg.Stages, b.Stage)
	})
	for _, spec := range specs {
		j := s.newJob(pl, spec, slices.Index(cfg.Stages, spec.Stage))
		s.attachEnvironment(j)
	}
	s.process(pl)
	s.touch()
	return nil
}

func (s *Server) newJob(pl *pipeline, spec ciyaml.Job, stage int) *job {
	j := &job{id: s.st.next("job"), spec: spec, stageIdx: stage, pipeline: pl, status: Created, user: pl.user, createdAt: s.now()}
	s.st.jobs[j.id] = j
	s.st.queue = append(s.st.queue, j)
	pl.jobs = append(pl.jobs, j)
	s.event(j, EventCreated, "")
	return j
}

// attachEnvironment persists the job's environment at creation.
func (s *Server) attachEnvironment(j *job) {
	if j.spec.Environment == nil || j.spec.Environment.Name == "" {
		return
	}
	spec := *j.spec.Environment
	j.spec.Environment = &spec
	spec.Name = s.expandFor(j, spec.Name)
	j.spec.Environment.Name = spec.Name
	j.env = s.environmentFor(j.pipeline.project, spec.Name, spec.Tier)
}

// ruleLookup finds what rules may see: YAML, scoped and pipeline variables and
// the pipeline's predefined ones.
func (s *Server) ruleLookup(pl *pipeline, spec ciyaml.Job) ciyaml.Lookup {
	probe := &job{pipeline: pl, spec: spec, user: pl.user}
	list := append(s.projectPredefined(probe), s.pipelinePredefined(probe)...)
	for _, v := range spec.Variables {
		list = append(list, item{key: v.Key, value: v.Value})
	}
	list = append(append(list, s.scopedVariables(probe)...), settings(pl.vars)...)
	return func(key string) (string, bool) {
		ok := slices.ContainsFunc(list, func(v item) bool { return v.key == key })
		return last(list, key), ok
	}
}

func (s *Server) pipelineView(pl *pipeline) Pipeline {
	out := Pipeline{ID: pl.id, IID: pl.iid, Project: pl.project.path, Ref: pl.ref, SHA: pl.sha, Status: pipelineStatus(pl)}
	for _, j := range pl.jobs {
		out.Jobs = append(out.Jobs, s.jobView(j))
	}
	return out
}

// Job finds the newest job of that name.
func (p Pipeline) Job(name string) (Job, bool) {
	for i := len(p.Jobs) - 1; i >= 0; i-- {
		if p.Jobs[i].Name == name {
			return p.Jobs[i], true
		}
	}
	return Job{}, false
}

func (s *Server) jobView(j *job) Job {
	out := Job{
		ID: j.id, Name: j.spec.Name, Stage: j.spec.Stage, Project: j.pipeline.project.path, Pipeline: j.pipeline.id,
		Status: j.status, FailureReason: j.reason, ExitCode: j.exitCode, AllowFailure: j.allowsFailure(), Retried: j.retried,
		Erased: j.erased, Token: j.token, Debug: j.debug, TraceSize: int64(len(j.trace)), Timeline: slices.Clone(j.events),
		Checksum: Checksum{Announced: j.announced, AnnouncedSize: j.announcedLen, Computed: checksum(j.trace)},
	}
	out.Checksum.Equal = j.announced == out.Checksum.Computed && j.announcedLen == out.TraceSize
	if j.runner != nil {
		out.Runner = j.runner.id
	}
	if j.manager != nil {
		out.SystemID = j.manager.systemID
	}
	if j.env != nil {
		out.Environment = j.env.Name
	}
	for _, a := range j.artifacts {
		out.Artifacts = append(out.Artifacts, a.Artifact)
	}
	return out
}

// normalScope checks "instance", "group:<path>" or "project:<path>".
func normalScope(scope string) (string, error) {
	kind, path, _ := strings.Cut(orDefault(scope, "instance"), ":")
	switch {
	case kind == "instance" && path == "":
		return kind, nil
	case (kind == "group" || kind == "project") && path != "":
		return kind + ":" + strings.ToLower(path), nil
	}
	return "", fmt.Errorf("scope %q is not instance, group:<path> or project:<path>", scope)
}
