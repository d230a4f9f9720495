package rig

import (
	"context"
	"fmt"

	"github.com/towline/towline/e2e/cluster"
	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/e2e/gitlabsim/simclient"
)

// Site is what a platform engineer prepares before installing: a project with
// its agent, a runner, a token that reads the configuration, and rights for the
// project's jobs.
type Site struct {
	GitLab      *simclient.Client
	Cluster     *cluster.Cluster
	Project     string // full path
	Agent       string // name; also the runner's tag
	Dir         string // the project's files
	Environment string // whose jobs may edit Namespace
	Namespace   string
}

// Prepare creates the site and returns the options to install with, and the
// group to which it gave rights.
func (s Site) Prepare(ctx context.Context) (o Options, group string, err error) {
	p, err := s.GitLab.CreateProject(ctx, sim.ProjectOptions{Path: s.Project})
	if err != nil {
		return o, "", err
	}
	if _, err := s.GitLab.PushDir(ctx, s.Project, p.DefaultBranch, s.Dir); err != nil {
		return o, "", err
	}
	agent, err := s.GitLab.CreateAgent(ctx, s.Project, s.Agent)
	if err != nil {
		return o, "", err
	}
	runner, err := s.GitLab.CreateRunner(ctx, sim.RunnerOptions{Tags: []string{s.Agent}})
	if err != nil {
		return o, "", err
	}
	token, err := s.GitLab.CreateAccessToken(ctx, sim.AccessTokenOptions{Project: s.Project, Scopes: []string{"read_repository"}})
	if err != nil {
		return o, "", err
	}
	group = fmt.Sprintf("gitlab:project_env:%d:%s", p.ID, s.Environment)
	o = Options{
		Cluster: s.Cluster, Agent: s.Project + ":" + s.Agent, AgentID: agent.ID,
		RunnerToken: runner.Token, ConfigToken: token,
	}
	return o, group, Allow(ctx, s.Cluster, Access{Group: group, Namespace: s.Namespace, Role: "edit"})
}
