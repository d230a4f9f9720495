package syncspec

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/towline/towline/pkg/agentconfig"
)

// Chosen says whether a file of the repository belongs to an entry. Directories that begin with
// a dot never do; a file that two globs choose is a mistake (agent-config sheet,
// section 1.4).
func Chosen(m agentconfig.Manifests, name string) (bool, error) {
	if m.Kustomize != "" {
		inside := len(m.Globs) == 0 || slices.ContainsFunc(m.Globs, func(g string) bool { ok, _ := doublestar.Match(g, name); return ok })
		return inside && !strings.HasPrefix(name, ".git/"), nil
	}
	if chart := m.Chart; chart != nil {
		ofValues := slices.ContainsFunc(chart.Values, func(v agentconfig.ChartValues) bool { return v.File == name && !v.Elsewhere() })
		ofChart := chart.Repository == nil && (chart.Path == "" || strings.HasPrefix(name, chart.Path+"/"))
		return ofValues || ofChart, nil
	}
	dir := path.Dir(name)
	if strings.HasPrefix(dir, ".") && dir != "." || strings.Contains(dir, "/.") {
		return false, nil
	}
	by := ""
	for _, g := range m.Globs {
		if ok, err := doublestar.Match(g, name); err != nil || !ok {
			continue
		}
		if by != "" {
			return false, fmt.Errorf("%s is chosen by two globs, %s and %s; a file may be chosen once", name, by, g)
		}
		by = g
	}
	return by != "", nil
}
