package syncs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
	"github.com/towline/towline/services/tunnel/internal/sources"
)

// variablesFresh is how long variables are believed without another look.
const variablesFresh = time.Minute

// variables are what GitLab's variables give an entry. They are kept in memory
// only, and for an entry that names some.
type variables struct {
	now    given
	at     time.Time // of the last look; zero: another one is due
	commit string    // where the ref stood then
	wanted given     // what was wanted last
}

// given are values, or why there are none.
type given struct {
	values map[string]string
	wrong  string
}

func (g given) equal(o given) bool { return g.wrong == o.wrong && maps.Equal(g.values, o.values) }

// lookAtVariables learns the values of the entry's variables: for another commit,
// once a minute, and when what was wrong is tried again. An error means that they
// cannot be known now.
func (f *follower) lookAtVariables(ctx context.Context, token string) error {
	v := &f.variables
	if f.entry.SubstituteGitLab == nil || v.commit == f.head.ID && time.Since(v.at) < variablesFresh && (v.now.wrong == "" || time.Now().Before(f.again)) {
		return nil
	}
	values, wrong, err := f.readVariables(ctx, token)
	if err != nil {
		return fmt.Errorf("variables of project %s: %w", f.entry.Project, err)
	}
	v.now, v.at, v.commit = given{values: values}, time.Now(), f.head.ID
	if wrong != nil {
		v.now.wrong = wrong.Error()
	}
	return nil
}

// readVariables asks GitLab. wrong is what a person has to repair.
func (f *follower) readVariables(ctx context.Context, token string) (values map[string]string, wrong, err error) {
	project := f.entry.Project
	all, err := f.GitLab.Variables(ctx, token, project, f.entry.SubstituteGitLab.Names)
	switch {
	case errors.Is(err, gitlab.ErrRefused):
		return nil, fmt.Errorf("substitute.gitlab: reading the variables of project %s: %w; %s needs a token with the role Maintainer there and the scope read_api", project, err, f.origin), nil
	case errors.Is(err, gitlab.ErrNoFile):
		return nil, fmt.Errorf("substitute.gitlab: the variables of project %s are not there, or %s may not read them: %w", project, f.origin, err), nil
	case err != nil:
		return nil, nil, err
	}
	return sources.Variables(f.entry, all, func() (bool, error) { return f.protected(ctx, token) })
}

// protected says whether the entry's ref is a protected branch or tag. A commit
// by itself is neither.
func (f *follower) protected(ctx context.Context, token string) (bool, error) {
	if f.entry.Ref.Commit != "" {
		return false, nil
	}
	name, tag, err := f.refName(ctx, token)
	if err != nil {
		return false, err
	}
	protected, err := f.GitLab.Protected(ctx, token, f.entry.Project, name, tag)
	if errors.Is(err, gitlab.ErrNoFile) {
		return false, nil // it has gone since, or is one of the other kind
	}
	return protected, err
}

// refName is the branch or the tag that the entry follows.
func (f *follower) refName(ctx context.Context, token string) (name string, tag bool, err error) {
	switch r := f.entry.Ref; {
	case r.Branch != "":
		return r.Branch, false, nil
	case r.Tag != "":
		return r.Tag, true, nil
	case r.Semver != "":
		newest, err := f.newest()
		return newest.Name, true, err
	}
	name, err = f.GitLab.DefaultBranch(ctx, token, f.entry.Project)
	return name, false, err
}

// newVariables says whether the variables are others than those that were wanted
// last.
func (f *follower) newVariables() bool { return !f.variables.now.equal(f.variables.wanted) }

// sayNewVariables logs why a commit is wanted again.
func (f *follower) sayNewVariables() {
	if f.newVariables() && f.variables.wanted.values != nil {
		f.Log.Info("variables in GitLab are others than before; the entry is synced again", service.KeyEntry, f.entry.Name, service.KeyProject, f.entry.Project)
	}
}
