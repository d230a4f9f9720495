package agentconfig

import (
	"maps"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"go.yaml.in/yaml/v3"

	"github.com/towline/towline/pkg/strictyaml"
)

// Limits and defaults of gitops.charts.
const (
	// DefaultChartTimeout is timeout, as helm has it.
	DefaultChartTimeout = 5 * time.Minute
	maxChartTimeout     = 6 * time.Hour
	defaultPoll         = time.Minute
	defaultValuesSize   = 1 << 20
	ociScheme           = "oci://"
)

// chart is an entry of gitops.charts as GitLab's agent had it.
var chart = &schema{
	Form: strictyaml.Object, Required: []string{"release_name", "source"},
	Keys: keys{
		"release_name": {Form: strictyaml.Text, NonEmpty: true, Check: checkRelease},
		"source":       {Form: strictyaml.Object, OneOf: true, Keys: keys{"project": chartProject}},
		"namespace":    namespace,
		"max_history":  aboveZero,
		"values":       listOf(&schema{Form: strictyaml.Object, OneOf: true, Keys: chartValues}),
	},
}

var chartProject = &schema{
	Form: strictyaml.Object, Required: []string{"id"},
	Keys: keys{"id": fullPath, "path": aText, "ref": gitRef},
}

var chartValues = keys{
	"inline": free,
	"file": {
		Form: strictyaml.Object, Required: []string{"file"},
		Keys: keys{"project_id": fullPath, "ref": gitRef, "file": someText},
	},
	"url": {
		Form: strictyaml.Object, Required: []string{"url"},
		Keys: keys{"url": {Form: strictyaml.Text, NonEmpty: true, Check: checkValuesURL}, "poll_period": aDuration, "max_file_size": aboveZero},
	},
}

// ownChart is one in towline.yaml.
var ownChart = func() *schema {
	s := *chart
	s.Keys = maps.Clone(chart.Keys)
	maps.Copy(s.Keys, ownChartKeys)
	maps.Copy(s.Keys, audienceKeys)
	s.Gone = map[string]string{
		"repository": "write source: {repository: {url: ..., chart: ...}}", "version": "write source: {repository: {version: ...}}",
		"history": `did you mean "max_history"?`, "post_render": `write kustomize patches under "patches"`,
		"values_from": `write config_map or secret as an item of "values"`, "force_replace": `did you mean "force"?`,
		"path": "write source: {project: {path: ...}}",
	}
	return &s
}()

// ownChartKeys are Towline's additions to an entry of charts.
var ownChartKeys = keys{
	"source": {Form: strictyaml.Object, OneOf: true, Keys: keys{
		"project": {
			Form: strictyaml.Object, Required: []string{"id"},
			Keys: keys{"id": fullPath, "path": aText, "ref": ownGitRef},
		},
		"repository": {Form: strictyaml.Object, Required: []string{"url", "chart"}, Keys: keys{
			"url": {Form: strictyaml.Text, NonEmpty: true, Check: checkRepository}, "chart": {Form: strictyaml.Text, NonEmpty: true, Check: checkChartName},
			"version": {Form: strictyaml.Text, Check: checkVersion, Want: "a version in quotes", Remedy: versionRemedy}, "secret": {Form: strictyaml.Text, NonEmpty: true, Check: checkObjectName},
			"plain_http": aBool,
		}},
	}},
	"values": {Form: strictyaml.List, Most: maxList, Elem: &schema{Form: strictyaml.Object, OneOf: true, Keys: func() keys {
		k := maps.Clone(chartValues)
		k["config_map"], k["secret"] = valuesKey, valuesKey
		return k
	}()}},
	"create_namespace": aBool,
	"wait":             aBool,
	"wait_for_jobs":    aBool,
	"atomic":           aBool,
	"timeout":          aDuration,
	"crds":             oneText("skip", "create", "create-replace"),
	"install":          obj(keys{"on_failure": oneText("none", "uninstall"), "attempts": aboveZero}),
	"upgrade":          obj(keys{"on_failure": oneText("none", "rollback", "uninstall"), "attempts": aboveZero}),
	"force":            aBool,
	"tests":            oneText("skip", "report", "require"),
	"drift":            oneText("off", "report", "correct"),
	"ignore":           ownKeys["ignore"],
	"patches": {Form: strictyaml.List, Most: maxList, Elem: &schema{Form: strictyaml.Object, Required: []string{"patch"}, Keys: keys{
		"patch": {Form: strictyaml.Text, NonEmpty: true, Check: checkPatch},
		"target": {Form: strictyaml.Object, NonEmpty: true, Keys: keys{
			"group": aText, "version": aText, "kind": someText, "name": someText, "namespace": someText, "labels": someText, "annotations": someText,
		}},
	}}},
	"on_removal": oneText("keep", "uninstall"),
	"depends_on": ownKeys["depends_on"],
	"verify":     ownKeys["verify"],
	"suspend":    ownKeys["suspend"],
	"windows":    ownKeys["windows"],
	"interval":   ownKeys["interval"],
	"namespaces": ownKeys["namespaces"],
	"access_as":  ownKeys["access_as"],
}

