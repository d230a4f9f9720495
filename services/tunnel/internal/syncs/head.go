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
	defer func() { err = f.explain(err) }()
	if err := f.number(ctx, token); err != nil {
		return err
	}
	if f.entry.Ref.Commit != "" && f.head.ID != "" {
		return nil // it can never move
	}
	if f.entry.Ref.Semver != "" {
		return f.lookAtTags(ctx, token)
	}
	at, err := f.GitLab.Commit(ctx, token, f.entry.Project, ref(f.entry.Ref), f.head.ETag)
	if err != nil || at == nil {
		return err
	}
	f.head = *at
	return nil
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

// lookAtTags learns which tag is the newest of the range. The usual look costs
// one conditional request.
func (f *follower) lookAtTags(ctx context.Context, token string) error {
	changed, err := f.readTags(ctx, token)
	if err != nil || !changed {
		return err
	}
	newest, err := f.newest()
	if err != nil {
		f.tags = nil // it is said again as long as it is so
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
	for _, p := range f.tags {
		all = append(all, p.Tags...)
	}
	return sources.Newest(f.entry.Ref.Semver, all)
}

var errNoVersion = errors.New("no version to follow")

// readTags brings f.tags up to date and says whether anything has changed.
func (f *follower) readTags(ctx context.Context, token string) (changed bool, err error) {
	for n := 0; ; n++ {
		if n == maxTagPages {
			f.tags = nil
			return false, fmt.Errorf("%w: it has more than %d tags, which are too many to look through; delete old ones, or name a branch or a tag", errNoVersion, maxTagPages*gitlab.TagsPerPage)
		}
		etag := ""
		if n < len(f.tags) {
			etag = f.tags[n].ETag
		}
		page, err := f.GitLab.Tags(ctx, token, f.entry.Project, n+1, etag)
		if err != nil {
			f.tags = nil
			return false, err
		}
		switch {
		case page != nil:
			changed = true
			f.tags = append(f.tags[:n], *page)
		case n == 0 && time.Since(f.tagsAt) < tagsFresh:
			return false, nil
		case n >= len(f.tags):
			return false, errors.New("GitLab answers 304 to a question without a condition")
		}
		if !f.tags[n].More {
			f.tags, f.tagsAt = f.tags[:n+1], time.Now()
			return changed, nil
		}
	}
}

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
