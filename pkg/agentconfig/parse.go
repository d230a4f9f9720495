package agentconfig

import (
	"maps"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Options change what Parse accepts.
type Options struct {
	// AllowToken accepts agent.token, with a notice. It is meant for files on
	// local disk; GitLab's server refuses the section.
	AllowToken bool
}

// Parse reads a configuration file. name is how the file is called in faults,
// notices and entries. An empty or null file is an empty configuration. When
// anything is wrong the error is a Faults that lists all of it, and there is no
// Config. The notices are valid in both cases.
func Parse(name string, content []byte, opts Options) (*Config, []Notice, error) {
	cfg := &Config{File: name}
	root, fault := document(name, content)
	switch {
	case fault != nil:
		return nil, nil, Faults{*fault}
	case root == nil:
		return cfg, nil, nil
	}
	c := &checker{file: name}
	if root = c.follow(root); root == nil || isNull(root) {
		return cfg, nil, nil
	}
	c.value(rules(opts), root, "", 0)
	if len(c.faults) > 0 {
		return nil, c.notices, c.faults.sorted()
	}
	r := reader{&checker{file: name}}
	r.config(cfg, root)
	if len(r.c.faults) > 0 {
		return nil, c.notices, r.c.faults.sorted()
	}
	c.notices = append(c.notices, hopeless(cfg)...)
	return cfg, c.notices, nil
}

func rules(opts Options) *schema {
	if !opts.AllowToken {
		return file
	}
	s := *file
	s.keys = maps.Clone(file.keys)
	s.keys["agent"] = agentSection
	return &s
}

// hopeless names entries that can never match a project.
func hopeless(cfg *Config) []Notice {
	var out []Notice
	for _, list := range [][]Entry{cfg.CIAccess.Projects, cfg.CIAccess.Groups} {
		for _, e := range list {
			if strings.ContainsAny(e.ID, " \t:*\\") || strings.HasPrefix(e.ID, "/") || strings.HasSuffix(e.ID, "/") {
				out = append(out, Notice{
					File: e.File, Line: e.Line, Column: e.Column, Key: e.Key + ".id",
					Text: "matches no project: write the full path only, without host, slashes at the ends or patterns",
				})
			}
		}
	}
	return out[:min(len(out), MaxNotices)]
}

// reader turns a checked document into a Config. Its checker only follows
// aliases and merge keys; nothing should be wrong any more.
type reader struct{ c *checker }

// item is a checked value together with where it starts.
type item struct {
	node *yaml.Node
	at   *yaml.Node
}

func (r reader) fields(n *yaml.Node) map[string]item {
	out := map[string]item{}
	for _, p := range r.c.pairs(n, "", 0) {
		if !isNull(p.value) {
			out[p.name] = item{p.value, p.key}
		}
	}
	return out
}

func (r reader) items(n *yaml.Node) []*yaml.Node {
	if n == nil {
		return nil
	}
	out := make([]*yaml.Node, 0, len(n.Content))
	for _, e := range n.Content {
		if v := r.c.follow(e); v != nil {
			out = append(out, v)
		}
	}
	return out
}

func (r reader) texts(n *yaml.Node) []string {
	var out []string
	for _, e := range r.items(n) {
		out = append(out, e.Value)
	}
	return out
}

func word(i item) string {
	if i.node == nil {
		return ""
	}
	return i.node.Value
}

func yes(i item) bool {
	if i.node == nil {
		return false
	}
	v, _ := truth(i.node)
	return v
}

func (r reader) config(cfg *Config, root *yaml.Node) {
	top := r.fields(root)
	if n := top["agent"].node; n != nil {
		cfg.AgentToken = Secret(word(r.fields(n)["token"]))
	}
	if n := top["ci_access"].node; n != nil {
		ci := r.fields(n)
		cfg.CIAccess.Projects = r.entries(ProjectEntry, "ci_access.projects", ci["projects"].node)
		cfg.CIAccess.Groups = r.entries(GroupEntry, "ci_access.groups", ci["groups"].node)
		if i := ci["instance"]; i.node != nil {
			e := r.entry(InstanceEntry, "ci_access.instance", i.node)
			e.Line, e.Column = i.at.Line, i.at.Column
			cfg.CIAccess.Instance = &e
		}
	}
	if n := top["user_access"].node; n != nil {
		cfg.UserAccess = r.userAccess(n)
	}
}
