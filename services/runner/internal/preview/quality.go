package preview

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/codequality"
	"github.com/towline/towline/services/runner/internal/apply"
)

const checkName = "towline-diff"

// Report is the changes as a code quality report.
func (c Changes) Report(m agentconfig.Manifests) ([]byte, error) {
	issues := []codequality.Issue{}
	add := func(severity, file string, line int, description string) {
		sum := sha256.Sum256([]byte(m.Name + "\x00" + file + "\x00" + description))
		issues = append(issues, codequality.Issue{
			Description: description, CheckName: checkName, Fingerprint: hex.EncodeToString(sum[:16]), Severity: severity,
			Location: codequality.Location{Path: place(m, file), Lines: codequality.Lines{Begin: max(line, 1)}},
		})
	}
	for _, p := range c.Problems {
		add(codequality.Blocker, p.File, p.Line, p.Text)
	}
	for _, one := range c.Changes {
		switch one.Action {
		case apply.Pruned:
			add(codequality.Major, one.File, one.Line, one.Object+" would be deleted")
		case apply.Replaced:
			add(codequality.Major, one.File, one.Line, one.Object+" would be deleted and made again")
		case apply.Created:
			add(codequality.Info, one.File, one.Line, one.Object+" would be created")
		default:
			add(codequality.Minor, one.File, one.Line, fmt.Sprintf("%s would be changed: %s", one.Object, strings.Join(one.Fields, ", ")))
		}
	}
	for _, h := range c.Hooks {
		add(codequality.Info, h.File, 0, h.Text)
	}
	return json.MarshalIndent(issues, "", "  ")
}

// place is a path in the repository: for what kustomize has built its
// kustomization, for what is in no file any more where the entry's files are.
func place(m agentconfig.Manifests, file string) string {
	switch {
	case m.Chart != nil:
		return placeOfChart(*m.Chart, file)
	case m.Kustomize != "":
		return path.Join(m.Kustomize, "kustomization.yaml")
	case file != "":
		return file
	case len(m.Globs) > 0:
		base, _ := doublestar.SplitPattern(m.Globs[0])
		return base
	}
	return "."
}

// placeOfChart is the chart for what is in no file, and for a chart that is
// elsewhere the first file with values.
func placeOfChart(c agentconfig.Chart, file string) string {
	switch {
	case c.Repository == nil && file != "":
		return file
	case c.Repository == nil:
		return path.Join(c.Path, "Chart.yaml")
	}
	for _, v := range c.Values {
		if v.File != "" && !v.Elsewhere() {
			return v.File
		}
	}
	return "."
}
