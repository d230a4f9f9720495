package decide

import (
	"slices"
	"strings"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/policyapi"
)

// Sync answers for one state of an entry of gitops, which it returns as well.
// The decision carries no grant yet. Only the configuration says what a sync may
// do, within what the cluster's owner allows; nothing of the repository that is
// synced has a say.
func Sync(s Settings, c Config, e policyapi.SyncEvidence) (policyapi.Decision, agentconfig.Manifests) {
	d := decision{Decision: policyapi.Decision{Agent: s.Agent}}
	if !d.configured(c) {
		return d.Decision, agentconfig.Manifests{}
	}
	m, ok := c.Syncs(s.Agent.Project).Find(e.Entry)
	if !ok {
		d.Rule = c.File + ": gitops"
		d.deny("add it to gitops.manifest_projects, or wait until the services have read the same configuration", "no entry of gitops in %s has the name %q", c.File, bounded(e.Entry))
		return d.Decision, m
	}
	d.Rule = m.String()
	if m.Suspend {
		d.deny("remove suspend from the entry", "%s is suspended", m)
		return d.Decision, m
	}
	if d.syncIdentity(s, m) && d.syncNamespaces(s, m) {
		d.Allow = true
		d.reason("%s keeps the cluster equal to %s of %s", m, m.Ref, m.Project)
	}
	return d.Decision, m
}

// syncIdentity sets who the sync acts as. Without access_as it is the sync
// itself, which has no rights until somebody binds roles to it.
func (d *decision) syncIdentity(s Settings, m agentconfig.Manifests) bool {
	switch m.AccessAs.Mode {
	case agentconfig.AsGitOps:
		d.Identity = s.exact(itself(s, m))
		d.reason("the sync acts as itself, %s", d.Identity.User)
	case agentconfig.AsImpersonate:
		d.Identity = impersonate(m.AccessAs.Impersonate)
		d.reason("access_as.impersonate: the sync acts as %s", d.Identity.User)
	case agentconfig.AsAgent:
		a := s.AgentServiceAccount
		if a == (ServiceAccount{}) {
			return d.deny("remove access_as from the entry and bind roles to "+grant.GitOpsUser+m.Name+", or the cluster's owner can set --agent-service-account",
				"%s gives the identity of the agent itself (access_as.agent), and the owner of this cluster does not allow that", m)
		}
		d.Identity = grant.Identity{Mode: grant.ModeAgent, User: grant.ServiceAccountUser(a.Namespace, a.Name)}
		d.reason("access_as.agent: the sync acts as the agent's ServiceAccount %s/%s", a.Namespace, a.Name)
	default:
		return d.deny("use gitops, agent or impersonate", "%s has an access_as that is not known", m)
	}
	if err := d.Identity.Validate(); err != nil {
		return d.deny("choose another user or other groups under access_as; names that start with system: belong to Kubernetes",
			"the identity that %s gives cannot be granted: %v", m, err)
	}
	return true
}

// itself is the identity of a sync: a user for the entry, a group for all
// syncs, one for those of a project and one for each group above it.
func itself(s Settings, m agentconfig.Manifests) grant.Identity {
	groups := []string{"gitlab:gitops", "gitlab:gitops_project:" + m.Project}
	for path := m.Project; ; {
		i := strings.LastIndex(path, "/")
		if i < 0 {
			break
		}
		path = path[:i]
		groups = append(groups, "gitlab:gitops_group:"+path)
	}
	i := grant.Identity{Mode: grant.ModeGitOps, User: grant.GitOpsUser + m.Name, Groups: groups}
	if s.Agent.ID != 0 {
		i.Extra = map[string][]string{extraPrefix + "id": {text(s.Agent.ID)}}
	}
	return i
}

// syncNamespaces narrows the entry's namespaces to what the cluster's owner
// allows.
func (d *decision) syncNamespaces(s Settings, m agentconfig.Manifests) bool {
	d.Namespaces = slices.Clone(m.Namespaces)
	switch {
	case len(s.Namespaces) == 0:
	case len(m.Namespaces) == 0:
		d.Namespaces = slices.Clone(s.Namespaces)
	default:
		for _, n := range m.Namespaces {
			if !slices.Contains(s.Namespaces, n) {
				return d.deny("remove it from the entry; the owner allows "+strings.Join(s.Namespaces, ", "), "%s names the namespace %q, which the cluster's owner does not allow", m, n)
			}
		}
	}
	if len(d.Namespaces) > 0 && !slices.Contains(d.Namespaces, m.DefaultNamespace) {
		return d.deny("set default_namespace to one of "+strings.Join(d.Namespaces, ", "),
			"the default_namespace %q of %s, where its inventory is kept, is not among the namespaces it may use", m.DefaultNamespace, m)
	}
	d.DefaultNamespace = m.DefaultNamespace
	return true
}
