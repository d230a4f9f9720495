package agentconfig

import (
	"strings"

	"github.com/towline/towline/pkg/strictyaml"
)

// Subject is the project whose job asks, and the project that holds the
// configuration, both as full paths that GitLab wrote.
type Subject struct {
	Project       string
	ConfigProject string
}

// Match returns the entry that applies to a job, by the precedence of GitLab's
// finder (agent-config sheet, section 1.2): the project's own entry, the
// implicit entry of the configuration project, groups from the innermost
// outwards, the instance. The first one wins and nothing is merged, so a
// permissive project entry overrides a strict group entry. What the entry asks
// of environment and branch is not looked at: GitLab checks that afterwards.
func (c *Config) Match(s Subject) (Entry, bool) {
	if s.Project == "" {
		return Entry{}, false
	}
	if e, ok := c.find(c.CIAccess.Projects, s.Project); ok {
		return e, true
	}
	if strings.EqualFold(s.Project, s.ConfigProject) {
		return Entry{Kind: ImplicitEntry, ID: s.ConfigProject, AccessAs: AccessAs{Mode: AsAgent}, File: c.File}, true
	}
	for group := parent(s.Project); group != ""; group = parent(group) {
		if e, ok := c.find(c.CIAccess.Groups, group); ok {
			return e, true
		}
	}
	if c.CIAccess.Instance != nil {
		e := *c.CIAccess.Instance
		e.File = c.File
		return e, true
	}
	return Entry{}, false
}

// Nearest returns the entry that comes closest to a project that no entry
// matches: most likely what its author mistyped.
func (c *Config) Nearest(s Subject) (Entry, bool) {
	groups := []string{}
	for group := parent(s.Project); group != ""; group = parent(group) {
		groups = append(groups, group)
	}
	if id := strictyaml.Closest(s.Project, entryIDs(c.CIAccess.Projects)); id != "" {
		return c.find(c.CIAccess.Projects, id)
	}
	for _, g := range groups {
		if id := strictyaml.Closest(g, entryIDs(c.CIAccess.Groups)); id != "" {
			return c.find(c.CIAccess.Groups, id)
		}
	}
	// A project listed as a group, or a group listed as a project.
	if e, ok := c.find(c.CIAccess.Groups, s.Project); ok {
		return e, true
	}
	for _, g := range groups {
		if e, ok := c.find(c.CIAccess.Projects, g); ok {
			return e, true
		}
	}
	return Entry{}, false
}

func (c *Config) find(entries []Entry, path string) (Entry, bool) {
	for _, e := range entries {
		if strings.EqualFold(e.ID, path) {
			e.File = c.File
			return e, true
		}
	}
	return Entry{}, false
}

func entryIDs(entries []Entry) []string {
	out := make([]string, len(entries))
	for i := range entries {
		out[i] = entries[i].ID
	}
	return out
}

func parent(path string) string {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return ""
	}
	return path[:i]
}
