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
	"github.com/towline/towline/services/runner/internal/apply"
)

// issue is an element of a report in the form that GitLab reads as code quality.
type issue struct {
	Description string   `json:"description"`
	CheckName   string   `json:"check_name"`
	Fingerprint string   `json:"fingerprint"`
	Severity    string   `json:"severity"`
	Location    location `json:"location"`
}

type location struct {
	Path  string `json:"path"`
	Lines lines  `json:"lines"`
}

type lines struct {
	Begin int `json:"begin"`
}

const checkName = "towline-diff"

// Severities in GitLab's words.
const (
	severityInfo    = "info"
	severityMinor   = "minor"
	severityMajor   = "major"
	severityBlocker = "blocker"
)

// Report is the changes as a code quality report.
func (c Changes) Report(m agentconfig.Manifests) ([]byte, error) {
	issues := []issue{}
	add := func(severity, file string, line int, description string) {
		sum := sha256.Sum256([]byte(m.Name + "\x00" + file + "\x00" + description))
		issues = append(issues, issue{
			Description: description, CheckName: checkName, Fingerprint: hex.EncodeToString(sum[:16]), Severity: severity,
			Location: location{Path: place(m, file), Lines: lines{Begin: max(line, 1)}},
		})
	}
	for _, p := range c.Problems {
		add(severityBlocker, p.File, p.Line, p.Text)
	}
	for _, one := range c.Changes {
		switch one.Action {
		case apply.Pruned:
			add(severityMajor, one.File, one.Line, one.Object+" would be deleted")
		case apply.Replaced:
			add(severityMajor, one.File, one.Line, one.Object+" would be deleted and made again")
		case apply.Created:
			add(severityInfo, one.File, one.Line, one.Object+" would be created")
		default:
			add(severityMinor, one.File, one.Line, fmt.Sprintf("%s would be changed: %s", one.Object, strings.Join(one.Fields, ", ")))
		}
	}
	return json.MarshalIndent(issues, "", "  ")
}

// place is a path in the repository: for what kustomize has built its
// kustomization, for what is in no file any more where the entry's files are.
func place(m agentconfig.Manifests, file string) string {
	switch {
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
