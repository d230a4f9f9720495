package rules

import (
	"regexp"

	"github.com/towline/towline/pkg/strictyaml"
)

// Limits on rules.
const (
	// MaxFile is the largest file, in bytes; MaxFiles how many a directory has.
	MaxFile  = 128 << 10
	MaxFiles = 32
	// MaxRules is how many rules there may be, in all files together.
	MaxRules = 200
	// MaxExpression and MaxMessage bound the texts of a rule, in bytes.
	MaxExpression = 4096
	MaxMessage    = 500
	// MaxCost is what one expression may cost, in CEL's units, of which a
	// comparison takes one and which take about 20 ns each. What it may cost at
	// worst is estimated when it is read.
	MaxCost = 200_000
	// MaxTotalCost is what all rules together may cost for one decision.
	MaxTotalCost = 1_000_000
)

// Stage is when a rule is asked.
type Stage string

// The stages.
const (
	StageJob     Stage = "job"     // once, before a job is let in
	StageRequest Stage = "request" // for each request to the Kubernetes API
)

// kind is what a rule does.
type kind string

const (
	allow      kind = "allow"
	deny       kind = "deny"
	require    kind = "require"
	namespaces kind = "namespaces"
)

var kinds = []kind{allow, deny, require, namespaces}

var (
	ruleName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)

	expression = &strictyaml.Schema{Form: strictyaml.Scalar, Want: "an expression", Remedy: "write the expression as one text"}

	file = &strictyaml.Schema{
		Form: strictyaml.Object, Required: []string{"rules"},
		Gone: map[string]string{"rule": `did you mean "rules", a list?`},
		Keys: map[string]*strictyaml.Schema{
			"rules": {Form: strictyaml.List, Elem: oneRule, Most: MaxRules, Unique: "name", Twice: "a decision names the rule that made it"},
		},
	}

	oneRule = &strictyaml.Schema{
		Form: strictyaml.Object, Required: []string{"name"},
		Gone: map[string]string{
			"if":                `write "when"`,
			"expression":        `write it under "allow", "deny", "require" or "namespaces"`,
			"validate":          `write "require"`,
			"messageExpression": `a message is a plain text; write "message"`,
		},
		Keys: map[string]*strictyaml.Schema{
			"name":             {Form: strictyaml.Text, NonEmpty: true, Check: checkName},
			"stage":            {Form: strictyaml.Text, Values: []string{string(StageJob), string(StageRequest)}},
			"when":             expression,
			string(allow):      expression,
			string(deny):       expression,
			string(require):    expression,
			string(namespaces): expression,
			"message":          {Form: strictyaml.Text, NonEmpty: true, Check: checkMessage},
		},
	}
)

const maxRuleName = 63

func checkName(value string) (problem, remedy string) {
	if len(value) <= maxRuleName && ruleName.MatchString(value) {
		return "", ""
	}
	return "not a rule's name", "use lower-case letters, digits and dashes, at most 63"
}

func checkMessage(value string) (problem, remedy string) {
	if len(value) <= MaxMessage {
		return "", ""
	}
	return "is too long", "say it in 500 bytes; it ends in one line of a job's log"
}
