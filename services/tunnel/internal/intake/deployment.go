package intake

import (
	"context"

	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
	"github.com/towline/towline/services/tunnel/internal/pipelinefile"
)

// deployment is where a job deploys to, as far as it can be found out.
type deployment struct {
	env  *gitlab.Environment
	err  error // why env is not known
	file pipelinefile.Target
}

// deployment looks at the environment that a job's variables name. The name is
// only a guess by the pipeline's author until verify has compared it.
func (a *Admission) deployment(ctx context.Context, job *jobspec.Job, vars jobspec.Variables) deployment {
	name := vars.Get("CI_ENVIRONMENT_NAME")
	if name == "" || len(name) > maxEnvironment {
		return deployment{}
	}
	var d deployment
	d.env, d.err = a.GitLab.EnvironmentNamed(ctx, gitlab.JobToken(job.Token), job.JobInfo.ProjectID, name)
	content, err := a.GitLab.JobFile(ctx, gitlab.JobToken(job.Token), job.JobInfo.ProjectID, pipelinefile.Path, job.GitInfo.SHA, pipelinefile.MaxSize)
	if err != nil {
		// What the file says could only narrow, and a project may well have none.
		a.Log.Debug("pipeline file not read", service.JobID(job.ID), service.Err(err))
		return d
	}
	d.file = pipelinefile.Read(content, job.JobInfo.Name)
	return d
}

// verify keeps the environment only if its slug is the one that GitLab itself
// says the job has, and nothing at all of a job without an environment.
func (d *deployment) verify(w *policyapi.AllowedAgents) {
	switch {
	case w == nil || w.Environment == nil:
		*d = deployment{}
	case d.env != nil && d.env.Slug != w.Environment.Slug:
		d.env = nil
	}
}

// agent is the agent that the job asks for. The file of the job's commit comes
// before the environments API, which knows what the last deployment asked for:
// an environment must be able to move to another agent.
func (d *deployment) agent(vars jobspec.Variables) policyapi.Requested {
	if name := vars.Get("KUBE_CONTEXT"); name != "" {
		return policyapi.Requested{Value: cut(name), Source: policyapi.FromKubeContext}
	}
	if name, ok := vars.Expand(d.file.Agent, noPath); ok && name != "" {
		return policyapi.Requested{Value: cut(name), Source: policyapi.FromPipelineFile}
	}
	if d.env != nil && d.env.ClusterAgent != nil {
		return policyapi.Requested{Value: cut(d.env.ClusterAgent.Context()), Source: policyapi.FromEnvironment}
	}
	return policyapi.Requested{}
}

// namespace is the namespace that the job asks for.
func (d *deployment) namespace(vars jobspec.Variables) policyapi.Requested {
	wishes := []policyapi.Requested{{Source: policyapi.FromPipelineFile}, {Source: policyapi.FromEnvironment}, {Source: policyapi.FromKubeNamespace}}
	wishes[0].Value, _ = vars.Expand(d.file.Namespace, noPath)
	if d.env != nil {
		wishes[1].Value = d.env.KubernetesNamespace
	}
	wishes[2].Value = vars.Get("KUBE_NAMESPACE")
	for _, w := range wishes {
		if w.Value != "" && len(w.Value) <= maxNamespace {
			return w
		}
	}
	return policyapi.Requested{}
}
