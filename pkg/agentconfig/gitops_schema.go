package agentconfig

import (
	"maps"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/bmatcuk/doublestar/v4"

	"github.com/towline/towline/pkg/strictyaml"
)

// Limits and defaults of gitops; those of the old keys are GitLab's.
const (
	// MaxSyncs is how many entries each list of gitops may have.
	MaxSyncs = 100
	// MaxGlobs is how many globs one entry may have.
	MaxGlobs = 100
	// DefaultGlob is for entries without paths.
	DefaultGlob = "**/*.{yaml,yml,json}"
	// DefaultTimeout is reconcile_timeout and prune_timeout.
	DefaultTimeout = time.Hour
	// DefaultInterval is how often the cluster is compared.
	DefaultInterval = 5 * time.Minute
	// MaxDuration bounds each duration.
	MaxDuration = 24 * time.Hour
	minInterval = 10 * time.Second
	maxList     = 100
)

const perEntry = `give each entry a name of its own with the key "name" (in towline.yaml)`

// gitops is the section in config.yaml: GitLab's keys and no other.
var gitops = &schema{
	Form: strictyaml.Object,
	Keys: keys{
		"manifest_projects": {Form: strictyaml.List, Elem: manifestProject, Unique: "id", Twice: "keep one entry for each project, or move them to towline.yaml, where entries have names"},
		"charts":            {Form: strictyaml.List, Elem: chart, Notice: "GitLab 16.4 and later refuses the whole file because of this key; keep charts in towline.yaml beside it"},
	},
	Notice: "GitLab removed it in 17.0 and may refuse the whole file because of it; the place for it is towline.yaml beside this file",
}

// ownGitOps is the section in towline.yaml.
var ownGitOps = obj(keys{
	"manifest_projects": {Form: strictyaml.List, Elem: ownManifestProject, Most: MaxSyncs},
	"charts":            {Form: strictyaml.List, Elem: ownChart, Most: MaxSyncs},
})

var gitRef = &schema{Form: strictyaml.Object, OneOf: true, Keys: keys{"branch": someText, "tag": someText, "commit": someText}}

// ownGitRef is ref in towline.yaml.
var ownGitRef = &schema{Form: strictyaml.Object, OneOf: true, Keys: keys{
	"branch": someText, "tag": someText, "commit": someText, "semver": {Form: strictyaml.Text, NonEmpty: true, Check: checkVersions, Remedy: versionsRemedy},
}}

var manifestProject = &schema{
	Form: strictyaml.Object,
	Keys: keys{
		"id":                       fullPath,
		"ref":                      gitRef,
		"default_namespace":        namespace,
		"paths":                    {Form: strictyaml.List, Most: MaxGlobs, Elem: &schema{Form: strictyaml.Object, Keys: keys{"glob": {Form: strictyaml.Text, NonEmpty: true, Check: checkGlob}}, Required: []string{"glob"}}},
		"reconcile_timeout":        aDuration,
		"dry_run_strategy":         oneText("none", "client", "server"),
		"prune":                    aBool,
		"prune_timeout":            aDuration,
		"prune_propagation_policy": oneText("orphan", "background", "foreground"),
		"inventory_policy":         oneText("must_match", "adopt_if_no_inventory", "adopt_all"),
	},
	Gone: map[string]string{
		"resource_inclusions": "removed in GitLab 14.0",
		"resource_exclusions": "removed in GitLab 14.0",
	},
}

var ownManifestProject = func() *schema {
	s := *manifestProject
	s.Keys = maps.Clone(manifestProject.Keys)
	maps.Copy(s.Keys, ownKeys)
	maps.Copy(s.Keys, audienceKeys)
	s.Gone = maps.Clone(manifestProject.Gone)
	maps.Copy(s.Gone, map[string]string{
		"branch": "write ref: {branch: ...}", "path": "write paths: [{glob: ...}], or kustomize: {path: ...}", "namespace": `did you mean "default_namespace" or "namespaces"?`,
	})
	return &s
}()

