package agentconfig

import (
	"regexp"
	"strings"

	"github.com/towline/towline/pkg/strictyaml"
)

// Refinement is one entry of refine. All entries that cover a job count, each
// one asks what it lists, and none gives anything.
type Refinement struct {
	// For says which jobs the entry covers, Except which of them it does not.
	For, Except Scope

	Environments []string // patterns, one of which the job's environment must match
	Refs, Tags   []string // patterns, one of which the job's branch or tag must match
	Roles        []string // one of which the job's user must have in its project
	Users        []string // names, one of which must be the job's user
	Namespaces   []string // the only ones the job may use; may hold placeholders

	File         string // as in Towline.File
	Line, Column int
	Key          string // for example refine[2]
}

// Scope chooses jobs. Each key that it has must fit; the zero value fits all.
type Scope struct {
	Projects, Groups []string // full paths: the project is one of them or inside
	Environments     []string // patterns
	Refs, Tags       []string // patterns: the branch or the tag fits
}

// IsZero says whether the scope has no keys.
func (s Scope) IsZero() bool {
	return len(s.Projects)+len(s.Groups)+len(s.Environments)+len(s.Refs)+len(s.Tags) == 0
}

// CoversProject says whether the scope, as far as it names projects and groups,
// holds the project of that full path.
func (s Scope) CoversProject(path string) bool {
	if len(s.Projects)+len(s.Groups) == 0 {
		return true
	}
	for _, p := range s.Projects {
		if strings.EqualFold(p, path) {
			return true
		}
	}
	for group := parent(path); group != ""; group = parent(group) {
		for _, g := range s.Groups {
			if strings.EqualFold(g, group) {
				return true
			}
		}
	}
	return false
}

// String names the entry and its place, for example `towline.yaml:4: refine[0]`.
func (r Refinement) String() string { return place(r.File, r.Line, r.Key) }

func readRefine(t *Towline, v *strictyaml.Value) strictyaml.Faults {
	var faults strictyaml.Faults
	for _, e := range v.Items() {
		r := Refinement{
			For: readScope(e.Get("for")), Except: readScope(e.Get("except")),
			Environments: e.Get("environments").Texts(), Refs: e.Get("refs").Texts(), Tags: e.Get("tags").Texts(),
			Roles: e.Get("roles").Texts(), Users: e.Get("users").Texts(), Namespaces: e.Get("namespaces").Texts(),
			File: t.File, Key: e.Path(),
		}
		r.Line, r.Column = e.Place()
		if len(r.Environments)+len(r.Refs)+len(r.Tags)+len(r.Roles)+len(r.Users)+len(r.Namespaces) == 0 {
			faults = append(faults, e.Fault("narrows nothing", "add at least one of environments, refs, tags, roles, users, namespaces"))
		}
		t.Refine = append(t.Refine, r)
	}
	return faults
}

func readScope(v *strictyaml.Value) Scope {
	return Scope{
		Projects: v.Get("projects").Texts(), Groups: v.Get("groups").Texts(), Environments: v.Get("environments").Texts(),
		Refs: v.Get("refs").Texts(), Tags: v.Get("tags").Texts(),
	}
}

// The placeholders of a namespace in refine.
const (
	PlaceholderEnvironment = "{environment_slug}"
	PlaceholderProject     = "{project_id}"
	PlaceholderRef         = "{ref_slug}"
)

var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

func checkNamespacePattern(v string) (problem, remedy string) {
	for _, p := range placeholder.FindAllString(v, -1) {
		switch p {
		case PlaceholderEnvironment, PlaceholderProject, PlaceholderRef:
		default:
			return "unknown placeholder " + p, "the placeholders are " + PlaceholderEnvironment + ", " + PlaceholderProject + " and " + PlaceholderRef
		}
	}
	if strings.Contains(v, "*") {
		return "not a namespace name", "list the names, or use a placeholder: " + PlaceholderEnvironment + ", " + PlaceholderProject + " or " + PlaceholderRef
	}
	if problem, _ := checkNamespace(placeholder.ReplaceAllString(v, "x")); problem != "" {
		return problem, "use lower-case letters, digits and dashes, at most 63"
	}
	return "", ""
}

// maxSlug is how long GitLab's slugs are at most, in bytes.
const maxSlug = 63

// RefSlug is the name of a branch or tag as GitLab makes CI_COMMIT_REF_SLUG of
// it: lower case, at most 63 bytes, everything but letters and digits a dash,
// none at the ends. Different names may have the same slug.
func RefSlug(ref string) string {
	slug := strings.Map(func(r rune) rune {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') {
			return '-'
		}
		return r
	}, strings.ToLower(ref))
	return strings.Trim(slug[:min(len(slug), maxSlug)], "-")
}
