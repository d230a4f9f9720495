package agentconfig

import (
	"testing"
)

func parse(t *testing.T, in string) *Config {
	t.Helper()
	cfg, _, err := Parse("config.yaml", []byte(in), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestMatchPrecedence(t *testing.T) {
	const groups = "  groups: [{id: top}, {id: Top/Mid/inner}, {id: top/mid}]\n"
	for name, tt := range map[string]struct{ in, project, want string }{
		"project first":        {"ci_access:\n  projects: [{id: top/mid/app}]\n" + groups, "top/mid/app", "ci_access.projects[0]"},
		"case does not matter": {"ci_access:\n  projects: [{id: Top/MID/App}]\n", "top/mid/app", "ci_access.projects[0]"},
		"implicit":             {"ci_access:\n" + groups, "top/agents", "the implicit entry of the agent's own project"},
		"explicit own project": {"ci_access:\n  projects: [{id: top/agents}]\n", "top/agents", "ci_access.projects[0]"},
		"implicit when empty":  {"", "Top/Agents", "the implicit entry of the agent's own project"},
		"innermost group":      {"ci_access:\n" + groups, "top/mid/inner/app", "ci_access.groups[1]"},
		"middle group":         {"ci_access:\n" + groups, "top/mid/other/app", "ci_access.groups[2]"},
		"outermost group":      {"ci_access:\n" + groups, "top/app", "ci_access.groups[0]"},
		"no prefix of a name":  {"ci_access:\n" + groups, "topmost/app", ""},
		"group is no project":  {"ci_access:\n  groups: [{id: top/app}]\n", "top/app", ""},
		"instance last":        {"ci_access:\n  instance: {}\n" + groups, "elsewhere/app", "ci_access.instance"},
		"group before it":      {"ci_access:\n  instance: {}\n" + groups, "top/app", "ci_access.groups[0]"},
		"nothing":              {"", "top/app", ""},
		"no project":           {"ci_access: {instance: {}}", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e, ok := parse(t, tt.in).Match(Subject{Project: tt.project, ConfigProject: "top/agents"})
			got := e.Key
			if e.Kind == ImplicitEntry {
				got = e.String()
			}
			if ok != (tt.want != "") || got != tt.want {
				t.Errorf("entry %q (%v), want %q", got, ok, tt.want)
			}
		})
	}
}

func TestNearest(t *testing.T) {
	cfg := parse(t, "ci_access:\n  projects: [{id: top/aplication}, {id: top/mid}]\n  groups: [{id: tpo}, {id: lib/one}]\n")
	for project, want := range map[string]string{
		"top/application": `config.yaml:2: ci_access.projects[0] (id "top/aplication")`,
		"top/zzzzzzzzzzz": `config.yaml:3: ci_access.groups[0] (id "tpo")`,
		"lib/one":         `config.yaml:3: ci_access.groups[1] (id "lib/one")`,
	} {
		e, ok := cfg.Nearest(Subject{Project: project})
		if !ok || e.String() != want {
			t.Errorf("%s: %v %v, want %s", project, e, ok, want)
		}
	}
	if e, ok := cfg.Nearest(Subject{Project: "nothing/like/it"}); ok {
		t.Errorf("nearest is %v", e)
	}
}

func TestMatchEnvironment(t *testing.T) {
	for _, tt := range []struct {
		pattern, name   string
		allowed, gitlab bool
	}{
		{"production", "production", true, true},
		{"production", "Production", false, false},
		{"production", "production2", false, false},
		{"prod*", "production", true, true},
		{"prod*", "nonprod", false, true},
		{"review/*", "review/a/b", true, true},
		{"review/*", "my-review/x", false, true},
		{"review/*", "review/", true, true},
		{"*/prod", "eu/prod", true, true},
		{"*/prod", "eu/prod2", false, true},
		{"a.b*", "axb1", false, true},
		{"a.b*", "a.b1", true, true},
		{"a*a", "a", false, false},
		{"a*b*c", "a-b-b-c", true, true},
		{"a*b*c", "acb", false, false},
		{"*", "x", true, true},
		{"(*", "(x", true, false},
		{" ", " ", true, false},
		{"*", "", false, false},
	} {
		m := Entry{Environments: []string{"unrelated", tt.pattern}}.MatchEnvironment(tt.name)
		if m.Allowed != tt.allowed || m.GitLabAllowed != tt.gitlab || m.Differs() != (tt.allowed != tt.gitlab) {
			t.Errorf("%q with %q: %+v, want %v, GitLab %v", tt.pattern, tt.name, m, tt.allowed, tt.gitlab)
		}
		if m.Allowed && m.Pattern != tt.pattern || m.GitLabAllowed && m.GitLabPattern != tt.pattern {
			t.Errorf("%q with %q: patterns %+v", tt.pattern, tt.name, m)
		}
	}
	if m := (Entry{}).MatchEnvironment(""); !m.Allowed || m.Differs() {
		t.Errorf("no patterns: %+v", m)
	}
}
