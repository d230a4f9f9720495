package ciyaml

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Parse reads one .gitlab-ci.yml. Unknown keywords are errors that name the
// key, because a test must not pass on a keyword the simulator ignored.
func Parse(data []byte) (*Config, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("invalid YAML: %w", err)
	}
	if len(doc.Content) == 0 {
		return nil, errors.New("the file is empty")
	}
	top, err := compose(doc.Content[0])
	if err != nil {
		return nil, err
	}
	cfg := &Config{Stages: []string{"build", "test", "deploy"}}
	base := Job{Stage: "test", When: "on_success"}
	if err := readGlobals(cfg, &base, top); err != nil {
		return nil, err
	}
	cfg.Stages = append(append([]string{".pre"}, slices.DeleteFunc(cfg.Stages, func(s string) bool {
		return s == ".pre" || s == ".post"
	})...), ".post")
	for _, p := range top {
		if isGlobal(p.key) || strings.HasPrefix(p.key, ".") {
			continue
		}
		j, err := readJob(p.key, p.node, base)
		if err != nil {
			return nil, err
		}
		cfg.Jobs = append(cfg.Jobs, j.expand()...)
	}
	if len(cfg.Jobs) == 0 {
		return nil, errors.New("jobs config should contain at least one visible job")
	}
	return cfg, check(cfg)
}

var globals = []string{"stages", "variables", "default", "before_script", "after_script", "image", "services", "cache", "include", "workflow", "spec"}

func isGlobal(key string) bool { return slices.Contains(globals, key) }

func readGlobals(cfg *Config, base *Job, top []pair) error {
	for _, p := range top {
		var err error
		switch p.key {
		case "stages":
			cfg.Stages, err = list("stages", p.node)
		case "variables":
			cfg.Variables, err = variables("variables", p.node)
		case "default":
			err = defaultSection(base).read("default", p.node)
		case "before_script", "after_script", "image", "services", "cache":
			err = defaultSection(base)[p.key](p.key, p.node)
		case "workflow":
			err = workflow(&cfg.Workflow).read("workflow", p.node)
		case "include", "spec":
			err = fmt.Errorf("root: unknown keyword %q", p.key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func readJob(name string, n *yaml.Node, base Job) (Job, error) {
	j := base
	j.Name = name
	where := "jobs:" + name
	if err := jobSection(&j).read(where, n); err != nil {
		return j, err
	}
	if len(j.Script) == 0 {
		return j, fmt.Errorf("%s: script can't be blank", where)
	}
	if !slices.Contains([]string{"on_success", "on_failure", "always", "manual", "never"}, j.When) {
		return j, fmt.Errorf("%s:when: %q is not understood here", where, j.When)
	}
	return j, nil
}

// check refuses references between jobs that GitLab refuses.
func check(cfg *Config) error {
	stage := map[string]int{}
	for _, j := range cfg.Jobs {
		i := slices.Index(cfg.Stages, j.Stage)
		if i < 0 {
			return fmt.Errorf("%s job: chosen stage %s does not exist; available stages are %s", j.Name, j.Stage, strings.Join(cfg.Stages, ", "))
		}
		stage[j.Name] = i
	}
	for _, j := range cfg.Jobs {
		for _, n := range j.Needs {
			if i, ok := stage[n.Job]; !ok && !n.Optional {
				return fmt.Errorf("%s job: undefined need: %s", j.Name, n.Job)
			} else if i > stage[j.Name] {
				return fmt.Errorf("%s job: need %s is not defined in current or prior stages", j.Name, n.Job)
			}
		}
		for _, d := range j.Dependencies {
			if i, ok := stage[d]; !ok {
				return fmt.Errorf("%s job: undefined dependency: %s", j.Name, d)
			} else if i > stage[j.Name] {
				return fmt.Errorf("%s job: dependency %s is not defined in prior stages", j.Name, d)
			}
		}
	}
	return cycle(cfg.Jobs)
}

func cycle(jobs []Job) error {
	needs := map[string][]Need{}
	for _, j := range jobs {
		needs[j.Name] = j.Needs
	}
	state := map[string]int{}
	var visit func(string) bool
	visit = func(name string) bool {
		switch state[name] {
		case 1:
			return false
		case 2:
			return true
		}
		state[name] = 1
		for _, n := range needs[name] {
			if !visit(n.Job) {
				return false
			}
		}
		state[name] = 2
		return true
	}
	for _, j := range jobs {
		if !visit(j.Name) {
			return errors.New("the pipeline has circular dependencies")
		}
	}
	return nil
}
