package gitlab

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
)

// States of a deployment.
const (
	DeploymentRunning  = "running"
	DeploymentSuccess  = "success"
	DeploymentFailed   = "failed"
	DeploymentCanceled = "canceled"
)

// Deployment is a record that a commit is brought into an environment, which
// GitLab makes when there is none of that name.
type Deployment struct {
	Environment string `json:"environment"`
	SHA         string `json:"sha"`
	Ref         string `json:"ref"` // branch or tag
	Tag         bool   `json:"tag"` // Ref is a tag
	Status      string `json:"status"`
}

// DefaultBranch is the name of a project's default branch.
func (c *Client) DefaultBranch(ctx context.Context, accessToken, project string) (string, error) {
	a, err := c.repository(ctx, accessToken, projectPath(project), "", 0)
	if err != nil {
		return "", err
	}
	var v struct {
		DefaultBranch string `json:"default_branch"`
	}
	if err := a.asJSON(&v); err != nil {
		return "", err
	}
	if v.DefaultBranch == "" {
		return "", fmt.Errorf("GitLab names no default branch of %s", project)
	}
	return v.DefaultBranch, nil
}

// CreateDeployment makes a record and returns its number. It is sent once: a
// second one would be a second record.
func (c *Client) CreateDeployment(ctx context.Context, accessToken string, project int64, d Deployment) (int64, error) {
	a, err := c.deployments(ctx, http.MethodPost, accessToken, project, "", d)
	if err != nil {
		return 0, err
	}
	var v struct {
		ID int64 `json:"id"`
	}
	if err := a.asJSON(&v); err != nil {
		return 0, err
	}
	if v.ID <= 0 {
		return 0, fmt.Errorf("GitLab gives the deployment to %s no number", d.Environment)
	}
	return v.ID, nil
}

// UpdateDeployment sets the state of a record.
func (c *Client) UpdateDeployment(ctx context.Context, accessToken string, project, deployment int64, status string) error {
	_, err := c.deployments(ctx, http.MethodPut, accessToken, project, "/"+strconv.FormatInt(deployment, 10), struct {
		Status string `json:"status"`
	}{status})
	return err
}

func (c *Client) deployments(ctx context.Context, method, accessToken string, project int64, path string, body any) (*answer, error) {
	a, err := c.do(ctx, call{
		method: method, path: "/projects/" + strconv.FormatInt(project, 10) + "/deployments" + path, body: jsonBody(body),
		header: writing(accessToken), once: true,
	})
	switch {
	case err != nil:
		return nil, err
	case a.code == http.StatusCreated || a.code == http.StatusOK:
		return a, nil
	case a.code == http.StatusUnauthorized || a.code == http.StatusForbidden:
		return nil, fmt.Errorf("%w (%s); deployment records need a token with scope api, the role Developer and access to the environment", ErrRefused, a.message())
	}
	return nil, a.unexpected()
}
