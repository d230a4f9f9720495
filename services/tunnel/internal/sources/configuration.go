package sources

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
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

	etag    string
	current atomic.Pointer[policyapi.Configuration]
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
			return retry.Result{Outcome: retry.Failed}
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
		return nil
	}
	c.etag = f.ETag
	file := fmt.Sprintf("%s@%.8s:%s", c.Project, f.Commit, c.path())
	if _, _, err := agentconfig.Parse(file, f.Content, agentconfig.Options{}); err != nil {
		c.Log.Error("configuration not taken over; the last good one stays in force", "file", file, service.KeyError, err.Error())
		if c.current.Load() == nil {
			return fmt.Errorf("%w", err)
		}
		return nil
	}
	sum := sha256.Sum256(f.Content)
	c.current.Store(&policyapi.Configuration{Source: file, Revision: hex.EncodeToString(sum[:]), Content: f.Content})
	c.Log.Info("configuration taken over", "file", file)
	return nil
}
