package pipelines

import (
	"fmt"
	"regexp"
	"strings"
)

const scriptBegins = `Executing "step_script" stage of the job script`

// tail leaves out what GitLab's runner prints before the script; the scenarios
// compare that.
func tail(text string) string {
	if at := strings.Index(text, scriptBegins); at >= 0 {
		return text[at:]
	}
	return text
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

// normal replaces what differs from run to run.
func (a *attempt) normal(text string) string {
	for _, v := range variable {
		text = v.is.ReplaceAllString(text, v.as)
	}
	pairs := []string{a.namespace, token, a.site.gitlab.URL(), "GITLAB"}
	for i, sha := range a.commits {
		n := fmt.Sprint(i + 1)
		pairs = append(pairs, sha, "COMMIT"+n, sha[:8], "SHORT"+n, sha[:7], "ABBREV"+n)
	}
	text = strings.NewReplacer(pairs...).Replace(text)
	return regexp.MustCompile(fmt.Sprintf(`\b%d\b`, a.pipeline.ID)).ReplaceAllString(text, "PIPELINE")
}
