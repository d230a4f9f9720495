package sources

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

// maxConfiguration is GitLab's own limit on config.yaml, in bytes.
const maxConfiguration = 128 << 10

// Files reads a file of a repository unless it is unchanged.
type Files interface {
	FileAt(ctx context.Context, accessToken, project, path, ref, etag string, limit int64) (*gitlab.File, error)
}

// Configuration follows the agent's config.yaml on the default branch of its
// configuration project.
type Configuration struct {
	Files   Files
	Token   func() (string, error) // may read the repository
	Project string                 // full path
	Agent   string                 // name
	Every   time.Duration
	Link    *service.Link
	Log     *slog.Logger

	etag    string // of the version that was read last
	read    string // its revision, with its place
	fault   error  // why that version cannot be used, nil when it is in force
	current atomic.Pointer[policyapi.Configuration]
}

// ErrNotRead means that no usable configuration has been read yet.
var ErrNotRead = errors.New("the agent's configuration has not been read from GitLab yet")

// Known is Current, or ErrNotRead.
func (c *Configuration) Known() (*policyapi.Configuration, error) {
	if now := c.Current(); now != nil {
		return now, nil
	}
	return nil, ErrNotRead
}

// Current is the last good configuration, or nil.
func (c *Configuration) Current() *policyapi.Configuration { return c.current.Load() }

func (c *Configuration) path() string { return ".gitlab/agents/" + c.Agent + "/config.yaml" }

// Run follows the file until ctx ends.
func (c *Configuration) Run(ctx context.Context) error {
	policy := retry.Policy{Idle: c.Every, Min: time.Second, Max: time.Minute}
	policy.Loop(ctx, func(ctx context.Context) retry.Result {
		if err := c.look(ctx); err != nil {
			if ctx.Err() == nil {
				c.Link.Down(err)
			}
			return retry.Result{Outcome: retry.Failed, After: gitlab.After(err)}
		}
		c.Link.Up()
		return retry.Result{Outcome: retry.Again}
	})
	return nil
}

// look reads the file once. The error says what a person can do.
func (c *Configuration) look(ctx context.Context) error {
	token, err := c.Token()
	if err != nil {
		return err
	}
	f, err := c.Files.FileAt(ctx, token, c.Project, c.path(), "HEAD", c.etag, maxConfiguration)
	switch {
	case errors.Is(err, gitlab.ErrNoFile):
		return fmt.Errorf("%s is not in project %s, or --config-token-file may not read it: %w", c.path(), c.Project, err)
	case errors.Is(err, gitlab.ErrRefused):
		return fmt.Errorf("reading %s of project %s: %w; --config-token-file needs a token with scope read_repository", c.path(), c.Project, err)
	case err != nil:
		return fmt.Errorf("reading %s of project %s: %w", c.path(), c.Project, err)
	case f == nil:
		return c.unusable()
	}
	c.etag = f.ETag
	file := fmt.Sprintf("%s@%.8s:%s", c.Project, f.Commit, c.path())
	revision := agentconfig.Revision(f.Content)
	if c.read == file+revision {
		return c.unusable() // GitLab sent it again, as it does without an ETag
	}
	c.read = file + revision
	c.take(file, revision, f.Content)
	return c.unusable()
}

// take puts a new version in force unless something is wrong with it.
func (c *Configuration) take(file, revision string, content []byte) {
	_, notices, err := agentconfig.Parse(file, content, agentconfig.Options{})
	for _, n := range notices {
		c.Log.Info("configuration notice", "notice", n.String())
	}
	if c.fault = err; err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			c.Log.Error("configuration not taken over; the last good one stays in force", "file", file, service.KeyError, line)
		}
		return
	}
	c.current.Store(&policyapi.Configuration{Source: file, Revision: revision, Content: content})
	c.Log.Info("configuration taken over", "file", file)
}

// unusable is why there is no configuration at all. With an older one in force a
// faulty version is only logged.
func (c *Configuration) unusable() error {
	if c.current.Load() != nil {
		return nil
	}
	return c.fault
}
