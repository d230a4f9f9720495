package job

import (
	"fmt"
	"slices"

	"github.com/towline/towline/pkg/jobspec"
)

// Expander resolves the variables of a job in texts, as its process does.
func Expander(spec *Spec) func([]string) []string { return newEnvironment(spec, nil).expanded }

// expanded resolves $NAME and ${NAME} in texts.
func (e *environment) expanded(items []string) []string {
	list := slices.Clone(e.vars)
	base := len(list)
	for i, item := range items {
		list = append(list, jobspec.Variable{Key: fmt.Sprintf("\x00%d", i), Value: item})
	}
	for i := range list[:base] {
		list[i].Raw = true
	}
	var out []string
	for _, v := range list.Expanded(e.path)[base:] {
		out = append(out, v.Value)
	}
	return out
}

func (r *run) expanded(items []string) []string { return r.env.expanded(items) }
