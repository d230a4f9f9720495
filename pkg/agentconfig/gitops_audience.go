package agentconfig

import (
	"strings"

	"github.com/towline/towline/pkg/strictyaml"
)

// audienceKeys say who else hears of an entry: jobs of other projects.
var audienceKeys = keys{
	"jobs": {Form: strictyaml.List, Elem: fullPath, Unique: ".", Most: maxList},
}

func (m *Manifests) readAudience(v *strictyaml.Value) {
	for _, p := range v.Get("jobs").Texts() {
		m.Jobs = append(m.Jobs, strings.Trim(p, "/"))
	}
}