var valuesKey = &schema{Form: strictyaml.Object, Required: []string{"name"}, Keys: keys{
	"name": {Form: strictyaml.Text, NonEmpty: true, Check: checkObjectName}, "key": someText,
	"target": {Form: strictyaml.Text, NonEmpty: true, Check: checkTarget}, "optional": aBool,
}}

var releaseName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,51}[a-z0-9])?$`)

func checkRelease(v string) (problem, remedy string) {
	if releaseName.MatchString(v) {
		return "", ""
	}
	return "not a name for a release", "use lower-case letters, digits, dots and dashes, at most 53"
}

// checkAddress is about what all addresses have in common.
func checkAddress(v, example string, schemes ...string) (problem, remedy string) {
	u, err := url.Parse(v)
	if err != nil || u.Host == "" || u.Opaque != "" || u.Fragment != "" {
		return "not an address", "write " + example
	}
	for _, s := range schemes {
		if u.Scheme+"://" == s {
			if u.User != nil {
				return "holds a credential", "keep it in a Secret; this file is readable by many"
			}
			return "", ""
		}
	}
	return "not an address that can be fetched", "write " + example
}

func checkValuesURL(v string) (problem, remedy string) {
	return checkAddress(v, "https://values.example.com/shop.yaml", "https://", "http://")
}

func checkRepository(v string) (problem, remedy string) {
	if problem, remedy = checkAddress(v, "https://charts.example.com or oci://registry.example.com/charts", "https://", "http://", ociScheme); problem != "" {
		return problem, remedy
	}
	if strings.Contains(v, "?") {
		return "has a query", "write the address of the directory that holds index.yaml"
	}
	return "", ""
}

func checkChartName(v string) (problem, remedy string) {
	if v != path.Base(v) || strings.HasPrefix(v, ".") || strings.ContainsAny(v, `\:@`) {
		return "not a name of a chart", "write the name alone; the rest of the address belongs into url"
	}
	return "", ""
}

const versionRemedy = `write a version or a range in quotes, for example "1.4.2" or "~1.4"`

func checkVersion(v string) (problem, remedy string) {
	if _, err := semver.NewConstraint(v); err != nil {
		return "neither a version nor a range of versions", versionRemedy
	}
	return "", ""
}

// Lengths are compared beside the patterns here: a bound within a pattern makes
// a program of as many steps, which each process would hold in memory.
var objectName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)

const maxObjectName = 253

func checkObjectName(v string) (problem, remedy string) {
	if len(v) <= maxObjectName && objectName.MatchString(v) {
		return "", ""
	}
	return "not a name of an object", "use lower-case letters, digits, dots and dashes, at most 253"
}

func checkTarget(v string) (problem, remedy string) {
	for part := range strings.SplitSeq(strings.ReplaceAll(v, `\.`, "_"), ".") {
		if part == "" {
			return "not the path of a value", `write keys with dots between, for example ingress.host; \. is a dot in a key`
		}
	}
	return "", ""
}

func checkPatch(v string) (problem, remedy string) {
	const how = "write a part of the object as YAML, or a list of operations such as {op: remove, path: /spec/replicas}"
	var patch any
	if err := yaml.Unmarshal([]byte(v), &patch); err != nil {
		return "not YAML", how
	}
	switch patch.(type) {
	case map[string]any, []any:
		return "", ""
	}
	return "not a patch", how
}

// isOperations says whether a patch that checkPatch has passed is a JSON patch.
func isOperations(patch string) bool {
	var list []any
	return yaml.Unmarshal([]byte(patch), &list) == nil && len(list) > 0
}
