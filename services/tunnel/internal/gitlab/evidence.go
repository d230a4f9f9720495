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
	// ClusterAgent and KubernetesNamespace are what the environment's last
	// deployment asked for; GitLab leaves them out for callers who may not see
	// them.
	ClusterAgent        *ClusterAgent `json:"cluster_agent"`
	KubernetesNamespace string        `json:"kubernetes_namespace"`
}

// ClusterAgent is the agent that an environment is deployed with.
type ClusterAgent struct {
	Name          string `json:"name"`
	ConfigProject struct {
		Path string `json:"path_with_namespace"`
	} `json:"config_project"`
}

// Context is what kubeconfigs call the agent.
func (a *ClusterAgent) Context() string { return a.ConfigProject.Path + ":" + a.Name }

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

func (c *Client) getJSON(ctx context.Context, path string, header map[string]string, v any) error {
	header["Accept"] = "application/json"
	a, err := c.do(ctx, call{method: http.MethodGet, path: path, header: header})
	switch {
	case err != nil:
		return err
	case a.code == http.StatusOK:
		return a.asJSON(v)
	case a.code == http.StatusUnauthorized, a.code == http.StatusForbidden, a.code == http.StatusNotFound:
		return fmt.Errorf("%w (%s)", ErrRefused, a.message())
	}
	return a.unexpected()
}