// ownKeys are Towline's additions to an entry of manifest_projects.
var ownKeys = keys{
	"ref":       ownGitRef,
	"name":      {Form: strictyaml.Text, NonEmpty: true, Check: checkEntryName},
	"kustomize": obj(keys{"path": {Form: strictyaml.Text, Check: checkDirectory}, "files": {Form: strictyaml.List, NonEmpty: true, Most: MaxGlobs, Elem: &schema{Form: strictyaml.Text, NonEmpty: true, Check: checkGlob}}}),
	"decrypt":   {Form: strictyaml.Object, Required: []string{"secret"}, Keys: keys{"secret": {Form: strictyaml.Text, NonEmpty: true, Check: checkObjectName}}},
	"verify": {Form: strictyaml.Object, Required: []string{"signers"}, Keys: keys{
		"signers": {Form: strictyaml.List, NonEmpty: true, Unique: ".", Most: maxList, Elem: &schema{Form: strictyaml.Text, NonEmpty: true, Check: checkSigner, Remedy: signerRemedy}},
	}},
	"depends_on": {Form: strictyaml.List, Elem: someText, Unique: ".", Most: maxList},
	"suspend":    aBool,
	"windows": {Form: strictyaml.List, Most: maxList, Elem: &schema{Form: strictyaml.Object, Required: []string{"from", "to"}, Keys: keys{
		"days": {Form: strictyaml.List, Elem: oneText("mon", "tue", "wed", "thu", "fri", "sat", "sun"), Unique: "."},
		"from": {Form: strictyaml.Text, Check: checkClock, Remedy: clockRemedy}, "to": {Form: strictyaml.Text, Check: checkClock, Remedy: clockRemedy}, "zone": {Form: strictyaml.Text, Check: checkZone},
	}}},
	"interval":   aDuration,
	"namespaces": {Form: strictyaml.List, NonEmpty: true, Unique: ".", Most: maxList, Elem: &schema{Form: strictyaml.Text, NonEmpty: true, Check: checkNamespace}},
	"access_as": {
		Form: strictyaml.Object, OneOf: true,
		Keys: keys{"agent": emptyObj, "gitops": emptyObj, "impersonate": impersonate},
		Gone: map[string]string{"ci_job": `a sync is no job; use "gitops", which is the default`},
	},
	"on_invalid":  oneText("stop", "check-first", "skip"),
	"on_conflict": oneText("take", "fail"),
	"prune_when":  oneText("healthy", "applied"),
	"replace":     aBool,
	"ignore": {Form: strictyaml.List, Most: maxList, Elem: &schema{Form: strictyaml.Object, Required: []string{"paths"}, Keys: keys{
		"group": aText, "kind": someText, "namespace": {Form: strictyaml.Text, Check: checkShell}, "name": {Form: strictyaml.Text, Check: checkShell},
		"paths": {Form: strictyaml.List, NonEmpty: true, Most: maxList, Elem: &schema{Form: strictyaml.Text, Check: checkPointer}},
	}}},
	"health": {Form: strictyaml.List, Most: maxList, Elem: &schema{Form: strictyaml.Object, Required: []string{"kind", "healthy"}, Keys: keys{
		"group": aText, "kind": someText, "healthy": anExpression, "failed": anExpression,
	}}},
	"substitute": obj(keys{
		"vars": {Form: strictyaml.Map, Elem: &schema{Form: strictyaml.Scalar}, Most: maxList, Check: checkVariable},
		"from": {Form: strictyaml.List, Most: maxList, Elem: &schema{Form: strictyaml.Object, Required: []string{"kind", "name"}, Keys: keys{
			"kind": oneText("ConfigMap", "Secret"), "name": someText, "optional": aBool,
		}}},
		"gitlab": {Form: strictyaml.Object, Required: []string{"variables"}, Keys: keys{
			"variables":   {Form: strictyaml.List, NonEmpty: true, Unique: ".", Most: maxList, Elem: &schema{Form: strictyaml.Text, Check: checkVariable}},
			"environment": {Form: strictyaml.Text, NonEmpty: true, Check: checkEnvironmentName},
		}},
	}),
}

func checkGlob(v string) (problem, remedy string) {
	if !doublestar.ValidatePattern(strings.TrimPrefix(v, "/")) {
		return "not a pattern", "close each [ and {, or write \\[ for the sign itself"
	}
	return "", ""
}

var entryName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$`)

const maxEntryName = 200

func checkEntryName(v string) (problem, remedy string) {
	if len(v) <= maxEntryName && entryName.MatchString(v) {
		return "", ""
	}
	return "not a name for an entry", "use letters, digits, dots, dashes, underscores and slashes, at most 200"
}

func checkDirectory(v string) (problem, remedy string) {
	clean := path.Clean(strings.TrimPrefix(v, "/"))
	if clean == ".." || strings.HasPrefix(clean, "../") || strings.Contains(v, "\\") {
		return "leads out of the repository", "write the directory from the root of the repository, for example deploy/production"
	}
	return "", ""
}

const versionsRemedy = `write a range of versions in quotes, for example ">=1.2.0 <2" or "~1.4"`

func checkVersions(v string) (problem, remedy string) {
	if _, err := semver.NewConstraint(v); err != nil {
		return "not a range of versions", versionsRemedy
	}
	return "", ""
}

const clockRemedy = `write hours and minutes in quotes, for example "22:00"`

func checkClock(v string) (problem, remedy string) {
	if t, err := time.Parse("15:04", v); err != nil || t.Format("15:04") != v {
		return "not a time of day", clockRemedy
	}
	return "", ""
}

func checkZone(v string) (problem, remedy string) {
	if _, err := time.LoadLocation(v); err != nil || v == "Local" {
		return "not a time zone", "write a name such as Europe/Berlin, or leave it out for UTC"
	}
	return "", ""
}

func checkShell(v string) (problem, remedy string) {
	if _, err := path.Match(v, ""); err != nil {
		return "not a pattern", "close each [, or write \\[ for the sign itself"
	}
	return "", ""
}

func checkPointer(v string) (problem, remedy string) {
	if !strings.HasPrefix(v, "/") || v == "/" {
		return "not the path of a field", "write it from the root with slashes, for example /spec/replicas"
	}
	return "", ""
}

// anExpression is one of CEL; the runner, which knows the language, reads it.
var anExpression = &schema{Form: strictyaml.Text, NonEmpty: true, Check: func(v string) (problem, remedy string) {
	const most = 2000
	if len(v) > most {
		return "longer than 2000 characters", "write it more simply"
	}
	return "", ""
}}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

const maxVariableName = 100

func checkVariable(v string) (problem, remedy string) {
	if len(v) <= maxVariableName && variableName.MatchString(v) {
		return "", ""
	}
	return "not a name for a variable", "use letters, digits and underscores, at most 100, and no digit first"
}
