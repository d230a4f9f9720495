package agentconfig

import (
	"regexp"
	"strings"

	"github.com/towline/towline/pkg/strictyaml"
)

// audienceKeys say who else hears of an entry: jobs of other projects, and an
// environment in GitLab.
var audienceKeys = keys{
	"jobs":        {Form: strictyaml.List, Elem: fullPath, Unique: ".", Most: maxList},
	"environment": {Form: strictyaml.Text, NonEmpty: true, Check: checkEnvironmentName},
}

func (m *Manifests) readAudience(v *strictyaml.Value) {
	for _, p := range v.Get("jobs").Texts() {
		m.Jobs = append(m.Jobs, strings.Trim(p, "/"))
	}
	m.Environment = v.Get("environment").Text()
}

// maxEnvironment is GitLab's limit.
const maxEnvironment = 255

var environmentName = regexp.MustCompile(`^[A-Za-z0-9_${}. -]([A-Za-z0-9_${}/. -]*[A-Za-z0-9_${}. -])?$`)

// checkEnvironmentName is GitLab's own check.
func checkEnvironmentName(v string) (problem, remedy string) {
	if len(v) <= maxEnvironment && environmentName.MatchString(v) {
		return "", ""
	}
	return "not a name for an environment", "use letters, digits, spaces and -_/$.{}, no slash first or last, at most 255"
}
