package gitlabsim

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// CreateUser makes an account with its own namespace.
func (s *Server) CreateUser(username string) (User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if username == "" || s.st.users[username] != nil {
		return User{}, fmt.Errorf("user %q is empty or taken", username)
	}
	u := &user{User: User{ID: s.st.next("user"), Username: username, Name: username, Email: username + "@example.com"}}
	s.st.users[username] = u
	g := s.ensureGroup(username)
	g.user, g.members[username] = true, Owner
	return u.User, nil
}

// ensureGroup makes a group and its ancestors; the mutex is held.
func (s *Server) ensureGroup(groupPath string) *group {
	key := strings.ToLower(groupPath)
	if g := s.st.groups[key]; g != nil {
		return g
	}
	g := &group{path: groupPath, members: map[string]int{}}
	if parent, _, ok := cutLast(groupPath, "/"); ok {
		g.parent = s.ensureGroup(parent)
	}
	g.id = s.st.next("group")
	s.st.groups[key] = g
	return g
}

// AddMember gives a user an access level (Guest to Owner) in a group or
// project; a path that is no project names a group.
func (s *Server) AddMember(memberPath, username string, level int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.st.users[username] == nil {
		return fmt.Errorf("user %q not found", username)
	}
	if p := s.st.byPath[strings.ToLower(memberPath)]; p != nil {
		p.members[username] = level
		return nil
	}
	s.ensureGroup(memberPath).members[username] = level
	return nil
}

// CreateProject makes a project with an empty repository; its groups are made
// from the path. Branch main (or the default branch) is protected.
func (s *Server) CreateProject(opts ProjectOptions) (Project, error) {
	parent, _, ok := cutLast(opts.Path, "/")
	if !ok || opts.Path != path.Clean(opts.Path) {
		return Project{}, fmt.Errorf("project path %q needs a namespace and a name", opts.Path)
	}
	s.mu.Lock()
	if s.st.byPath[strings.ToLower(opts.Path)] != nil {
		s.mu.Unlock()
		return Project{}, fmt.Errorf("project %q is taken", opts.Path)
	}
	p := &project{
		id: s.st.next("project"), path: opts.Path, group: s.ensureGroup(parent), defaultBranch: orDefault(opts.DefaultBranch, "main"),
		visibility: orDefault(opts.Visibility, "private"), members: map[string]int{}, timeout: orInt(opts.Timeout, 3600),
		gitDepth: max(orInt(opts.GitDepth, 20), 0), createdAt: s.now(), configs: map[string]agentConfig{},
	}
	for _, from := range opts.JobTokenFrom {
		p.jobTokenFrom = append(p.jobTokenFrom, strings.ToLower(from))
	}
	p.protected = []string{p.defaultBranch}
	s.st.projects[p.id] = p
	s.st.byPath[strings.ToLower(p.path)] = p
	view := s.projectView(p)
	s.mu.Unlock()
	return view, s.git.init(context.Background(), p.id, p.defaultBranch)
}

func (s *Server) projectView(p *project) Project {
	out := Project{ID: p.id, Path: p.path, DefaultBranch: p.defaultBranch, CloneURL: s.cloneURL(p, "", "")}
	for g := p.group; g != nil; g = g.parent {
		out.GroupIDs = append(out.GroupIDs, g.id)
	}
	return out
}

