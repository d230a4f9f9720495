package pipelines

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	scriptBegins = regexp.MustCompile(`^(Executing "step_script" stage of the job script|Running after_script)`)
	scriptEnds   = regexp.MustCompile(`^(Uploading artifacts for|Saving cache for|Cleaning up project directory)`)
	jobEnds      = regexp.MustCompile(`^(Job succeeded|ERROR: Job failed)`)
)

// scripts keeps what the scripts print and how the job ends; the rest of the
// log is the business of other tests.
func scripts(text string) string {
	var out []string
	inside := false
	for line := range strings.Lines(text) {
		switch {
		case scriptBegins.MatchString(line):
			inside = true
		case scriptEnds.MatchString(line):
			inside = false
		}
		if inside || jobEnds.MatchString(line) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

var variable = []struct {
	is *regexp.Regexp
	as string
}{
	{regexp.MustCompile(`/[^\s:"']*/work/(?:[^/\s]+/)?\d+-\d+/project`), "DIR"},
	{regexp.MustCompile(`/[^\s:"']*/tmp\.[A-Za-z0-9]{6,}`), "TEMPORARY"},
	{regexp.MustCompile(`gitlab:(ci_job|project):\d+`), "gitlab:$1:ID"},
	{regexp.MustCompile(`\b1[6-9]\d{8}\b`), "SECONDS"}, // since 1970
	// How often a rollout reports depends on how fast the cluster is.
	{regexp.MustCompile(`(?m)^Waiting for .*\n`), ""},
	{regexp.MustCompile(`\bid=\d+ responseStatus`), "id=ID responseStatus"},
	{regexp.MustCompile(`(?m)^LAST DEPLOYED: .*`), "LAST DEPLOYED: TIME"},
}

// normal replaces what differs from run to run. Ids of pipelines and jobs stay:
// no project prints one, and small numbers mean other things elsewhere, as a
// file's mode does.
func (a *attempt) normal(text string) string {
	for _, v := range variable {
		text = v.is.ReplaceAllString(text, v.as)
	}
	pairs := []string{a.namespace, token, a.site.gitlab.URL(), "GITLAB"}
	for i, sha := range a.commits {
		n := fmt.Sprint(i + 1)
		pairs = append(pairs, sha, "COMMIT"+n, sha[:8], "SHORT"+n, sha[:7], "ABBREV"+n)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}
