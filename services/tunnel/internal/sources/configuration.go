package sources

import (
	"bytes"
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

// Files reads a file of a repository unless it is unchanged.
type Files interface {
	FileAt(ctx context.Context, accessToken, project, path, ref, etag string, limit int64) (*gitlab.File, error)
}

// Configuration follows the agent's config.yaml, and the towline.yaml beside it,
// on the default branch of its configuration project.
type Configuration struct {
	Files   Files
	Token   func() (string, error) // may read the repository
	Project string                 // full path
	Agent   string                 // name
	Every   time.Duration
	Link    *service.Link
	Log     *slog.Logger
	Metrics *Metrics
	// Optional lets jobs be taken while there is no config.yaml, for policy has
	// files of its own.
	Optional bool

	config, towline version // as they were read last
	fault           error   // why those cannot be used, nil when they are in force
	current         atomic.Pointer[policyapi.Configuration]
	absent          atomic.Bool // Optional, and there is no config.yaml
}

// version is what was read of one file; the zero value is a file that was not.
type version struct {
	commit, etag string
	content      []byte
	there        bool
}

func versionOf(f *gitlab.File) version { return version{f.Commit, f.ETag, f.Content, true} }

// is says whether GitLab has sent the same version again, as it does without an
// ETag.
func (v version) is(f *gitlab.File) bool {
	return v.there && v.commit == f.Commit && bytes.Equal(v.content, f.Content)
}

// ErrNotRead means that no usable configuration has been read yet.
var ErrNotRead = errors.New("the agent's configuration has not been read from GitLab yet")

// Known is Current, or ErrNotRead. It is nil without an error when there is no
// configuration and it is Optional.
func (c *Configuration) Known() (*policyapi.Configuration, error) {
	now := c.Current()
	if now != nil || c.absent.Load() {
		return now, nil
	}
	return nil, ErrNotRead
}

// Current is the last good configuration, or nil.
func (c *Configuration) Current() *policyapi.Configuration { return c.current.Load() }

func (c *Configuration) path() string { return c.directory() + agentconfig.FileName }

func (c *Configuration) directory() string { return ".gitlab/agents/" + c.Agent + "/" }

// Run follows the file until ctx ends.
func (c *Configuration) Run(ctx context.Context) error {
	policy := retry.Policy{Idle: c.Every, Min: time.Second, Max: time.Minute}
	policy.Loop(ctx, func(ctx context.Context) retry.Result {
		err := c.look(ctx)
		c.absent.Store(c.Optional && errors.Is(err, gitlab.ErrNoFile))
		if c.absent.Load() {
			c.Link.Remark(err.Error() + "; policy's own files are used")
			return retry.Result{Outcome: retry.Again}
		}
		if err != nil {
			if ctx.Err() == nil {
				c.Link.Down(err)
			}
			return retry.Result{Outcome: retry.Failed, After: gitlab.After(err)}
		}
		if c.fault != nil {
			first, _, _ := strings.Cut(c.fault.Error(), "\n")
			c.Link.Remark("the last good configuration is in force: " + first)
		} else {
			c.Link.Up()
		}
		return retry.Result{Outcome: retry.Again}
	})
	return nil
}

// look reads what has changed. The error says what a person can do.
func (c *Configuration) look(ctx context.Context) error {
	token, err := c.Token()
	if err != nil {
		return err
	}
	f, err := c.changed(ctx, token)
	switch {
	case err != nil:
		return err
	case f == nil:
		return c.unusable()
	}
	beside, err := c.beside(ctx, token, f.Commit, "")
	if err != nil {
		return err
	}
	c.config, c.towline = versionOf(f), version{}
	if beside != nil {
		c.towline = versionOf(beside)
	}
	c.take(agentconfig.Files{
		Name: fmt.Sprintf("%s@%.8s:%s", c.Project, f.Commit, c.path()), Content: f.Content, Towline: c.towline.content,
	})
	return c.unusable()
}

// changed returns config.yaml when it or the file beside it is another than
// before, nil otherwise. The two may change in different commits, so both are
// looked at, and what is returned names the commit to read the other one of.
func (c *Configuration) changed(ctx context.Context, token string) (*gitlab.File, error) {
	f, err := c.main(ctx, token, c.config.etag)
	if err != nil || f != nil && !c.config.is(f) {
		return f, err
	}
	beside, err := c.beside(ctx, token, head, c.towline.etag)
	switch {
	case err != nil:
		return nil, err
	case beside == nil && !c.towline.there:
		return nil, nil
	case beside == nil: // it was removed
	case beside == unchanged, c.towline.is(beside):
		return nil, nil
	}
	return c.main(ctx, token, "")
}

// head is the default branch.
const head = "HEAD"

// unchanged is what beside returns for the version that is known.
var unchanged = &gitlab.File{}

// main reads config.yaml, nil when etag is still current.
func (c *Configuration) main(ctx context.Context, token, etag string) (*gitlab.File, error) {
	f, err := c.Files.FileAt(ctx, token, c.Project, c.path(), head, etag, agentconfig.MaxFile)
	switch {
	case errors.Is(err, gitlab.ErrNoFile):
		return nil, fmt.Errorf("%s is not in project %s, or --config-token-file may not read it: %w", c.path(), c.Project, err)
	case err != nil:
		return nil, c.unreadable(c.path(), err)
	case f != nil && f.Commit == "":
		return nil, fmt.Errorf("reading %s of project %s: GitLab's answer names no commit; a proxy in between must not take away the header X-Gitlab-Commit-Id", c.path(), c.Project)
	}
	return f, nil
}

// beside reads towline.yaml, nil when there is none.
func (c *Configuration) beside(ctx context.Context, token, ref, etag string) (*gitlab.File, error) {
	path := c.directory() + agentconfig.TowlineFileName
	f, err := c.Files.FileAt(ctx, token, c.Project, path, ref, etag, agentconfig.MaxFile)
	switch {
	case errors.Is(err, gitlab.ErrNoFile):
		return nil, nil // config.yaml could be read, so that the token may
	case err != nil:
		return nil, c.unreadable(path, err)
	case f == nil:
		return unchanged, nil
	}
	return f, nil
}

func (c *Configuration) unreadable(path string, err error) error {
	if errors.Is(err, gitlab.ErrRefused) {
		return fmt.Errorf("reading %s of project %s: %w; --config-token-file needs a token with scope read_repository", path, c.Project, err)
	}
	return fmt.Errorf("reading %s of project %s: %w", path, c.Project, err)
}

// take puts a new version of both files in force unless something is wrong with
// either. Policy is told of faults, so that jobs' logs show them.
func (c *Configuration) take(f agentconfig.Files) {
	_, notices, err := f.Parse(agentconfig.Options{})
	for _, n := range notices {
		c.Log.Info("configuration notice", "notice", n.String())
	}
	c.fault = err
	faults := linesOf(err)
	c.Metrics.count(len(faults))
	for _, line := range faults {
		c.Log.Error("configuration not taken over; the last good one stays in force", "file", f.Name, service.KeyError, line)
	}
	if err == nil {
		c.current.Store(&policyapi.Configuration{Source: f.Name, Revision: f.Revision(), Content: f.Content, Towline: f.Towline})
		c.Log.Info("configuration taken over", "file", f.Name)
		return
	}
	if old := c.current.Load(); old != nil {
		last := *old
		last.Faults = bounded(faults)
		c.current.Store(&last)
	}
}

func linesOf(err error) []string {
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

// bounded keeps faults within what policy reads.
func bounded(faults []string) []string {
	out := make([]string, 0, policyapi.MaxFaults)
	for _, f := range faults[:min(len(faults), policyapi.MaxFaults)] {
		if len(f) > policyapi.MaxFault {
			f = strings.ToValidUTF8(f[:policyapi.MaxFault], "")
		}
		out = append(out, f)
	}
	return out
}

// unusable is why there is no configuration at all. With an older one in force a
// faulty version is no reason to stop.
func (c *Configuration) unusable() error {
	if c.current.Load() != nil {
		return nil
	}
	return c.fault
}
