package gitlabsim

import (
	"net/http"
)

// authJobOnly is for the two endpoints that take nothing but a job token: 404
// for another credential, 401 for a bad token (agent-config 2.3).
func (s *Server) authJobOnly(w http.ResponseWriter, r *http.Request, ep Endpoint) *job {
	c := s.authAPI(w, r, ep)
	if c == nil {
		return nil
	}
	if c.job == nil {
		s.note(ep, 0, "not a job token")
		refuse(w, http.StatusNotFound, "")
		return nil
	}
	return c.job
}

// currentJob is GET job.
func (s *Server) currentJob(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.authJobOnly(w, r, JobAPI)
	if j == nil {
		return
	}
	pl := j.pipeline
	answer := obj{
		"id": j.id, "status": j.status, "stage": j.spec.Stage, "name": j.spec.Name, "ref": pl.ref, "tag": pl.tag,
		"coverage": nil, "allow_failure": j.allowsFailure(), "created_at": stamp(j.createdAt), "started_at": stamp(j.startedAt),
		"finished_at": nil, "erased_at": nil, "duration": s.now().Sub(j.startedAt).Seconds(),
		"queued_duration": j.startedAt.Sub(j.pendingAt).Seconds(), "user": userEntity(j.user),
		"commit": obj{"id": pl.sha, "short_id": pl.sha[:8], "message": pl.message, "author_name": pl.author},
		"pipeline": obj{
			"id": pl.id, "iid": pl.iid, "project_id": pl.project.id, "sha": pl.sha, "ref": pl.ref, "status": pipelineStatus(pl), "source": pl.source,
		},
		"web_url": s.url + "/" + pl.project.path + "/-/jobs/" + itoa(j.id), "project": obj{"ci_job_token_scope_enabled": false},
		"artifacts": []any{}, "runner": nil, "tag_list": orEmpty(j.spec.Tags),
	}
	if j.runner != nil {
		answer["runner"] = obj{"id": j.runner.id, "description": j.runner.opts.Description, "active": true}
	}
	writeJSON(w, http.StatusOK, answer)
}

func orEmpty(l []string) []string {
	if l == nil {
		return []string{}
	}
	return l
}

func userEntity(u *user) obj {
	return obj{"id": u.ID, "username": u.Username, "name": u.Name, "state": "active", "public_email": u.Email}
}

// allowedAgents is GET job/allowed_agents (agent-config 2.3).
func (s *Server) allowedAgents(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.authJobOnly(w, r, AllowedAgents)
	if j == nil {
		return
	}
	p := j.pipeline.project
	agents := []obj{}
	for _, g := range s.jobGrants(j) {
		agents = append(agents, obj{"id": g.agent.id, "config_project": identity(g.agent.project), "configuration": g.config})
	}
	groups := []obj{}
	for g := p.group; g != nil; g = g.parent {
		if !g.user {
			groups = append(groups, obj{"id": g.id})
		}
	}
	answer := obj{
		"allowed_agents": agents, "job": obj{"id": j.id}, "pipeline": obj{"id": j.pipeline.id},
		"project": obj{"id": p.id, "groups": groups},
		"user":    obj{"id": j.user.ID, "username": j.user.Username, "roles_in_project": rolesUpTo(s.accessLevel(j.user, p))},
	}
	if j.env != nil {
		answer["environment"] = obj{"tier": j.env.Tier, "slug": j.env.Slug}
	}
	writeJSON(w, http.StatusOK, answer)
}

// identity is GitLab's short form of a project.
func identity(p *project) obj {
	return obj{
		"id": p.id, "description": nil, "name": p.name(), "name_with_namespace": p.path, "path": p.name(),
		"path_with_namespace": p.path, "created_at": stamp(p.createdAt),
	}
}

// getProject is GET projects/:id; the id may be an encoded path.
func (s *Server) getProject(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.authAPI(w, r, ProjectAPI)
	if c == nil {
		return
	}
	p := s.findProject(r.PathValue("project"))
	if !s.mayReadProject(w, ProjectAPI, c, p, "api", "read_api") {
		return
	}
	answer := identity(p)
	namespace, _, _ := cutLast(p.path, "/")
	kind := "group"
	if p.group.user {
		kind = "user"
	}
	for k, v := range (obj{
		"default_branch": p.defaultBranch, "visibility": p.visibility, "http_url_to_repo": s.cloneURL(p, "", ""),
		"web_url": s.url + "/" + p.path, "empty_repo": false, "archived": false,
		"namespace": obj{"id": p.group.id, "full_path": namespace, "path": p.group.path, "kind": kind, "parent_id": parentID(p.group)},
	}) {
		answer[k] = v
	}
	writeJSON(w, http.StatusOK, answer)
}

func parentID(g *group) any {
	if g.parent == nil {
		return nil
	}
	return g.parent.id
}
