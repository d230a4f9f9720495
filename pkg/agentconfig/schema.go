package agentconfig

import (
	"regexp"
	"strings"
)

// form is what a value must look like.
type form int

const (
	object form = iota + 1
	list
	text
	boolean
	number // a whole number, quoted or not
	seconds
	scalar // text or number; GitLab's own reading is not verified
	anything
)

// schema describes one place of the file. It holds what GitLab's server
// enforces: KAS turns the YAML into JSON and reads that with protojson, which
// refuses unknown keys, and then applies the validation rules of its proto
// files (agent-config sheet, section 1.1).
type schema struct {
	form     form
	keys     map[string]*schema // of an object
	required []string           // keys an object must have
	oneOf    bool               // an object must have exactly one key
	gone     map[string]string  // keys that never existed or no longer do, and what to do
	elem     *schema            // of a list
	nonEmpty bool               // of a text or a list
	unique   string             // key by which a list's items must differ, ignoring case
	first    int                // only so many items of a list are used
	values   []string           // allowed texts
	check    func(value string) (problem, remedy string)
	notice   string // said when the key is there
}

func obj(keys map[string]*schema) *schema { return &schema{form: object, keys: keys} }

func listOf(elem *schema) *schema { return &schema{form: list, elem: elem} }

func oneText(values ...string) *schema { return &schema{form: text, values: values} }

var (
	aText     = &schema{form: text}
	someText  = &schema{form: text, nonEmpty: true}
	aBool     = &schema{form: boolean}
	aNumber   = &schema{form: number}
	aDuration = &schema{form: seconds}
	aScalar   = &schema{form: scalar}
	emptyObj  = obj(nil)
	free      = &schema{form: anything}
	fullPath  = &schema{form: text, nonEmpty: true}
	namespace = &schema{form: text, check: checkNamespace}
)

// file is the schema of a whole config.yaml; agent is added by Options.
var file = &schema{
	form: object,
	gone: map[string]string{
		"starboard": `the section was replaced by "container_scanning" in GitLab 16.0`,
		"cilium":    "the section was removed in GitLab 15.0",
		"agent":     "GitLab's server refuses it; keep the agent's token in a Secret",
		"token":     "keep the agent's token in a Secret, never in a repository",
	},
	keys: map[string]*schema{
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
	form: object, keys: map[string]*schema{"token": someText},
	notice: "a token in a configuration file is readable by whoever reads the file; a Secret is the place for it",
}

var ciAccess = obj(map[string]*schema{
	"projects": {form: list, elem: accessEntry(true), first: MaxEntries, unique: "id"},
	"groups":   {form: list, elem: accessEntry(true), first: MaxEntries, unique: "id"},
	"instance": accessEntry(false),
})

func accessEntry(withID bool) *schema {
	e := obj(map[string]*schema{
		"default_namespace":       namespace,
		"environments":            listOf(someText),
		"protected_branches_only": aBool,
		"resource_management": {
			form: object, keys: map[string]*schema{"enabled": aBool},
			notice: "GitLab-managed Kubernetes resources are not made by Towline",
		},
		"access_as": {
			form: object, oneOf: true,
			keys: map[string]*schema{"agent": emptyObj, "ci_job": emptyObj, "impersonate": impersonate},
			gone: map[string]string{"ci_user": `GitLab designed it and never made it; use "ci_job"`},
		},
	})
	e.gone = map[string]string{
		"environment": `did you mean "environments", a list?`,
		"namespace":   `did you mean "default_namespace"?`,
	}
	if withID {
		e.keys["id"], e.required = fullPath, []string{"id"}
	}
	return e
}

var impersonate = &schema{
	form: object, required: []string{"username"},
	keys: map[string]*schema{
		"username": someText,
		"uid":      aText,
		"groups":   listOf(someText),
		"extra": listOf(&schema{
			form: object, required: []string{"key", "val"},
			keys: map[string]*schema{"key": someText, "val": {form: list, elem: someText, nonEmpty: true}},
		}),
	},
}

var userAccess = &schema{
	form: object,
	keys: map[string]*schema{
		"access_as": {form: object, oneOf: true, keys: map[string]*schema{"agent": emptyObj, "user": emptyObj}},
		"projects":  userAccessList,
		"groups":    userAccessList,
	},
	notice: "accepted; people's access comes through GitLab's agent tunnel, pulled jobs do not use it",
}

var userAccessList = &schema{
	form: list, first: MaxEntries,
	elem: &schema{form: object, keys: map[string]*schema{"id": fullPath}, required: []string{"id"}},
}

var durationText = regexp.MustCompile(`^-?\d{1,12}(\.\d{1,9})?s$`)

var dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

func checkNamespace(value string) (problem, remedy string) {
	if value == "" || dnsLabel.MatchString(value) {
		return "", ""
	}
	if strings.ContainsAny(value, "$") {
		return "not a namespace name", "GitLab expands no variables in this file"
	}
	return "not a namespace name", "use lower-case letters, digits and dashes, at most 63"
}
