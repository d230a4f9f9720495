package workspace

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/towline/towline/services/runner/internal/attempts"
)

// fetchAndCheckOut tries as often as the job allows.
func (r *Request) fetchAndCheckOut(ctx context.Context) error {
	if r.Git.RepoObjectFormat != "" && r.Git.RepoObjectFormat != "sha1" {
		return fmt.Errorf("the repository's object format %q is not supported on this runner", r.Git.RepoObjectFormat)
	}
	if !plumbing.IsHash(r.Git.SHA) {
		return fmt.Errorf("%q is not a commit id", r.Git.SHA)
	}
	stage := attempts.Stage{
		Variable: "GET_SOURCES_ATTEMPTS", Value: r.Get("GET_SOURCES_ATTEMPTS"), Warn: r.Log.Warn, Try: r.attempt,
		Failed: func(err error) error {
			r.Log.Raw("fatal: " + r.redact(err.Error()))
			r.Log.Notice("Deleting all tracked and untracked files due to source fetch failure")
			return empty(r.Dir)
		},
	}
	return stage.Do(ctx)
}

func (r *Request) attempt(ctx context.Context) error {
	if r.Git.Depth > 0 {
		r.Log.Notice(fmt.Sprintf("Fetching changes with git depth set to %d...", r.Git.Depth))
	} else {
		r.Log.Notice("Fetching changes...")
	}
	r.Log.Raw("Initialized empty Git repository in " + filepath.Join(r.Dir, gitDir) + "/")
	r.Log.Notice("Created fresh repository.")
	repo, err := r.fetch(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = repo.store.Close() }()
	sha := plumbing.NewHash(r.Git.SHA)
	if r.Get("GIT_CHECKOUT") == "false" {
		r.Log.Notice("Skipping Git checkout")
		r.Log.Notice("Skipping Git submodules setup")
		return nil
	}
	r.Log.Notice(fmt.Sprintf("Checking out %.8s as detached HEAD (ref is %s)...", r.Git.SHA, r.Git.Ref))
	c := &checkout{repo: repo, total: &totals{}}
	if err := c.run(ctx, r.Dir, sha); err != nil {
		return err
	}
	if err := r.submodules(ctx, c); err != nil {
		return err
	}
	if c.total.lfs > 0 && r.Get("GIT_LFS_SKIP_SMUDGE") == "" {
		r.Log.Warn(fmt.Sprintf("%d files are Git LFS pointers: this runner does not fetch their content", c.total.lfs))
	}
	return nil
}

// empty removes everything inside dir.
func empty(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := root.RemoveAll(e.Name()); err != nil {
			return err
		}
	}
	return nil
}
