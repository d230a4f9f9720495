package job

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/towline/towline/pkg/joblines"
	"github.com/towline/towline/pkg/jobspec"
)

// Feature flags of GitLab's runner that mean something here, by which a job, or
// the operator, chooses (runner-api sheet, section 6.2).
const (
	// FlagScriptSections: a command of several lines is a collapsed section.
	FlagScriptSections = "FF_SCRIPT_SECTIONS"
	// flagTimestamps: the lines of the log carry timestamps. It is the job's
	// alone, as the tunnel, which writes to the same log, must agree.
	flagTimestamps = "FF_TIMESTAMPS"
)

// featureFlag is a flag as it counts for one job.
type featureFlag struct {
	name      string
	on, usual bool
}

// featureFlags resolves the flags of a job: the operator's word counts more than
// the job's.
func featureFlags(spec *Spec) []featureFlag {
	sections, decided := spec.FeatureFlags[FlagScriptSections]
	if !decided {
		sections = spec.Job.Variables.Bool(FlagScriptSections)
	}
	return []featureFlag{
		{FlagScriptSections, sections, false},
		{flagTimestamps, joblines.Timestamped(&spec.Job), true},
	}
}

// flagVariables are the flags as the script sees them.
func flagVariables(spec *Spec) jobspec.Variables {
	var list jobspec.Variables
	for _, f := range featureFlags(spec) {
		list = append(list, jobspec.Variable{Key: f.name, Value: strconv.FormatBool(f.on), Raw: true})
	}
	return list
}

// printFlags names the flags that are not as usual.
func (r *run) printFlags() {
	var odd []string
	for _, f := range featureFlags(r.spec) {
		if f.on != f.usual {
			odd = append(odd, fmt.Sprintf("%s:%t", f.name, f.on))
		}
	}
	if len(odd) > 0 {
		r.log.println("  feature flags: " + strings.Join(odd, ", "))
	}
}

// sectionPrefix begins the names of the sections of a stage's commands, or is
// empty where they have none.
func (r *run) sectionPrefix(stage string) string {
	if r.log.sections && r.env.vars.Bool(FlagScriptSections) {
		return "section_" + stage + "_"
	}
	return ""
}
