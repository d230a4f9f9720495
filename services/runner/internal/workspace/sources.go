package workspace

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// Attempts of GET_SOURCES_ATTEMPTS (runner-api sheet, section 10).
const (
	minAttempts  = 1
	maxAttempts  = 10
	firstBackoff = 5 * time.Second
	maxBackoff   = 5 * time.Minute
)

// fetchAndCheckOut tries as often as the job allows.
func (r *Request) fetchAndCheckOut(ctx context.Context) error {
	if r.Git.RepoObjectFormat != "" && r.Git.RepoObjectFormat != "sha1" {
		return fmt.Errorf("the repository's object format %q is not supported on this runner", r.Git.RepoObjectFormat)
	}
	if !plumbing.IsHash(r.Git.SHA) {
		return fmt.Errorf("%q is not a commit id", r.Git.SHA)
	}
	attempts := r.attempts()
	backoff := firstBackoff
	for n := 1; ; n++ {
		err := r.attempt(ctx)
		if err == nil || n == attempts || ctx.Err() != nil {
			return err
		}
		r.Log.Raw("fatal: " + r.redact(err.Error()))
		r.Log.Warn(fmt.Sprintf("Retrying in %s (attempt %d of %d)", backoff, n+1, attempts))
		t := time.NewTimer(backoff)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
		backoff = min(2*backoff, maxBackoff)
		r.Log.Notice("Deleting all tracked and untracked files due to source fetch failure")
		if err := empty(r.Dir); err != nil {
			return err
		}
	}
}

func (r *Request) attempts() int {
	value := r.Get("GET_SOURCES_ATTEMPTS")
	if value == "" {
		return minAttempts
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < minAttempts || n > maxAttempts {
		r.Log.Warn(fmt.Sprintf("GET_SOURCES_ATTEMPTS: number of attempts out of the range [%d, %d], using the nearest", minAttempts, maxAttempts))
	}
	return min(max(n, minAttempts), maxAttempts)
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
	c := &checkout{repo: repo}
	if err := c.run(ctx, r.Dir, sha); err != nil {
		return err
	}
	if err := repo.store.SetReference(plumbing.NewHashReference(plumbing.HEAD, sha)); err != nil {
		return fmt.Errorf("HEAD: %w", err)
	}
	if c.lfs > 0 {
		r.Log.Warn(fmt.Sprintf("%d files are Git LFS pointers: this runner does not fetch their content", c.lfs))
	}
	r.Log.Notice("Skipping Git submodules setup")
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
