package syncs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
	"github.com/towline/towline/services/tunnel/internal/sources"
)

const (
	// maxTagPages bounds how many tags of a project are looked through.
	maxTagPages = 20
	// tagsFresh is how long pages after the first are believed while the first
	// one stays as it is.
	tagsFresh = time.Minute
)

// look learns where the ref stands.
func (f *follower) look(ctx context.Context, token string) (err error) {
	f.freshen()
	defer func() { err = f.explain(err); f.lookedAt = time.Now() }()
	if err := f.number(ctx, token); err != nil {
		return err
	}
	if f.entry.Ref.Commit != "" && f.head.ID != "" {
		return nil // it can never move
	}
	if f.entry.Ref.Semver != "" {
		return f.lookAtTags(ctx, token)
	}
	at, err := f.standsAt(ctx, token, f.entry.Project, ref(f.entry.Ref))
	if err == nil {
		f.head = at
	}
	return err
}

// freshen says how old an answer may be that another entry has asked for: none
// that this one could have had at its last look, and none before a wish.
func (f *follower) freshen() {
	f.fresh = time.Now()
	if lately := f.fresh.Add(-f.Every / sharedIn); !f.wished {
		f.fresh = lately
		if f.lookedAt.After(lately) {
			f.fresh = f.lookedAt
		}
	}
}

// number learns the number of the entry's project, once.
func (f *follower) number(ctx context.Context, token string) (err error) {
	if f.project == 0 {
		f.project, err = f.GitLab.ProjectID(ctx, token, f.entry.Project)
	}
	return err
}

func ref(r agentconfig.GitRef) string {
	for _, name := range []string{r.Branch, r.Tag, r.Commit} {
		if name != "" {
			return name
		}
	}
	return "HEAD"
}

// lookAtTags learns which tag is the newest of the range.
func (f *follower) lookAtTags(ctx context.Context, token string) error {
	tags, err := f.readTags(ctx, token)
	if err != nil {
		f.tags = tagList{}
		return err
	}
	if tags.version == f.tags.version {
		return nil
	}
	f.tags = tags
	newest, err := f.newest()
	if err != nil {
		f.tags = tagList{} // it is said again as long as it is so
		return fmt.Errorf("%w: %w", errNoVersion, err)
	}
	if newest.Commit != f.head.ID {
		f.Log.Info("newest version of an entry", service.KeyEntry, f.entry.Name, service.KeyProject, f.entry.Project, "tag", newest.Name, "commit", newest.Commit)
	}
	f.head.ID = newest.Commit
	return nil
}

// newest is the tag with the highest version of the range, of those that are known.
func (f *follower) newest() (gitlab.Tag, error) {
	var all []gitlab.Tag
	for _, p := range f.tags.pages {
		all = append(all, p.Tags...)
	}
	return sources.Newest(f.entry.Ref.Semver, all)
}

var errNoVersion = errors.New("no version to follow")

// explain says what a person can do about a source.
func (f *follower) explain(err error) error {
	switch {
	case err == nil:
		f.problem = ""
		return nil
	case errors.Is(err, errNoVersion):
		return fmt.Errorf("project %s: %w; the cluster stays as it is until there is one", f.entry.Project, err)
	case errors.Is(err, gitlab.ErrNoFile):
		return fmt.Errorf("%s of project %s is not there, or %s may not read it: %w", f.entry.Ref, f.entry.Project, f.origin, err)
	case errors.Is(err, gitlab.ErrRefused):
		return fmt.Errorf("reading project %s: %w; %s needs a token with scope read_api (api, to show commit statuses)", f.entry.Project, err, f.origin)
	}
	return fmt.Errorf("reading project %s: %w", f.entry.Project, err)
}
