package rules

import (
	"slices"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"k8s.io/apimachinery/pkg/util/version"
	apicel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

// conventions is the Kubernetes release whose CEL functions rules have.
var conventions = version.MajorMinor(1, 37)

// maxText, maxList and maxGroups are what costs are estimated with: how long a
// text, a list of groups or namespaces, and GitLab's nesting of groups may be.
const (
	maxText   = 1024
	maxList   = 256
	maxGroups = 20
)

var (
	aList = apicel.NewListType(apicel.StringType, maxList)
	nests = apicel.NewListType(apicel.StringType, maxGroups)
	ids   = apicel.NewListType(apicel.IntType, maxGroups)
)

// fields are the names and types of an object's fields.
type fields map[string]*apicel.DeclType

func object(name string, f fields) *apicel.DeclType {
	decl := make(map[string]*apicel.DeclField, len(f))
	for n, t := range f {
		decl[n] = apicel.NewDeclField(n, t, false, nil, nil)
	}
	return apicel.NewObjectType("towline."+name, decl)
}

// variables are what rules may speak of, in both stages. What each means is
// documented in docs/guide/rules.md.
var variables = map[string]*apicel.DeclType{
	"job":         object("Job", fields{"id": apicel.IntType, "name": apicel.StringType, "pipeline_id": apicel.IntType}),
	"project":     object("Project", fields{"id": apicel.IntType, "path": apicel.StringType, "root": apicel.StringType, "group_ids": ids}),
	"groups":      nests,
	"user":        object("User", fields{"id": apicel.IntType, "username": apicel.StringType, "roles": nests, "acts_for": apicel.IntType}),
	"ref":         object("Ref", fields{"name": apicel.StringType, "slug": apicel.StringType, "type": apicel.StringType, "protected": apicel.BoolType}),
	"environment": object("Environment", fields{"name": apicel.StringType, "slug": apicel.StringType, "tier": apicel.StringType}),
	"image":       apicel.StringType,
	"agent":       object("Agent", fields{"id": apicel.IntType, "project": apicel.StringType, "name": apicel.StringType}),
	"identity":    object("Identity", fields{"mode": apicel.StringType, "user": apicel.StringType, "groups": aList}),
	"namespaces":  aList,
	"now":         apicel.TimestampType,
	"id_token": object("IDToken", fields{
		"ref": apicel.StringType, "ref_type": apicel.StringType, "ref_protected": apicel.BoolType,
		"environment": apicel.StringType, "environment_protected": apicel.BoolType, "environment_action": apicel.StringType, "deployment_tier": apicel.StringType,
		"pipeline_source": apicel.StringType, "project_path": apicel.StringType, "job_project_path": apicel.StringType,
		"user_login": apicel.StringType, "user_access_level": apicel.StringType,
	}),
}

// request is known in the stage "request" only.
var request = object("Request", fields{
	"verb": apicel.StringType, "group": apicel.StringType, "version": apicel.StringType, "resource": apicel.StringType,
	"subresource": apicel.StringType, "namespace": apicel.StringType, "name": apicel.StringType, "path": apicel.StringType,
})

// environments are made once: that takes longer than everything else here.
var environments = sync.OnceValues(func() (map[Stage]*cel.Env, error) {
	base := environment.MustBaseEnvSet(conventions)
	out := map[Stage]*cel.Env{}
	for _, stage := range []Stage{StageJob, StageRequest} {
		set, err := base.Extend(declared(stage))
		if err != nil {
			return nil, err
		}
		out[stage] = set.NewExpressionsEnv()
	}
	return out, nil
})

func declared(stage Stage) environment.VersionedOptions {
	o := environment.VersionedOptions{IntroducedVersion: version.MajorMinor(1, 0)}
	add := func(name string, t *apicel.DeclType) {
		o.EnvOptions = append(o.EnvOptions, cel.Variable(name, t.CelType()))
		if t.IsObject() {
			o.DeclTypes = append(o.DeclTypes, t)
		}
	}
	for name, t := range variables {
		add(name, t)
	}
	if stage == StageRequest {
		add("request", request)
	}
	return o
}

// listOfTexts is the type of what a rule with namespaces gives.
var listOfTexts = cel.ListType(types.StringType)

// names are all names that an expression may have, for telling what a wrong one
// was probably meant to be.
func names(stage Stage) []string {
	all := variablesOf(stage)
	var out []string
	for name, t := range all {
		out = append(out, name)
		for field := range t.Fields {
			out = append(out, field)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func variablesOf(stage Stage) map[string]*apicel.DeclType {
	all := map[string]*apicel.DeclType{}
	for name, t := range variables {
		all[name] = t
	}
	if stage == StageRequest {
		all["request"] = request
	}
	return all
}
