package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// maxArchive is the largest archive of a repository in bytes, packed.
const maxArchive = 64 << 20

// CommitAt is where a ref stands.
type CommitAt struct {
	ID   string
	ETag string
}

func projectPath(project string) string { return "/projects/" + url.PathEscape(project) }

// repository asks for something of a repository and maps the answers that are
// none. A nil answer means that what etag names is still current.
func (c *Client) repository(ctx context.Context, accessToken, path, etag string, limit int64) (*answer, error) {
	return c.read(ctx, call{header: reading(accessToken, etag), path: path, limit: limit})
}

// reading are the headers of a question; with an etag it is what has changed
// since.
func reading(accessToken, etag string) map[string]string {
	h := map[string]string{"PRIVATE-TOKEN": accessToken}
	if etag != "" {
		h["If-None-Match"] = etag
	}
	return h
}

// writing are the headers of a call with a JSON body.
func writing(accessToken string) map[string]string {
	return map[string]string{"PRIVATE-TOKEN": accessToken, "Content-Type": "application/json"}
}

// read sends a question and maps the answers as repository does.
func (c *Client) read(ctx context.Context, q call) (*answer, error) {
	q.method, q.once = http.MethodGet, true
	a, err := c.do(ctx, q)
	if err != nil {
		return nil, err
	}
	switch a.code {
	case http.StatusOK:
		return a, nil
	case http.StatusNotModified:
		return nil, nil
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, fmt.Errorf("%w (%s)", ErrRefused, a.message())
	case http.StatusNotFound:
		return nil, fmt.Errorf("%w (%s)", ErrNoFile, a.message())
	}
	return nil, a.unexpected()
}

// ProjectID is the number of a project known by its full path.
func (c *Client) ProjectID(ctx context.Context, accessToken, project string) (int64, error) {
	a, err := c.repository(ctx, accessToken, projectPath(project), "", 0)
	if err != nil {
		return 0, err
	}
	var v struct {
		ID int64 `json:"id"`
	}
	return v.ID, a.asJSON(&v)
}

// Commit says where a branch, a tag or HEAD stands; nil when the answer named
// by etag is still current. A ref that is missing is an error that wraps
// ErrNoFile.
func (c *Client) Commit(ctx context.Context, accessToken, project, ref, etag string) (*CommitAt, error) {
	a, err := c.repository(ctx, accessToken, projectPath(project)+"/repository/commits/"+url.PathEscape(ref), etag, 0)
	if err != nil || a == nil {
		return nil, err
	}
	var v struct {
		ID string `json:"id"`
	}
	if err := a.asJSON(&v); err != nil {
		return nil, err
	}
	if !isCommit(v.ID) {
		return nil, fmt.Errorf("GitLab names no commit for %s of %s", ref, project)
	}
	return &CommitAt{ID: v.ID, ETag: a.header.Get("ETag")}, nil
}

// isCommit says whether a text is a SHA-1 or SHA-256 in hexadecimal.
func isCommit(id string) bool {
	const sha1, sha256 = 40, 64
	if len(id) != sha1 && len(id) != sha256 {
		return false
	}
	for _, r := range id {
		if (r < '0' || r > '9') && (r < 'a' || r > 'f') {
			return false
		}
	}
	return true
}

// Archive is a commit's files as tar.gz, those below path if it is not empty. It
// may take minutes, and ends early when hardly anything arrives.
func (c *Client) Archive(ctx context.Context, accessToken, project, commit, path string) ([]byte, error) {
	q := url.Values{"sha": {commit}}
	if path != "" {
		q.Set("path", path)
	}
	a, err := c.read(ctx, call{
		header: reading(accessToken, ""), path: projectPath(project) + "/repository/archive.tar.gz?" + q.Encode(), limit: maxArchive, large: true,
	})
	if err != nil {
		return nil, err
	}
	return a.body, nil
}

// CommitStatus is what GitLab shows beside a commit.
type CommitStatus struct {
	State       string `json:"state"` // pending, running, success, failed
	Name        string `json:"name"`
	Ref         string `json:"ref,omitempty"`
	Description string `json:"description,omitempty"`
	TargetURL   string `json:"target_url,omitempty"` // where the status leads
}

