package agentconfig

import (
	"regexp"
	"strings"

	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/strictyaml"
)

// schema holds what GitLab's server enforces: KAS turns the YAML into JSON and
// reads that with protojson, which refuses unknown keys, and then applies the
// validation rules of its proto files (agent-config sheet, section 1.1).
type (
	schema = strictyaml.Schema
	keys   = map[string]*schema
)

func obj(k keys) *schema { return &schema{Form: strictyaml.Object, Keys: k} }

func listOf(elem *schema) *schema { return &schema{Form: strictyaml.List, Elem: elem} }

func oneText(values ...string) *schema { return &schema{Form: strictyaml.Text, Values: values} }

var (
	aText     = &schema{Form: strictyaml.Text}
	someText  = &schema{Form: strictyaml.Text, NonEmpty: true}
	aBool     = &schema{Form: strictyaml.Boolean}
	aNumber   = &schema{Form: strictyaml.Number}
	aDuration = &schema{Form: strictyaml.Text, Check: checkSeconds, Want: `a duration like "3600s"`, Remedy: secondsRemedy}
	aScalar   = &schema{Form: strictyaml.Scalar}
	emptyObj  = obj(nil)
	free      = &schema{Form: strictyaml.Anything}
	fullPath  = &schema{
		Form: strictyaml.Text, NonEmpty: true, Want: "a full path",
		Remedy: `ids are full paths in quotes, for example "group/project"`,
	}
	namespace = &schema{Form: strictyaml.Text, Check: checkNamespace}
)

// file is the schema of a whole config.yaml; agent is added by Options.
var file = &schema{
	Form: strictyaml.Object,
	Gone: map[string]string{
		"starboard": `the section was replaced by "container_scanning" in GitLab 16.0`,
		"cilium":    "the section was removed in GitLab 15.0",
		"agent":     "GitLab's server refuses it; keep the agent's token in a Secret",
		"token":     "keep the agent's token in a Secret, never in a repository",
	},
	Keys: keys{
		"ci_access":          ciAccess,
		"user_access":        userAccess,
		"gitops":             gitops,
		"flux":               flux,
		"observability":      observability,
		"container_scanning": containerScanning,
		"remote_development": remoteDevelopment,
	},
}

// agentSection is accepted in local files only.
var agentSection = &schema{
	Form: strictyaml.Object, Keys: keys{"token": someText},
	Notice: "a token in a configuration file is readable by whoever reads the file; a Secret is the place for it, and GitLab's server refuses the section",
}

// onlyOne is where Towline is stricter than GitLab.
const onlyOne = "GitLab would silently use only one of them"

var ciAccess = obj(keys{
	"projects": {Form: strictyaml.List, Elem: accessEntry(true), First: MaxEntries, Unique: "id", Twice: onlyOne},
	"groups":   {Form: strictyaml.List, Elem: accessEntry(true), First: MaxEntries, Unique: "id", Twice: onlyOne},
	"instance": accessEntry(false),
})

func accessEntry(withID bool) *schema {
	e := obj(keys{
		"default_namespace":       namespace,
		"environments":            listOf(someText),
		"protected_branches_only": aBool,
		"resource_management": {
			Form: strictyaml.Object, Keys: keys{"enabled": aBool},
			Notice: "GitLab-managed Kubernetes resources are not made by Towline",
		},
		"access_as": {
			Form: strictyaml.Object, OneOf: true,
			Keys: keys{"agent": emptyObj, "ci_job": emptyObj, "impersonate": impersonate, "ci_user": ciUser},
		},
	})
	e.Gone = map[string]string{
		"environment": `did you mean "environments", a list?`,
		"namespace":   `did you mean "default_namespace"?`,
	}
	if withID {
		e.Keys["id"], e.Required = fullPath, []string{"id"}
	}
	return e
}

// ciUser is in GitLab's design and in none of its versions.
var ciUser = &schema{
	Form:   strictyaml.Object,
	Notice: "only Towline knows ci_user; GitLab's own agent server refuses the whole file because of it, so use it where GitLab's agent does not read this file",
}

var impersonate = &schema{
	Form: strictyaml.Object, Required: []string{"username"},
	Keys: keys{
		"username": someText,
		"uid":      aText,
		"groups":   listOf(someText),
		"extra": listOf(&schema{
			Form: strictyaml.Object, Required: []string{"key", "val"},
			Keys: keys{"key": someText, "val": {Form: strictyaml.List, Elem: someText, NonEmpty: true}},
		}),
	},
}

var userAccess = &schema{
	Form: strictyaml.Object,
	Keys: keys{
		"access_as": {Form: strictyaml.Object, OneOf: true, Keys: keys{"agent": emptyObj, "user": emptyObj}},
		"projects":  userAccessList,
		"groups":    userAccessList,
	},
	Notice: "accepted; people's access comes through GitLab's agent tunnel, pulled jobs do not use it",
}

var userAccessList = &schema{
	Form: strictyaml.List, First: MaxEntries,
	Elem: &schema{Form: strictyaml.Object, Keys: keys{"id": fullPath}, Required: []string{"id"}},
}

const secondsRemedy = `write whole seconds, for example "3600s"`

func checkSeconds(value string) (problem, remedy string) {
	if durationText.MatchString(value) {
		return "", ""
	}
	return "not a duration GitLab reads", secondsRemedy
}

var durationText = regexp.MustCompile(`^-?\d{1,12}(\.\d{1,9})?s$`)

func checkNamespace(value string) (problem, remedy string) {
	if value == "" || grant.IsNamespace(value) {
		return "", ""
	}
	if strings.ContainsAny(value, "$") {
		return "not a namespace name", "GitLab expands no variables in this file"
	}
	return "not a namespace name", "use lower-case letters, digits and dashes, at most 63; GitLab takes any text here, Kubernetes does not"
}
