package decide

import (
	"slices"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/grant"
)

// Settings are the cluster owner's. They narrow what a configuration allows and
// are never widened by it.
type Settings struct {
	// Agent is the agent this release stands for; ID is 0 when not known.
	Agent grant.Agent
	// AgentServiceAccount is who jobs are in the mode "agent"; the zero value
	// refuses that mode.
	AgentServiceAccount ServiceAccount
	// Namespaces that jobs may use; empty means what RBAC allows.
	Namespaces []string
	// JobGroups, where there are some, are the only groups that jobs and syncs
	// carry which act as themselves; all such jobs are then one user, so that
	// the names that may be impersonated can be listed.
	JobGroups []string
}

// AnyJob is the user of every job where JobGroups are set.
const AnyJob = "gitlab:ci_job:any"

// exact keeps of a self's names those that may be impersonated.
func (s Settings) exact(i grant.Identity) grant.Identity {
	if len(s.JobGroups) == 0 {
		return i
	}
	if i.Mode == grant.ModeCIJob {
		i.User = AnyJob
	}
	i.Groups = slices.DeleteFunc(slices.Clone(i.Groups), func(g string) bool { return !slices.Contains(s.JobGroups, g) })
	return i
}

// ServiceAccount names a Kubernetes ServiceAccount.
type ServiceAccount struct{ Namespace, Name string }

// Config is the configuration to decide with. Its inner Config is nil when there
// never was one that can be used.
type Config struct {
	*agentconfig.Config
	// Revision identifies its content.
	Revision string
	// Source is where it comes from: "local" or "repository".
	Source string
	// Faults are why the newest version is not in force, one line each.
	Faults []string
}
