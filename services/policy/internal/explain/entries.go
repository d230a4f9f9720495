package explain

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/services/policy/internal/decide"
)

func at(file string, line int, key string) string {
	return fmt.Sprintf("%s:%d %s", filepath.Base(file), line, key)
}

// entries are what config.yaml says, in GitLab's order of precedence.
func entries(c decide.Config, agentAllowed bool) []Entry {
	out := []Entry{}
	add := func(e agentconfig.Entry, who string) {
		out = append(out, Entry{at(c.File, e.Line, e.Key), who, says(e, agentAllowed)})
	}
	for _, e := range c.CIAccess.Projects {
		add(e, "project "+e.ID)
	}
	own := agentconfig.Entry{AccessAs: agentconfig.AccessAs{Mode: agentconfig.AsAgent}}
	out = append(out, Entry{"not in a file", "the agent's own project", says(own, agentAllowed)})
	for _, e := range c.CIAccess.Groups {
		add(e, "group "+e.ID)
	}
	if e := c.CIAccess.Instance; e != nil {
		add(*e, "every project")
	}
	return out
}

func says(e agentconfig.Entry, agentAllowed bool) string {
	as := "as " + string(e.AccessAs.Mode)
	if e.AccessAs.Mode == agentconfig.AsAgent && !agentAllowed {
		as += ", so refused: --agent-service-account is not set"
	}
	if i := e.AccessAs.Impersonate; i != nil {
		as = "as " + i.Username
	}
	parts := []string{as}
	if len(e.Environments) > 0 {
		parts = append(parts, "environments "+strings.Join(e.Environments, ", "))
	}
	if e.ProtectedBranchesOnly {
		parts = append(parts, "protected branches and tags only")
	}
	if e.DefaultNamespace != "" {
		parts = append(parts, "begins in "+e.DefaultNamespace)
	}
	return strings.Join(parts, "; ")
}

// refinements are what towline.yaml narrows.
func refinements(c decide.Config) []Entry {
	out := []Entry{}
	for _, r := range c.Towline.Refine {
		var parts []string
		for _, l := range []struct {
			what string
			list []string
		}{
			{"environments", r.Environments}, {"refs", r.Refs}, {"tags", r.Tags}, {"roles", r.Roles}, {"users", r.Users}, {"namespaces", r.Namespaces},
		} {
			if len(l.list) > 0 {
				parts = append(parts, l.what+" "+strings.Join(l.list, ", "))
			}
		}
		who := "every job"
		if s := scope(r.For); s != "" {
			who = s
		}
		if s := scope(r.Except); s != "" {
			who += " except " + s
		}
		out = append(out, Entry{at(c.Towline.File, r.Line, r.Key), who, strings.Join(parts, "; ")})
	}
	return out
}

func scope(s agentconfig.Scope) string {
	var parts []string
	for _, l := range []struct {
		what string
		list []string
	}{
		{"projects", s.Projects}, {"groups", s.Groups}, {"environments", s.Environments}, {"refs", s.Refs}, {"tags", s.Tags},
	} {
		if len(l.list) > 0 {
			parts = append(parts, l.what+" "+strings.Join(l.list, ", "))
		}
	}
	return strings.Join(parts, "; ")
}
