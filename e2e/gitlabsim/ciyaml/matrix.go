package ciyaml

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxMatrix is GitLab's limit of jobs made from one matrix.
const maxMatrix = 200

// matrix reads parallel:matrix: one set of variables for each job to make.
func matrix(where string, n *yaml.Node) (sets [][]Variable, err error) {
	if n.Kind == yaml.ScalarNode {
		return nil, fmt.Errorf("%s: only a matrix is understood here", where)
	}
	return sets, section{"matrix": func(w string, n *yaml.Node) error {
		if n.Kind != yaml.SequenceNode {
			return fmt.Errorf("%s: should be an array", w)
		}
		for _, item := range n.Content {
			more, err := product(w, item)
			if err != nil {
				return err
			}
			sets = append(sets, more...)
		}
		if len(sets) > maxMatrix {
			return fmt.Errorf("%s: generates too many jobs (maximum is %d)", w, maxMatrix)
		}
		return nil
	}}.read(where, n)
}

// product combines every value of every variable of one entry.
func product(where string, n *yaml.Node) ([][]Variable, error) {
	ps, err := pairs(where, n)
	if err != nil {
		return nil, err
	}
	sets := [][]Variable{nil}
	for _, p := range ps {
		values, err := list(where+":"+p.key, p.node)
		if err != nil {
			return nil, err
		}
		if len(sets)*len(values) > maxMatrix {
			return nil, fmt.Errorf("%s: generates too many jobs (maximum is %d)", where, maxMatrix)
		}
		var next [][]Variable
		for _, set := range sets {
			for _, v := range values {
				next = append(next, append(slices.Clone(set), Variable{Key: p.key, Value: v}))
			}
		}
		sets = next
	}
	return sets, nil
}

// expand answers the jobs that a job with a matrix stands for, or the job.
func (j Job) expand() []Job {
	if len(j.Matrix) == 0 {
		return []Job{j}
	}
	var out []Job
	for _, set := range j.Matrix {
		one := j
		one.Matrix = nil
		one.Variables = Override(j.Variables, set)
		var values []string
		for _, v := range set {
			values = append(values, v.Value)
		}
		one.Name = j.Name + ": [" + strings.Join(values, ", ") + "]"
		out = append(out, one)
	}
	return out
}
