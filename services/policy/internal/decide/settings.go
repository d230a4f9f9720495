package decide

import (
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
