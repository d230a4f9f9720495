package gitlab

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"time"
)

// ErrRefused means that GitLab does not accept the token for this call.
var ErrRefused = errors.New("GitLab refuses the token")

// ErrNoFile means that a project or file does not exist, or that the token may
// not see it.
var ErrNoFile = errors.New("GitLab has no such project or file, or the token may not read it")

// File is one version of a file in a repository.
type File struct {
	Content []byte
	Commit  string
	ETag    string
}

// FileAt reads a file of a project at a ref (HEAD is the default branch). It
// returns nil when the version named by etag is still current. A missing file
// is an error that wraps ErrNoFile.
func (c *Client) FileAt(ctx context.Context, accessToken, project, path, ref, etag string, limit int64) (*File, error) {
	return c.file(ctx, call{header: reading(accessToken, etag), limit: limit}, project, path, ref)
}

// fileTimeout bounds a call that only helps.
const fileTimeout = 10 * time.Second

// JobFile reads a file of the job's own project at a commit, with the job's
// token. A missing file is an error that wraps ErrNoFile.
func (c *Client) JobFile(ctx context.Context, token JobToken, project int64, path, commit string, limit int64) ([]byte, error) {
	f, err := c.file(ctx, call{header: map[string]string{"JOB-TOKEN": string(token)}, limit: limit, timeout: fileTimeout},
		strconv.FormatInt(project, 10), path, commit)
	switch {
	case err != nil:
		return nil, err
	case f == nil:
		return nil, errors.New("GitLab answers 304 to a question without a condition")
	}
	return f.Content, nil
}

func (c *Client) file(ctx context.Context, q call, project, path, ref string) (*File, error) {
	q.path = projectPath(project) + "/repository/files/" + url.PathEscape(path) + "/raw?ref=" + url.QueryEscape(ref)
	a, err := c.read(ctx, q)
	if err != nil || a == nil {
		return nil, err
	}
	return &File{Content: a.body, Commit: a.header.Get("X-Gitlab-Commit-Id"), ETag: a.header.Get("ETag")}, nil
}
