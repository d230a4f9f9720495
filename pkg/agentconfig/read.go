package agentconfig

import "github.com/towline/towline/pkg/strictyaml"

// read takes over a checked file and reports what a schema cannot express.
func (c *Config) read(root *strictyaml.Value) (faults strictyaml.Faults) {
	c.AgentToken = Secret(root.Get("agent").Get("token").Text())
	ci := root.Get("ci_access")
	c.CIAccess.Projects = c.entries(ProjectEntry, ci.Get("projects"))
	c.CIAccess.Groups = c.entries(GroupEntry, ci.Get("groups"))
	if v := ci.Get("instance"); v != nil {
		e := c.entry(InstanceEntry, v)
		e.Line, e.Column = v.KeyPlace()
		c.CIAccess.Instance = &e
	}
	if v := root.Get("user_access"); v != nil {
		c.UserAccess = &UserAccess{
			Projects: ids(v.Get("projects")), Groups: ids(v.Get("groups")),
			AsUser: v.Get("access_as").Get("user") != nil,
		}
	}
	c.GitOps, faults = readGitOps(c.File, root.Get("gitops"))
	return faults
}

// used is what GitLab and Towline use of a list.
func used(list *strictyaml.Value) []*strictyaml.Value {
	all := list.Items()
	return all[:min(len(all), MaxEntries)]
}

func ids(list *strictyaml.Value) []string {
	var out []string
	for _, v := range used(list) {
		out = append(out, v.Get("id").Text())
	}
	return out
}

func (c *Config) entries(kind Kind, list *strictyaml.Value) []Entry {
	var out []Entry
	for _, v := range used(list) {
		out = append(out, c.entry(kind, v))
	}
	return out
}

func (c *Config) entry(kind Kind, v *strictyaml.Value) Entry {
	e := Entry{
		Kind: kind, ID: v.Get("id").Text(), DefaultNamespace: v.Get("default_namespace").Text(),
		Environments:          v.Get("environments").Texts(),
		ProtectedBranchesOnly: v.Get("protected_branches_only").Bool(),
		ResourceManagement:    v.Get("resource_management").Get("enabled").Bool(),
		AccessAs:              accessAs(v.Get("access_as")),
		File:                  c.File, Key: v.Path(),
	}
	e.Line, e.Column = v.Place()
	return e
}

func accessAs(v *strictyaml.Value) AccessAs {
	switch {
	case v.Get("ci_job") != nil:
		return AccessAs{Mode: AsCIJob}
	case v.Get("ci_user") != nil:
		return AccessAs{Mode: AsCIUser}
	case v.Get("impersonate") != nil:
		return AccessAs{Mode: AsImpersonate, Impersonate: fixedIdentity(v.Get("impersonate"))}
	default:
		return AccessAs{Mode: AsAgent}
	}
}

func fixedIdentity(v *strictyaml.Value) *Impersonate {
	out := &Impersonate{Username: v.Get("username").Text(), UID: v.Get("uid").Text(), Groups: v.Get("groups").Texts()}
	for _, x := range v.Get("extra").Items() {
		out.Extra = append(out.Extra, Extra{Key: x.Get("key").Text(), Val: x.Get("val").Texts()})
	}
	return out
}
