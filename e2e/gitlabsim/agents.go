package gitlabsim

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const maxAuthorizedPaths = 500

// agentConfig is what the simulator reads of .gitlab/agents/<name>/config.yaml.
type agentConfig struct {
	projects, groups []entry
	instance         map[string]any // nil = absent
	userProjects     []string
	userGroups       []string
}

// entry is one ci_access entry: the path and the rest verbatim.
type entry struct {
	id     string
	config map[string]any
}

// parseAgentConfig reads ci_access and user_access and ignores all else: the
// real strictness lives in KAS, which this simulator is not.
func parseAgentConfig(data []byte) agentConfig {
	var doc struct {
		CI struct {
			Projects []map[string]any `yaml:"projects"`
			Groups   []map[string]any `yaml:"groups"`
			Instance map[string]any   `yaml:"instance"`
		} `yaml:"ci_access"`
		User struct {
			Projects []map[string]any `yaml:"projects"`
			Groups   []map[string]any `yaml:"groups"`
		} `yaml:"user_access"`
	}
	if yaml.Unmarshal(data, &doc) != nil {
		return agentConfig{}
	}
	ids := func(list []map[string]any) []string {
		var out []string
		for _, e := range entries(list) {
			out = append(out, e.id)
		}
		return out
	}
	return agentConfig{
		projects: entries(doc.CI.Projects), groups: entries(doc.CI.Groups), instance: doc.CI.Instance,
		userProjects: ids(doc.User.Projects), userGroups: ids(doc.User.Groups),
	}
}

func entries(list []map[string]any) []entry {
	var out []entry
	for _, e := range list {
		id, _ := e["id"].(string)
		if id == "" || len(out) == maxAuthorizedPaths {
			continue
		}
		rest := maps.Clone(e)
		delete(rest, "id")
		out = append(out, entry{strings.ToLower(id), rest})
	}
	return out
}

// grant is one agent a project's jobs may use.
type grant struct {
	agent  *agent
	config map[string]any
}

// grantsFor applies the precedence project, implicit, groups from the
// innermost outwards, instance; the first per agent wins and nothing is merged
// (agent-config 1.2). The mutex is held.
func (s *Server) grantsFor(p *project) []grant {
	out := []grant{}
	for _, a := range s.st.agents {
		if cfg, ok := s.grantOf(a, p); ok {
			out = append(out, grant{a, cfg})
		}
	}
	return out
}

func (s *Server) grantOf(a *agent, p *project) (map[string]any, bool) {
	cfg := a.project.configs[a.name]
	inReach := !s.opts.NoOrganizationAccess || a.project.group.root() == p.group.root()
	if inReach {
		if config, ok := s.entryFor(cfg.projects, p.path); ok {
			return config, true
		}
	}
	if a.project == p {
		return map[string]any{}, true
	}
	if inReach {
		for g := p.group; g != nil; g = g.parent {
			if config, ok := s.entryFor(cfg.groups, g.path); ok {
				return config, true
			}
		}
	}
	if cfg.instance != nil && !s.opts.NoOrganizationAccess && s.tierAllows(cfg.instance) {
		return cfg.instance, true
	}
	return nil, false
}

// entryFor is the first entry for a path that the tier does not drop.
func (s *Server) entryFor(entries []entry, path string) (map[string]any, bool) {
	for _, e := range entries {
		if strings.EqualFold(e.id, path) && s.tierAllows(e.config) {
			return e.config, true
		}
	}
	return nil, false
}

// tierAllows drops entries whose access_as has a key other than agent on Free
// (agent-config 0.6).
func (s *Server) tierAllows(config map[string]any) bool {
	if s.opts.Tier != "free" {
		return true
	}
	as, _ := config["access_as"].(map[string]any)
	for key := range as {
		if key != "agent" {
			return false
		}
	}
	return true
}

// jobGrants filters the project's grants by the job's environment and by ref
// protection, after precedence.
func (s *Server) jobGrants(j *job) []grant {
	name := ""
	if j.env != nil {
		name = j.env.Name
	}
	protected := s.protectedRef(j.pipeline)
	return slices.DeleteFunc(s.grantsFor(j.pipeline.project), func(g grant) bool {
		if only, _ := g.config["protected_branches_only"].(bool); only && !protected {
			return true
		}
		patterns, restricted := g.config["environments"].([]any)
		return restricted && len(patterns) > 0 && !matchesAny(patterns, name)
	})
}

func matchesAny(patterns []any, name string) bool {
	return slices.ContainsFunc(patterns, func(p any) bool {
		text, _ := p.(string)
		return matchEnvironment(text, name)
	})
}

// matchEnvironment is GitLab's own reading: equality, or with a * a regular
// expression in which only * is translated, unanchored (agent-config 2.5).
func matchEnvironment(pattern, name string) bool {
	if pattern == "" || name == "" {
		return false
	}
	if pattern == name {
		return true
	}
	if !strings.Contains(pattern, "*") {
		return false
	}
	re, err := regexp.Compile(strings.ReplaceAll(pattern, "*", ".*"))
	return err == nil && re.MatchString(name)
}

// agentByPath resolves "path/to/project:name".
func (s *Server) agentByPath(ref string) *agent {
	projectPath, name, ok := strings.Cut(ref, ":")
	if !ok {
		return nil
	}
	for _, a := range s.st.agents {
		if strings.EqualFold(a.project.path, projectPath) && a.name == name {
			return a
		}
	}
	return nil
}

// userMayUse tells whether user_access lists a project or group in which the
// user is at least a developer (agent-config 1.3).
func (s *Server) userMayUse(a *agent, u *user) bool {
	cfg := a.project.configs[a.name]
	for _, id := range cfg.userProjects {
		if p := s.st.byPath[id]; p != nil && s.accessLevel(u, p) >= Developer {
			return true
		}
	}
	for _, id := range cfg.userGroups {
		for _, g := range s.st.groups {
			if strings.EqualFold(g.path, id) && (u.admin || g.level(u.Username) >= Developer) {
				return true
			}
		}
	}
	return false
}

func (g *group) level(username string) int {
	level := 0
	for ; g != nil; g = g.parent {
		level = max(level, g.members[username])
	}
	return level
}
