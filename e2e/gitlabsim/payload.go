package gitlabsim

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/towline/towline/e2e/gitlabsim/ciyaml"
)

// object of the JSON answers; GitLab's clients must not rely on key order.
type obj = map[string]any

// failureReasons is the server's enum (8.3).
var failureReasons = strings.Fields(`unknown_failure script_failure api_failure stuck_or_timeout_failure runner_system_failure
 missing_dependency_failure runner_unsupported stale_schedule job_execution_timeout archived_failure unmet_prerequisites
 scheduler_failure data_integrity_failure forward_deployment_failure user_blocked project_deleted ci_quota_exceeded
 pipeline_loop_detected no_matching_runner trace_size_exceeded builds_disabled environment_creation_failure
 deployment_rejected failed_outdated_deployment_job job_execution_server_timeout stuck_pending_with_matching_runners
 stuck_pending_no_matching_runners no_updates_running no_updates_canceling server_timeout_running server_timeout_canceling
 runner_configuration_error runner_external_dependency_failure runner_interrupted protected_environment_failure
 insufficient_bridge_permissions downstream_bridge_project_not_found invalid_bridge_trigger
 upstream_bridge_project_not_found insufficient_upstream_permissions bridge_pipeline_is_child_pipeline
 downstream_pipeline_creation_failed secrets_provider_not_found reached_max_descendant_pipelines_depth
 ip_restriction_failure reached_max_pipeline_hierarchy_size reached_downstream_pipeline_trigger_rate_limit
 duo_workflow_not_allowed job_router_failure job_token_expired id_token_burned_project_path
 downstream_project_trigger_resolved_to_empty`)

// payload builds the 201 body (section 4); the mutex is held.
func (s *Server) payload(j *job, rn *runner) (obj, error) {
	list, err := s.jobVariables(j)
	if err != nil {
		return nil, err
	}
	expanded, err := expandAll(list)
	if err != nil {
		return nil, err
	}
	return obj{
		"id": j.id, "token": j.token, "allow_git_fetch": true,
		"job_info": s.jobInfo(j), "git_info": s.gitInfo(j, last(expanded, "GIT_DEPTH")),
		"runner_info": obj{"timeout": s.jobTimeout(j), "runner_session_url": nil, "uuid": stableUUID("runner", rn.id)},
		"inputs":      []any{}, "variables": runnerVariables(expanded), "steps": j.steps(s.jobTimeout(j)), "hooks": j.hooks(),
		"image": imageEntity(j.spec.Image), "services": serviceEntities(j.spec.Services), "artifacts": j.artifactEntities(),
		"cache": s.cacheEntities(j), "credentials": s.credentials(j), "dependencies": s.dependencyEntities(j),
		"features": obj{"trace_sections": true, "token_mask_prefixes": []string{}, "failure_reasons": failureReasons, "tracing": nil},
		"secrets":  obj{}, "run": nil,
		"policy_options": obj{
			"execution_policy_job": false, "policy_name": nil,
			"policy_variables_override_allowed": nil, "policy_variables_override_exceptions": nil,
		},
		"suspend_options": obj{"suspend_on_success": false, "suspend_on_failure": false},
	}, nil
}

func (s *Server) jobInfo(j *job) obj {
	p := j.pipeline.project
	return obj{
		"id": j.id, "name": j.spec.Name, "stage": j.spec.Stage, "pipeline_id": j.pipeline.id, "project_id": p.id,
		"project_name": p.name(), "project_full_path": p.path, "namespace_id": p.group.id, "root_namespace_id": p.group.root().id,
		"organization_id": 1, "instance_id": stableUUID("instance", 1), "instance_uuid": stableUUID("uuid", 1),
		"user_id": j.user.ID, "scoped_user_id": nil,
		"time_in_queue_seconds":                          int(j.startedAt.Sub(j.pendingAt).Seconds()),
		"project_jobs_running_on_instance_runners_count": "+Inf", "queue_size": s.queueSize(), "queue_depth": 1,
	}
}

