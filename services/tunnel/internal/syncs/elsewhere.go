package syncs

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
	"github.com/towline/towline/services/tunnel/internal/sources"
)

// place is a ref of another project, or another ref of the entry's own.
type place struct {
	project string
	ref     agentconfig.GitRef
}

// String names the place for people.
func (p place) String() string { return fmt.Sprintf("%s of project %s", p.ref, p.project) }

// elsewhere is where the values of an entry stand that are not in its repository.
type elsewhere struct {
	heads  map[place]gitlab.CommitAt
	wanted string // the commits that were wanted last
}

// places are those of an entry's values, by their index.
func (f *follower) places() map[int]place {
	out := map[int]place{}
	if c := f.entry.Chart; c != nil {
		for i, v := range c.Values {
			if v.Elsewhere() {
				out[i] = place{project: v.Project, ref: v.Ref}
				if v.Project == "" {
					out[i] = place{project: f.entry.Project, ref: v.Ref}
				}
			}
		}
	}
	return out
}

// lookElsewhere learns where the refs of values stand.
func (f *follower) lookElsewhere(ctx context.Context) error {
	defer func() { f.lookedAt = time.Now() }()
	seen := map[place]bool{}
	for i, p := range f.places() {
		head := f.elsewhere.heads[p]
		if seen[p] || p.ref.Commit != "" && head.ID != "" {
			continue
		}
		seen[p] = true
		token, origin, err := f.Token(p.project)
		if err != nil {
			return err
		}
		at, err := f.standsAt(ctx, token, p.project, ref(p.ref))
		switch {
		case errors.Is(err, gitlab.ErrNoFile):
			return fmt.Errorf("values[%d]: %s is not there, or %s may not read it: %w", i, p, origin, err)
		case errors.Is(err, gitlab.ErrRefused):
			return fmt.Errorf("values[%d]: reading project %s: %w; %s needs a token with scope read_api", i, p.project, err, origin)
		case err != nil:
			return fmt.Errorf("values[%d]: reading project %s: %w", i, p.project, err)
		}
		if f.elsewhere.heads == nil {
			f.elsewhere.heads = map[place]gitlab.CommitAt{}
		}
		f.elsewhere.heads[p] = at
	}
	return nil
}

// standing is where all values stand.
func (f *follower) standing() string {
	if f.entry.Chart == nil {
		return ""
	}
	var ids []string
	places := f.places()
	for i := range f.entry.Chart.Values {
		if p, ok := places[i]; ok {
			ids = append(ids, f.elsewhere.heads[p].ID)
		}
	}
	return strings.Join(ids, " ")
}

// fetchElsewhere adds the values of other repositories to the files of an entry.
func (f *follower) fetchElsewhere(ctx context.Context, files []syncspec.File) (all []syncspec.File, wrong, err error) {
	places := f.places()
	if len(places) == 0 {
		return files, nil, nil
	}
	for _, have := range files {
		if strings.HasPrefix(have.Path, agentconfig.ValuesPrefix) {
			return nil, fmt.Errorf("%s: a directory of this name is Towline's own; rename it", have.Path), nil
		}
	}
	for i, v := range f.entry.Chart.Values {
		p, ok := places[i]
		if !ok {
			continue
		}
		token, _, err := f.Token(p.project)
		if err != nil {
			return nil, nil, err
		}
		commit := f.elsewhere.heads[p].ID
		dir, _ := path.Split(v.File)
		f.waiting.project = p.project
		archive, err := f.GitLab.Archive(ctx, token, p.project, commit, strings.TrimSuffix(dir, "/"))
		if errors.Is(err, gitlab.ErrNoFile) {
			return nil, fmt.Errorf("values[%d]: %s has no file %s", i, p, v.File), nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("values[%d]: %w", i, &unfetched{commit: commit, why: err})
		}
		content, wrong := sources.File(archive, v.File)
		if wrong != nil {
			return nil, fmt.Errorf("values[%d]: %s of %s: %w", i, v.File, p, wrong), nil
		}
		files = append(files, syncspec.File{Path: agentconfig.BundledValues(i), Content: content})
	}
	return files, nil, nil
}
