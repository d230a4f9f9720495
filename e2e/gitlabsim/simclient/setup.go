package simclient

import (
	"context"

	sim "github.com/towline/towline/e2e/gitlabsim"
)

// CreateUser makes an account.
func (c *Client) CreateUser(ctx context.Context, username string) (sim.User, error) {
	return call[sim.User](ctx, c, "CreateUser", sim.AdminArgs{User: username})
}

// AddMember gives a user an access level in a group or project.
func (c *Client) AddMember(ctx context.Context, path, username string, level int) error {
	return do(ctx, c, "AddMember", sim.AdminArgs{Path: path, User: username, Level: level})
}

// CreateProject makes a project with an empty repository.
func (c *Client) CreateProject(ctx context.Context, opts sim.ProjectOptions) (sim.Project, error) {
	return call[sim.Project](ctx, c, "CreateProject", sim.AdminArgs{NewProject: opts})
}

// Project answers a project by path or id.
func (c *Client) Project(ctx context.Context, project string) (sim.Project, error) {
	return call[sim.Project](ctx, c, "Project", sim.AdminArgs{Project: project})
}

// PushDir commits a directory of the simulator's machine to a branch.
func (c *Client) PushDir(ctx context.Context, project, branch, dir string) (string, error) {
	return call[string](ctx, c, "PushDir", sim.AdminArgs{Project: project, Branch: branch, Path: dir})
}

// PushFiles changes single files of a branch; nil deletes.
func (c *Client) PushFiles(ctx context.Context, project, branch string, files map[string]*string) (string, error) {
	return call[string](ctx, c, "PushFiles", sim.AdminArgs{Project: project, Branch: branch, Files: files})
}

// Push is PushFiles for plain contents.
func (c *Client) Push(ctx context.Context, project, branch string, files map[string]string) (string, error) {
	pointers := map[string]*string{}
	for name, content := range files {
		pointers[name] = &content
	}
	return c.PushFiles(ctx, project, branch, pointers)
}

// CreateTag makes a lightweight tag.
func (c *Client) CreateTag(ctx context.Context, project, tag, ref string) error {
	return do(ctx, c, "CreateTag", sim.AdminArgs{Project: project, Name: tag, Ref: ref})
}

// DeleteBranch removes a branch.
func (c *Client) DeleteBranch(ctx context.Context, project, branch string) error {
	return do(ctx, c, "DeleteBranch", sim.AdminArgs{Project: project, Branch: branch})
}

// SetProtectedEnvironments replaces the names of the protected environments.
func (c *Client) SetProtectedEnvironments(ctx context.Context, project string, names ...string) error {
	return do(ctx, c, "SetProtectedEnvironments", sim.AdminArgs{Project: project, Names: names})
}

// RotateIDTokenKey has tokens signed with a new key from now on.
func (c *Client) RotateIDTokenKey(ctx context.Context) error {
	return do(ctx, c, "RotateIDTokenKey", sim.AdminArgs{})
}

// SetProtected replaces the protected branch patterns.
func (c *Client) SetProtected(ctx context.Context, project string, patterns ...string) error {
	return do(ctx, c, "SetProtected", sim.AdminArgs{Project: project, Names: patterns})
}

// CreateAgent registers an agent.
func (c *Client) CreateAgent(ctx context.Context, project, name string) (sim.Agent, error) {
	return call[sim.Agent](ctx, c, "CreateAgent", sim.AdminArgs{Project: project, Name: name})
}

// CreateAccessToken makes a glpat- token.
func (c *Client) CreateAccessToken(ctx context.Context, opts sim.AccessTokenOptions) (string, error) {
	return call[string](ctx, c, "CreateAccessToken", sim.AdminArgs{Token: opts})
}

// CreateDeployToken makes a git-only credential.
func (c *Client) CreateDeployToken(ctx context.Context, project, username string) (sim.DeployToken, error) {
	return call[sim.DeployToken](ctx, c, "CreateDeployToken", sim.AdminArgs{Project: project, User: username})
}

// RevokeToken ends an access or deploy token.
func (c *Client) RevokeToken(ctx context.Context, token string) error {
	return do(ctx, c, "RevokeToken", sim.AdminArgs{Text: token})
}