// Project answers a project by path or id.
func (s *Server) Project(id string) (Project, error) {
	p, err := s.lookupProject(id)
	if err != nil {
		return Project{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.projectView(p), nil
}

func (s *Server) lookupProject(id string) (*project, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.findProject(id); p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("project %q not found", id)
}

// PushDir commits the content of a directory as the next state of a branch and
// answers the commit.
func (s *Server) PushDir(projectID, branch, dir string) (string, error) {
	p, err := s.lookupProject(projectID)
	if err != nil {
		return "", err
	}
	sha, err := s.git.commitDir(context.Background(), p.id, orDefault(branch, p.defaultBranch), dir)
	return sha, errors.Join(err, s.readAgentConfigs(p))
}

// PushFiles commits changes of single files on top of a branch: name to
// content, nil deletes.
func (s *Server) PushFiles(projectID, branch string, files map[string]*string) (string, error) {
	p, err := s.lookupProject(projectID)
	if err != nil {
		return "", err
	}
	sha, err := s.git.commitFiles(context.Background(), p.id, orDefault(branch, p.defaultBranch), files)
	return sha, errors.Join(err, s.readAgentConfigs(p))
}

// Push is PushFiles for plain contents, in the usual case without deletions.
func (s *Server) Push(projectID, branch string, files map[string]string) (string, error) {
	pointers := map[string]*string{}
	for name, content := range files {
		pointers[name] = &content
	}
	return s.PushFiles(projectID, branch, pointers)
}

// CreateTag makes a lightweight tag.
func (s *Server) CreateTag(projectID, tag, ref string) error {
	p, err := s.lookupProject(projectID)
	if err != nil {
		return err
	}
	sha, err := s.git.commit(context.Background(), p.id, ref)
	if err != nil {
		return err
	}
	return s.git.setRef(context.Background(), p.id, "refs/tags/"+tag, sha)
}

// DeleteBranch removes a branch.
func (s *Server) DeleteBranch(projectID, branch string) error {
	p, err := s.lookupProject(projectID)
	if err != nil {
		return err
	}
	return s.git.setRef(context.Background(), p.id, "refs/heads/"+branch, "")
}

// SetProtected replaces the protected branch patterns; a pattern tag:<name>
// protects tags.
func (s *Server) SetProtected(projectID string, patterns ...string) error {
	p, err := s.lookupProject(projectID)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p.protected = patterns
	return nil
}

// SetProtectedEnvironments replaces the names of the protected environments.
func (s *Server) SetProtectedEnvironments(projectID string, names ...string) error {
	p, err := s.lookupProject(projectID)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p.protectedEnvs = names
	return nil
}

// readAgentConfigs reads .gitlab/agents/*/config.yaml of the default branch
// again, as KAS does on a push.
func (s *Server) readAgentConfigs(p *project) error {
	ctx := context.Background()
	commit, err := s.git.commit(ctx, p.id, p.defaultBranch)
	if err != nil {
		return nil // nothing on the default branch yet
	}
	names, err := s.git.files(ctx, p.id, commit, ".gitlab/agents/")
	if err != nil {
		return err
	}
	configs := map[string]agentConfig{}
	for _, name := range names {
		parts := strings.Split(name, "/")
		if len(parts) != 4 || parts[3] != "config.yaml" {
			continue
		}
		_, data, err := s.git.file(ctx, p.id, commit, name)
		if err != nil {
			return err
		}
		configs[parts[2]] = parseAgentConfig(data)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p.configs = configs
	return nil
}

var agentName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)

// CreateAgent registers an agent in a project.
func (s *Server) CreateAgent(projectID, name string) (Agent, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.findProject(projectID)
	if p == nil {
		return Agent{}, fmt.Errorf("project %q not found", projectID)
	}
	if !agentName.MatchString(name) || len(name) > 63 {
		return Agent{}, fmt.Errorf("agent name %q is invalid", name)
	}
	if s.agentByPath(p.path+":"+name) != nil {
		return Agent{}, fmt.Errorf("agent %q is taken", name)
	}
	a := &agent{id: s.st.next("agent"), name: name, token: "glagent-" + randomText(50), project: p, created: s.now()}
	s.st.agents = append(s.st.agents, a)
	return Agent{ID: a.id, Name: a.name, Project: p.path, Token: a.token}, nil
}

// CreateAccessToken makes a glpat- token of a user, or of a project when
// Project is set.
func (s *Server) CreateAccessToken(opts AccessTokenOptions) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &accessToken{scopes: opts.Scopes}
	if opts.Project != "" {
		if t.project = s.findProject(opts.Project); t.project == nil {
			return "", fmt.Errorf("project %q not found", opts.Project)
		}
		if t.level = opts.Level; t.level == 0 {
			t.level = Maintainer
		}
		t.user = &user{User: User{Username: "project_" + itoa(t.project.id) + "_bot"}, bot: true}
	} else if t.user = s.st.users[orDefault(opts.User, "root")]; t.user == nil {
		return "", fmt.Errorf("user %q not found", opts.User)
	}
	value := orDefault(opts.FixedToken, "glpat-"+randomText(20))
	if s.st.tokens[value] != nil {
		return "", errors.New("the access token is taken")
	}
	s.st.tokens[value] = t
	return value, nil
}

// CreateDeployToken makes a git-only credential of a project.
func (s *Server) CreateDeployToken(projectID, username string) (DeployToken, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.findProject(projectID)
	if p == nil {
		return DeployToken{}, fmt.Errorf("project %q not found", projectID)
	}
	d := DeployToken{Username: orDefault(username, "gitlab+deploy-token-"+itoa(p.id)), Token: "gldt-" + randomText(20)}
	s.st.deploy[d.Token] = &deployToken{username: d.Username, project: p}
	return d, nil
}

// RevokeToken ends an access or deploy token.
func (s *Server) RevokeToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.st.tokens, token)
	delete(s.st.deploy, token)
}

// SetVariable sets a variable of "instance", "group:<path>" or
// "project:<path>", replacing one of the same key
// and environments.
func (s *Server) SetVariable(scope string, v Variable) error {
	scope, err := normalScope(scope)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := slices.DeleteFunc(slices.Clone(s.st.vars[scope]), func(o Variable) bool { return o.Key == v.Key && o.scope() == v.scope() })
	s.st.vars[scope] = append(rest, v)
	return nil
}

// Environments lists the environments of a project.
func (s *Server) Environments(projectID string) ([]Environment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.findProject(projectID)
	if p == nil {
		return nil, fmt.Errorf("project %q not found", projectID)
	}
	out := []Environment{}
	for _, e := range p.envs {
		v := e.Environment
		if e.agent != nil {
			v.AgentID = e.agent.id
		}
		out = append(out, v)
	}
	return out, nil
}
