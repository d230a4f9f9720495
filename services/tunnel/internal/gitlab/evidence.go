package gitlab

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// AllowedAgents is GitLab's own word on a running job: which agents it may use
// and who it is (agent-config sheet, section 2.3).
type AllowedAgents struct {
	AllowedAgents []struct {
		ID            int64 `json:"id"`
		ConfigProject struct {
			ID int64 `json:"id"`
		} `json:"config_project"`
	} `json:"allowed_agents"`
	Job struct {
		ID int64 `json:"id"`
	} `json:"job"`
	Pipeline struct {
		ID int64 `json:"id"`
	} `json:"pipeline"`
	Project struct {
		ID     int64 `json:"id"`
		Groups []struct {
			ID int64 `json:"id"`
		} `json:"groups"`
	} `json:"project"`
	User struct {
		ID             int64    `json:"id"`
		Username       string   `json:"username"`
		RolesInProject []string `json:"roles_in_project"`
	} `json:"user"`
	Environment *struct {
		Slug string `json:"slug"`
		Tier string `json:"tier"`
	} `json:"environment"`
}

// AllowedAgents asks with the token of the payload, never with one of the job's
// variables.
func (c *Client) AllowedAgents(ctx context.Context, token JobToken) (*AllowedAgents, error) {
	var v AllowedAgents
	if err := c.getJSON(ctx, "/job/allowed_agents", map[string]string{"Job-Token": string(token)}, &v); err != nil {
		return nil, fmt.Errorf("ask GitLab who the job is: %w", err)
	}
	return &v, nil
}

// Environment is an environment of a project.
type Environment struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
	Slug string `json:"slug"`
	Tier string `json:"tier"`
}

// EnvironmentNamed returns the project's environment of exactly that name, or
// nil when there is none.
func (c *Client) EnvironmentNamed(ctx context.Context, token JobToken, project int64, name string) (*Environment, error) {
	var list []Environment
	path := "/projects/" + strconv.FormatInt(project, 10) + "/environments?name=" + url.QueryEscape(name)
	if err := c.getJSON(ctx, path, map[string]string{"JOB-TOKEN": string(token)}, &list); err != nil {
		return nil, fmt.Errorf("look up the environment: %w", err)
	}
	for i := range list {
		if list[i].Name == name {
			return &list[i], nil
		}
	}
	return nil, nil
}

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
	h := map[string]string{"PRIVATE-TOKEN": accessToken}
	if etag != "" {
		h["If-None-Match"] = etag
	}
	a, err := c.do(ctx, call{
		method: http.MethodGet, header: h, limit: limit, once: true,
		path: "/projects/" + url.PathEscape(project) + "/repository/files/" + url.PathEscape(path) + "/raw?ref=" + url.QueryEscape(ref),
	})
	if err != nil {
		return nil, err
	}
	switch a.code {
	case http.StatusOK:
		return &File{Content: a.body, Commit: a.header.Get("X-Gitlab-Commit-Id"), ETag: a.header.Get("ETag")}, nil
	case http.StatusNotModified:
		return nil, nil
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, fmt.Errorf("%w (%s)", ErrRefused, a.message())
	case http.StatusNotFound:
		return nil, fmt.Errorf("%w (%s)", ErrNoFile, a.message())
	}
	return nil, a.unexpected()
}
