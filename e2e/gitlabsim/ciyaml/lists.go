package ciyaml

import (
	"fmt"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// caches reads the cache keyword: one mapping or a list of them.
func caches(where string, n *yaml.Node) ([]Cache, error) {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.Content
	}
	out := []Cache{}
	for _, item := range items {
		c := Cache{Key: "default", Policy: "pull-push", When: "on_success", FallbackKeys: []string{}}
		err := section{
			"key": intoString(&c.Key), "paths": intoList(&c.Paths), "untracked": intoBool(&c.Untracked),
			"policy": intoString(&c.Policy), "when": intoString(&c.When), "fallback_keys": intoList(&c.FallbackKeys),
		}.read(where, item)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

func needs(where string, n *yaml.Node) ([]Need, error) {
	if n.Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("%s: should be an array", where)
	}
	var out []Need
	for _, item := range n.Content {
		d := Need{Artifacts: true}
		if item = deref(item); item.Kind == yaml.ScalarNode {
			d.Job = item.Value
		} else if err := (section{
			"job": intoString(&d.Job), "artifacts": intoBool(&d.Artifacts), "optional": intoBool(&d.Optional),
		}).read(where, item); err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

func idTokens(where string, n *yaml.Node) ([]IDToken, error) {
	ps, err := pairs(where, n)
	if err != nil {
		return nil, err
	}
	var out []IDToken
	for _, p := range ps {
		t := IDToken{Name: p.key}
		err := section{"aud": func(w string, n *yaml.Node) (err error) {
			t.List = deref(n).Kind == yaml.SequenceNode
			t.Aud, err = list(w, n)
			return err
		}}.read(where+":"+p.key, p.node)
		if err != nil {
			return nil, err
		}
		if len(t.Aud) == 0 {
			return nil, fmt.Errorf("%s:%s: aud can't be blank", where, p.key)
		}
		out = append(out, t)
	}
	return out, nil
}

func retry(where string, n *yaml.Node) (Retry, error) {
	r := Retry{}
	number := func(w string, n *yaml.Node) error {
		v, err := strconv.Atoi(n.Value)
		if err != nil || v < 0 || v > 2 {
			return fmt.Errorf("%s: should be a number from 0 to 2", w)
		}
		r.Max = v
		return nil
	}
	if n.Kind == yaml.ScalarNode {
		return r, number(where, n)
	}
	err := section{"max": number, "when": intoList(&r.When), "exit_codes": intoInts(&r.ExitCodes)}.read(where, n)
	return r, err
}

func intoInts(dst *[]int) func(string, *yaml.Node) error {
	return func(w string, n *yaml.Node) (err error) { *dst, err = intList(w, n); return err }
}

func allowFailure(where string, n *yaml.Node) (AllowFailure, error) {
	a := AllowFailure{Set: true}
	if n.Kind == yaml.ScalarNode {
		return a, intoBool(&a.All)(where, n)
	}
	return a, section{"exit_codes": intoInts(&a.ExitCodes)}.read(where, n)
}

func rules(where string, n *yaml.Node) ([]Rule, error) {
	if n.Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("%s: should be an array", where)
	}
	var out []Rule
	for _, item := range n.Content {
		r := Rule{}
		err := section{
			"if": intoString(&r.If), "when": intoString(&r.When), "exists": intoList(&r.Exists),
			"changes": func(w string, n *yaml.Node) error {
				if n.Kind == yaml.MappingNode {
					return section{"paths": intoList(&r.Changes)}.read(w, n)
				}
				return intoList(&r.Changes)(w, n)
			},
			"variables":     func(w string, n *yaml.Node) (err error) { r.Variables, err = variables(w, n); return err },
			"allow_failure": func(w string, n *yaml.Node) error { r.AllowFailure = new(bool); return intoBool(r.AllowFailure)(w, n) },
		}.read(where, deref(item))
		if err != nil {
			return nil, err
		}
		if r.If != "" {
			if _, err := Eval(r.If, func(string) (string, bool) { return "", false }); err != nil {
				return nil, fmt.Errorf("%s: %w", where, err)
			}
		}
		out = append(out, r)
	}
	return out, nil
}

func workflow(dst *[]Rule) section {
	return section{
		"rules":       func(w string, n *yaml.Node) (err error) { *dst, err = rules(w, n); return err },
		"name":        ignore,
		"auto_cancel": ignore,
	}
}