// maxStatusText is GitLab's limit on the description and on the address of a
// status, each in characters.
const maxStatusText = 255

// AgentPage is the address of an agent in GitLab, for people.
func (c *Client) AgentPage(project, agent string) string {
	return c.base + "/" + gitPath(project) + "/-/cluster_agents/" + url.PathEscape(agent)
}

// SetCommitStatus shows a status beside a commit. A status that GitLab has
// already is no error. What is longer than GitLab takes is cut, and an address
// left out.
func (c *Client) SetCommitStatus(ctx context.Context, accessToken string, project int64, commit string, s CommitStatus) error {
	if r := []rune(s.Description); len(r) > maxStatusText {
		s.Description = string(r[:maxStatusText-1]) + "…"
	}
	if len(s.TargetURL) > maxStatusText {
		s.TargetURL = ""
	}
	a, err := c.do(ctx, call{
		method: http.MethodPost, path: "/projects/" + strconv.FormatInt(project, 10) + "/statuses/" + commit, body: jsonBody(s),
		header: writing(accessToken), once: true,
	})
	switch {
	case err != nil:
		return err
	case a.code == http.StatusCreated || a.code == http.StatusOK || a.code == http.StatusBadRequest && s.State == "pending":
		return nil
	case a.code == http.StatusUnauthorized || a.code == http.StatusForbidden:
		return fmt.Errorf("%w (%s); commit statuses need a token with scope api and the role Developer", ErrRefused, a.message())
	}
	return a.unexpected()
}

// Tag is a tag and the commit it stands for.
type Tag struct {
	Name   string
	Commit string
}

// TagPage is a part of a project's tags.
type TagPage struct {
	Tags []Tag // that stand for a commit
	ETag string
	More bool // there is another page
}

const (
	// TagsPerPage is how many tags a page has, at most; it is GitLab's limit.
	TagsPerPage = 100
	// maxTags bounds a page of tags in bytes: each comes with its commit's
	// message and the words of its release.
	maxTags = 8 << 20
)

// Tags are the tags of a page, the first one being 1, highest version first; nil
// when the answer named by etag is still current.
func (c *Client) Tags(ctx context.Context, accessToken, project string, page int, etag string) (*TagPage, error) {
	q := url.Values{"order_by": {"version"}, "sort": {"desc"}, "per_page": {strconv.Itoa(TagsPerPage)}, "page": {strconv.Itoa(page)}}
	a, err := c.repository(ctx, accessToken, projectPath(project)+"/repository/tags?"+q.Encode(), etag, maxTags)
	if err != nil || a == nil {
		return nil, err
	}
	var list []struct {
		Name   string `json:"name"`
		Commit *struct {
			ID string `json:"id"`
		} `json:"commit"`
	}
	if err := a.asJSON(&list); err != nil {
		return nil, err
	}
	out := &TagPage{ETag: a.header.Get("ETag"), More: a.header.Get("X-Next-Page") != ""}
	for _, t := range list {
		if t.Commit != nil && isCommit(t.Commit.ID) {
			out.Tags = append(out.Tags, Tag{t.Name, t.Commit.ID})
		}
	}
	return out, nil
}

// Includes says whether a commit is an ancestor of another, or the same.
func (c *Client) Includes(ctx context.Context, accessToken, project, later, commit string) (bool, error) {
	if !isCommit(commit) || !isCommit(later) {
		return false, nil
	}
	q := url.Values{"refs[]": {commit, later}}
	a, err := c.repository(ctx, accessToken, projectPath(project)+"/repository/merge_base?"+q.Encode(), "", 0)
	switch {
	case errors.Is(err, ErrNoFile): // nothing in common
		return false, nil
	case err != nil || a == nil:
		return false, err
	}
	var v struct {
		ID string `json:"id"`
	}
	if err := a.asJSON(&v); err != nil {
		return false, err
	}
	return v.ID == commit, nil
}