// SetVariable sets a variable of "instance", "group:<path>" or "project:<path>".
func (c *Client) SetVariable(ctx context.Context, scope string, v sim.Variable) error {
	return do(ctx, c, "SetVariable", sim.AdminArgs{Scope: scope, Variable: v})
}

// Environments lists the environments of a project.
func (c *Client) Environments(ctx context.Context, project string) ([]sim.Environment, error) {
	return call[[]sim.Environment](ctx, c, "Environments", sim.AdminArgs{Project: project})
}

// CreateRunner makes a runner.
func (c *Client) CreateRunner(ctx context.Context, opts sim.RunnerOptions) (sim.Runner, error) {
	return call[sim.Runner](ctx, c, "CreateRunner", sim.AdminArgs{Runner: opts})
}

// Runner answers a runner with its managers.
func (c *Client) Runner(ctx context.Context, id int64) (sim.Runner, error) {
	return call[sim.Runner](ctx, c, "Runner", sim.AdminArgs{ID: id})
}

// UpdateRunner replaces the runner's settings.
func (c *Client) UpdateRunner(ctx context.Context, id int64, opts sim.RunnerOptions) error {
	return do(ctx, c, "UpdateRunner", sim.AdminArgs{ID: id, Runner: opts})
}

// PauseRunner pauses or resumes a runner.
func (c *Client) PauseRunner(ctx context.Context, id int64, paused bool) error {
	return do(ctx, c, "PauseRunner", sim.AdminArgs{ID: id, On: paused})
}

// DeleteRunner revokes a runner.
func (c *Client) DeleteRunner(ctx context.Context, id int64) error {
	return do(ctx, c, "DeleteRunner", sim.AdminArgs{ID: id})
}

// RunPipeline creates a pipeline.
func (c *Client) RunPipeline(ctx context.Context, opts sim.PipelineOptions) (sim.Pipeline, error) {
	return call[sim.Pipeline](ctx, c, "RunPipeline", sim.AdminArgs{Pipeline: opts})
}

// Pipeline answers a pipeline with its jobs.
func (c *Client) Pipeline(ctx context.Context, id int64) (sim.Pipeline, error) {
	return call[sim.Pipeline](ctx, c, "Pipeline", sim.AdminArgs{ID: id})
}

// CancelPipeline cancels all unfinished jobs.
func (c *Client) CancelPipeline(ctx context.Context, id int64) error {
	return do(ctx, c, "CancelPipeline", sim.AdminArgs{ID: id})
}

// Job answers one job.
func (c *Client) Job(ctx context.Context, id int64) (sim.Job, error) {
	return call[sim.Job](ctx, c, "Job", sim.AdminArgs{ID: id})
}

// CancelJob is the user's cancel button.
func (c *Client) CancelJob(ctx context.Context, id int64) error {
	return do(ctx, c, "CancelJob", sim.AdminArgs{ID: id})
}

// EraseJob removes log and artifacts.
func (c *Client) EraseJob(ctx context.Context, id int64) error {
	return do(ctx, c, "EraseJob", sim.AdminArgs{ID: id})
}

// PlayJob starts a manual job.
func (c *Client) PlayJob(ctx context.Context, id int64, vars []sim.Variable, username string) error {
	return do(ctx, c, "PlayJob", sim.AdminArgs{ID: id, Variables: vars, User: username})
}

// RetryJob makes a new job of a finished one.
func (c *Client) RetryJob(ctx context.Context, id int64) (sim.Job, error) {
	return call[sim.Job](ctx, c, "RetryJob", sim.AdminArgs{ID: id})
}

// WatchJob opens or closes a job's page.
func (c *Client) WatchJob(ctx context.Context, id int64, watched bool) error {
	return do(ctx, c, "WatchJob", sim.AdminArgs{ID: id, On: watched})
}

// ExpireJobToken makes the job's token expired.
func (c *Client) ExpireJobToken(ctx context.Context, id int64) error {
	return do(ctx, c, "ExpireJobToken", sim.AdminArgs{ID: id})
}

// LoseTrace forgets the live log.
func (c *Client) LoseTrace(ctx context.Context, id int64) error {
	return do(ctx, c, "LoseTrace", sim.AdminArgs{ID: id})
}
