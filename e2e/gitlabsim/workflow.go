package gitlabsim

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/towline/towline/e2e/gitlabsim/ciyaml"
)

// changes reads what rules:changes and rules:exists compare with.
func (s *Server) changes(ctx context.Context, pl *pipeline) error {
	all, err := s.git.files(ctx, pl.project.id, pl.sha, ".")
	if err != nil {
		return err
	}
	pl.files.All = all
	if pl.source != "push" || pl.tag {
		return nil
	}
	// GitLab compares with the branch before the push; the first push to a
	// branch changes everything.
	if out, err := s.git.run(ctx, pl.project.id, nil, nil, "diff", "--name-only", "-z", pl.sha+"^", pl.sha); err == nil {
		pl.files.Changed = append([]string{}, strings.FieldsFunc(out, func(r rune) bool { return r == 0 })...)
	}
	return nil
}

// workflow applies workflow:rules: they can refuse the pipeline and add
// variables to it.
func (s *Server) workflow(pl *pipeline, cfg *ciyaml.Config) error {
	if len(cfg.Workflow) == 0 {
		return nil
	}
	gate := ciyaml.Job{When: "always", HasRules: true, Rules: ciyaml.Among(cfg.Workflow, pl.files)}
	decided, ok, err := gate.Resolve(s.ruleLookup(pl, ciyaml.Job{Variables: cfg.Variables}))
	if err != nil {
		return err
	}
	if !ok {
		return errors.New("the pipeline is filtered out by workflow rules")
	}
	cfg.Variables = ciyaml.Override(cfg.Variables, decided.Variables)
	return nil
}

// resourceTaken tells whether another job of the project uses the job's
// resource group.
func (s *Server) resourceTaken(j *job) bool {
	group := j.spec.ResourceGroup
	return group != "" && slices.ContainsFunc(s.st.queue, func(o *job) bool {
		return o != j && o.status.executing() && o.pipeline.project == j.pipeline.project && o.spec.ResourceGroup == group
	})
}
