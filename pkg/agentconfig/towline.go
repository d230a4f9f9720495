package agentconfig

import (
	"regexp"
	"strings"

	"github.com/towline/towline/pkg/strictyaml"
)

// TowlineFileName is the name of our own file beside config.yaml.
const TowlineFileName = "towline.yaml"

// Towline is one towline.yaml: what GitLab's own file has no words for. It
// narrows what config.yaml allows and can never widen it. The zero value
// narrows nothing.
type Towline struct {
	// File is how the file is named in entries, faults and notices.
	File string
	// Refine narrows entries of config.yaml; each one that covers a job counts.
	Refine []Refinement
	// GitOps says what the cluster is kept equal to.
	GitOps GitOps
}

// section is one key at the top of towline.yaml.
type section struct {
	schema *schema
	// read takes over the checked section and reports what a schema cannot
	// express.
	read func(t *Towline, v *strictyaml.Value) strictyaml.Faults
}

// sections are all keys that may stand at the top of towline.yaml.
var sections = map[string]section{
	"refine": {refineSchema, readRefine},
	"gitops": {ownGitOps, readOwnGitOps},
}

var towlineSchema = func() *schema {
	s := obj(keys{})
	for name, sec := range sections {
		s.Keys[name] = sec.schema
	}
	s.Gone = map[string]string{
		"ci_access": "it belongs into config.yaml, beside this file",
		"gitlab":    "connections are settings of the chart",
		"token":     "keep tokens in a Secret, never in a repository",
	}
	return s
}()

// ParseTowline reads a towline.yaml, as Parse reads a config.yaml.
func ParseTowline(name string, content []byte) (*Towline, []strictyaml.Notice, error) {
	root, notices, err := strictyaml.Parse(name, content, towlineSchema, strictyaml.Options{
		MaxBytes: MaxFile, TooLarge: "refine whole groups instead of single projects", NoNull: true,
	})
	if err != nil {
		return nil, notices, err
	}
	t := &Towline{File: name}
	var faults strictyaml.Faults
	for _, p := range root.Pairs() {
		faults = append(faults, sections[p.Name].read(t, p.Value)...)
	}
	if len(faults) > 0 {
		return nil, notices, faults.Sorted()
	}
	return t, notices, nil
}

// Limits on refine.
const (
	// MaxRefinements is how many entries refine may have.
	MaxRefinements = 500
	// MaxRefineItems is how many items one of their lists may have.
	MaxRefineItems = 100
)

// Roles that a job's user can have in its project, as GitLab names them, lowest
// first. Whoever has one has those before it too.
var Roles = []string{"guest", "planner", "reporter", "developer", "maintainer", "owner"}

// several is a list that means something: not empty, without duplicates.
func several(elem *schema) *schema {
	return &schema{Form: strictyaml.List, Elem: elem, NonEmpty: true, Unique: ".", Most: MaxRefineItems}
}

var (
	aPattern   = &schema{Form: strictyaml.Text, NonEmpty: true, Check: checkPattern}
	aPath      = &schema{Form: strictyaml.Text, NonEmpty: true, Want: fullPath.Want, Remedy: fullPath.Remedy, Check: checkPath}
	aRole      = &schema{Form: strictyaml.Text, Values: Roles}
	aUser      = &schema{Form: strictyaml.Text, NonEmpty: true, Check: checkUser, Want: "a user name", Remedy: "put it in quotes, without @"}
	aNamespace = &schema{Form: strictyaml.Text, NonEmpty: true, Check: checkNamespacePattern}
	scope      = &schema{Form: strictyaml.Object, NonEmpty: true, Keys: keys{
		"projects": several(aPath), "groups": several(aPath), "environments": several(aPattern),
		"refs": several(aPattern), "tags": several(aPattern),
	}}
)

// narrowing are the keys of an entry of refine that ask something of a job.
var narrowing = keys{
	"environments": several(aPattern),
	"refs":         several(aPattern),
	"tags":         several(aPattern),
	"roles":        several(aRole),
	"users":        several(aUser),
	"namespaces":   several(aNamespace),
}

var refineSchema = func() *schema {
	entry := obj(keys{"for": scope, "except": scope})
	for name, s := range narrowing {
		entry.Keys[name] = s
	}
	entry.Gone = map[string]string{
		"id": `write for: {projects: [...]} or for: {groups: [...]}`, "projects": `it stands below "for" or "except"`, "groups": `it stands below "for" or "except"`,
		"branches": `did you mean "refs"?`, "protected_branches_only": "it belongs to the entry of config.yaml",
		"access_as": "it belongs to the entry of config.yaml", "default_namespace": "it belongs to the entry of config.yaml",
	}
	return &schema{Form: strictyaml.List, Elem: entry, Most: MaxRefinements}
}()

const maxName = 255 // of a branch, tag or environment in GitLab

func checkPattern(v string) (problem, remedy string) {
	switch {
	case strings.TrimSpace(v) != v || strings.TrimSpace(v) == "":
		return "has space around it", "remove the space"
	case len(v) > maxName:
		return "is too long", "GitLab's names have at most 255 characters"
	case strings.HasPrefix(v, "refs/heads/") || strings.HasPrefix(v, "refs/tags/"):
		return "is a full reference", `write the name only, for example "main"`
	case strings.HasPrefix(v, "/") && strings.HasSuffix(v, "/"):
		return "looks like a regular expression", "in a pattern only * is special; it stands for any text"
	case strings.ContainsAny(v, "$"):
		return "holds a variable", "no variables are expanded in this file"
	}
	return "", ""
}

var projectPath = regexp.MustCompile(`^[^\s/:*\\]+(/[^\s/:*\\]+)*$`)

func checkPath(v string) (problem, remedy string) {
	if projectPath.MatchString(v) {
		return "", ""
	}
	return "not a full path", "write the full path only, without host, slashes at the ends or patterns"
}

func checkUser(v string) (problem, remedy string) {
	if strings.ContainsAny(v, "@ *") {
		return "not a user name", "write the name as in GitLab's profile page, without @"
	}
	return "", ""
}