func (s *Server) queueSize() int {
	n := 0
	for _, j := range s.st.queue {
		if j.status == Pending {
			n++
		}
	}
	return n
}

func (s *Server) gitInfo(j *job, gitDepth string) obj {
	pl := j.pipeline
	depth := pl.project.gitDepth
	if gitDepth != "" {
		depth = 0
		_, _ = fmt.Sscan(gitDepth, &depth)
	}
	refType := "branch"
	if pl.tag {
		refType = "tag"
	}
	return obj{
		"repo_url": s.cloneURL(pl.project, "gitlab-ci-token", j.token), "repo_object_format": "sha1", "ref": pl.ref, "sha": pl.sha,
		"before_sha": pl.beforeSHA, "ref_type": refType, "refspecs": pl.refspecs(depth), "depth": depth, "protected": s.protectedRef(pl),
	}
}

// refspecs: always the pipeline ref; one branch or tag when shallow, all of
// them otherwise.
func (pl *pipeline) refspecs(depth int) []string {
	own := fmt.Sprintf("+refs/pipelines/%d:refs/pipelines/%d", pl.id, pl.id)
	switch {
	case depth == 0:
		return []string{own, "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"}
	case pl.tag:
		return []string{own, fmt.Sprintf("+refs/tags/%s:refs/tags/%s", pl.ref, pl.ref)}
	default:
		return []string{own, fmt.Sprintf("+refs/heads/%s:refs/remotes/origin/%s", pl.ref, pl.ref)}
	}
}

func (s *Server) cloneURL(p *project, name, password string) string {
	u, err := url.Parse(s.url)
	if err != nil {
		return s.url
	}
	u.Path += "/" + p.path + ".git"
	if name != "" {
		u.User = url.UserPassword(name, password)
	}
	return u.String()
}

func (s *Server) jobTimeout(j *job) int {
	t := j.spec.Timeout
	if t == 0 {
		t = j.pipeline.project.timeout
	}
	if j.runner != nil && j.runner.opts.MaximumTimeout > 0 {
		t = min(t, j.runner.opts.MaximumTimeout)
	}
	return t
}

func (j *job) steps(timeout int) []obj {
	script := append(slices.Clone(j.spec.BeforeScript), j.spec.Script...)
	out := []obj{{"name": "script", "script": script, "timeout": timeout, "when": "on_success", "allow_failure": false}}
	if len(j.spec.AfterScript) > 0 {
		out = append(out, obj{"name": "after_script", "script": j.spec.AfterScript, "timeout": timeout, "when": "always", "allow_failure": true})
	}
	return out
}

func (j *job) hooks() []obj {
	out := []obj{}
	for _, h := range j.spec.Hooks {
		out = append(out, obj{"name": h.Name, "script": h.Script})
	}
	return out
}

func orNil[T any](l []T) any {
	if l == nil {
		return nil
	}
	return l
}

func imageEntity(i *ciyaml.Image) any {
	if i == nil {
		return nil
	}
	return obj{"name": i.Name, "entrypoint": orNil(i.Entrypoint), "ports": []any{}, "executor_opts": obj{}, "pull_policy": orNil(i.PullPolicy)}
}

func serviceEntities(list []ciyaml.Image) []any {
	out := []any{}
	for _, i := range list {
		e := imageEntity(&i).(obj)
		vars := []obj{}
		for _, v := range i.Variables {
			vars = append(vars, obj{"key": v.Key, "value": v.Value})
		}
		maps.Copy(e, obj{"alias": nil, "command": orNil(i.Command), "variables": vars})
		if i.Alias != "" {
			e["alias"] = i.Alias
		}
		out = append(out, e)
	}
	return out
}

func (s *Server) credentials(j *job) []obj {
	return []obj{{"type": "registry", "url": s.registry(), "username": "gitlab-ci-token", "password": j.token}}
}
