package ciyaml

import (
	"fmt"
	"maps"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

func defaultSection(j *Job) section {
	return section{
		"before_script": intoList(&j.BeforeScript),
		"after_script":  intoList(&j.AfterScript),
		"tags":          intoList(&j.Tags),
		"image":         func(w string, n *yaml.Node) (err error) { j.Image, err = image(w, n); return err },
		"services":      func(w string, n *yaml.Node) (err error) { j.Services, err = services(w, n); return err },
		"artifacts":     func(w string, n *yaml.Node) (err error) { j.Artifacts, err = artifacts(w, n); return err },
		"cache":         func(w string, n *yaml.Node) (err error) { j.Cache, err = caches(w, n); return err },
		"id_tokens":     func(w string, n *yaml.Node) (err error) { j.IDTokens, err = idTokens(w, n); return err },
		"timeout":       func(w string, n *yaml.Node) (err error) { j.Timeout, err = timeout(w, n); return err },
		"retry":         func(w string, n *yaml.Node) (err error) { j.Retry, err = retry(w, n); return err },
		"hooks":         func(w string, n *yaml.Node) (err error) { j.Hooks, err = hooks(w, n); return err },
		"interruptible": ignore,
	}
}

func jobSection(j *Job) section {
	s := defaultSection(j)
	maps.Copy(s, section{
		"script":        intoList(&j.Script),
		"stage":         intoString(&j.Stage),
		"when":          intoString(&j.When),
		"variables":     func(w string, n *yaml.Node) (err error) { j.Variables, err = variables(w, n); return err },
		"environment":   func(w string, n *yaml.Node) (err error) { j.Environment, err = environment(w, n); return err },
		"allow_failure": func(w string, n *yaml.Node) (err error) { j.AllowFailure, err = allowFailure(w, n); return err },
		"dependencies": func(w string, n *yaml.Node) (err error) {
			j.HasDeps = true
			j.Dependencies, err = list(w, n)
			return err
		},
		"needs": func(w string, n *yaml.Node) (err error) {
			j.HasNeeds = true
			j.Needs, err = needs(w, n)
			return err
		},
		"resource_group": intoString(&j.ResourceGroup),
		"parallel":       func(w string, n *yaml.Node) (err error) { j.Matrix, err = matrix(w, n); return err },
		"rules": func(w string, n *yaml.Node) (err error) {
			j.HasRules = true
			j.Rules, err = rules(w, n)
			return err
		},
	})
	return s
}

func variables(where string, n *yaml.Node) ([]Variable, error) {
	ps, err := pairs(where, n)
	if err != nil {
		return nil, err
	}
	var out []Variable
	for _, p := range ps {
		v := Variable{Key: p.key}
		if p.node.Kind == yaml.MappingNode {
			expand := true
			err = section{
				"value": intoString(&v.Value), "expand": intoBool(&expand),
				"description": ignore, "options": ignore,
			}.read(where+":"+p.key, p.node)
			v.Raw = !expand
		} else {
			v.Value, err = scalar(where+":"+p.key, p.node)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func environment(where string, n *yaml.Node) (*Environment, error) {
	e := &Environment{Action: "start"}
	if n.Kind == yaml.ScalarNode {
		e.Name = n.Value
		return e, nil
	}
	kubernetes := section{
		"namespace": intoString(&e.Namespace), "agent": intoString(&e.Agent),
		"flux_resource_path": ignore, "managed_resources": ignore,
		"dashboard": section{"namespace": intoString(&e.Namespace), "flux_resource_path": ignore}.read,
	}
	err := section{
		"name": intoString(&e.Name), "action": intoString(&e.Action), "url": intoString(&e.URL),
		"deployment_tier": intoString(&e.Tier), "on_stop": ignore, "auto_stop_in": ignore,
		"kubernetes": kubernetes.read,
	}.read(where, n)
	return e, err
}

func image(where string, n *yaml.Node) (*Image, error) {
	i := &Image{}
	if n.Kind == yaml.ScalarNode {
		i.Name = n.Value
		return i, nil
	}
	return i, imageSection(i).read(where, n)
}

func imageSection(i *Image) section {
	return section{
		"name": intoString(&i.Name), "entrypoint": intoList(&i.Entrypoint), "pull_policy": intoList(&i.PullPolicy),
		"docker": ignore, "kubernetes": ignore,
	}
}

func services(where string, n *yaml.Node) ([]Image, error) {
	if n.Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("%s: should be an array", where)
	}
	out := []Image{}
	for _, item := range n.Content {
		i := Image{}
		if item = deref(item); item.Kind == yaml.ScalarNode {
			i.Name = item.Value
		} else {
			s := imageSection(&i)
			s["alias"], s["command"] = intoString(&i.Alias), intoList(&i.Command)
			s["variables"] = func(w string, n *yaml.Node) (err error) { i.Variables, err = variables(w, n); return err }
			if err := s.read(where, item); err != nil {
				return nil, err
			}
		}
		out = append(out, i)
	}
	return out, nil
}

func artifacts(where string, n *yaml.Node) (*Artifacts, error) {
	a := &Artifacts{}
	return a, section{
		"name": intoString(&a.Name), "paths": intoList(&a.Paths), "exclude": intoList(&a.Exclude),
		"untracked": intoBool(&a.Untracked), "when": intoString(&a.When), "expire_in": intoString(&a.ExpireIn),
		"expose_as": ignore, "public": ignore, "access": ignore,
		"reports": func(w string, n *yaml.Node) (err error) { a.Reports, err = reports(w, n); return err },
	}.read(where, n)
}

func reports(where string, n *yaml.Node) ([]Report, error) {
	ps, err := pairs(where, n)
	if err != nil {
		return nil, err
	}
	var out []Report
	for _, p := range ps {
		r := Report{Type: p.key}
		if p.key == "coverage_report" {
			err = section{"coverage_format": intoString(&r.Type), "path": intoList(&r.Paths)}.read(where+":"+p.key, p.node)
		} else {
			r.Paths, err = list(where+":"+p.key, p.node)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

func hooks(where string, n *yaml.Node) ([]Hook, error) {
	pre, post := Hook{Name: "pre_get_sources_script"}, Hook{Name: "post_get_sources_script"}
	err := section{pre.Name: intoList(&pre.Script), post.Name: intoList(&post.Script)}.read(where, n)
	var out []Hook
	for _, h := range []Hook{pre, post} {
		if len(h.Script) > 0 {
			out = append(out, h)
		}
	}
	return out, err
}

var (
	timeoutPart = regexp.MustCompile(`(?i)^[\s,]*(?:and\s+)?(\d+)\s*([a-z]+)`)
	timeUnits   = map[string]int{
		"s": 1, "sec": 1, "secs": 1, "second": 1, "seconds": 1, "m": 60, "min": 60, "mins": 60, "minute": 60, "minutes": 60,
		"h": 3600, "hr": 3600, "hrs": 3600, "hour": 3600, "hours": 3600, "d": 86400, "day": 86400, "days": 86400,
		"w": 604800, "week": 604800, "weeks": 604800,
	}
)

func timeout(where string, n *yaml.Node) (int, error) {
	text, err := scalar(where, n)
	if err != nil {
		return 0, err
	}
	total, rest := 0, text
	for rest != "" {
		m := timeoutPart.FindStringSubmatch(rest)
		if m == nil || timeUnits[m[2]] == 0 {
			return 0, fmt.Errorf("%s: %q should be a duration", where, text)
		}
		v, _ := strconv.Atoi(m[1])
		total += v * timeUnits[m[2]]
		rest = rest[len(m[0]):]
	}
	return total, nil
}
