package gitlabsim

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

func itoa(v int64) string { return strconv.FormatInt(v, 10) }

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

func (s *Server) registry() string {
	u, err := url.Parse(s.url)
	if err != nil {
		return "registry.example.com"
	}
	return u.Hostname() + ":5050"
}

// persistedVariables is group 1 of the list (6.1).
func (s *Server) persistedVariables(j *job) []item {
	p := j.pipeline.project
	return []item{
		predefined("CI_PIPELINE_ID", itoa(j.pipeline.id)),
		predefined("CI_PIPELINE_URL", s.url+"/"+p.path+"/-/pipelines/"+itoa(j.pipeline.id)),
		predefined("CI_JOB_ID", itoa(j.id)),
		predefined("CI_JOB_URL", s.url+"/"+p.path+"/-/jobs/"+itoa(j.id)),
		{key: "CI_JOB_TOKEN", value: j.token, masked: true},
		predefined("CI_JOB_STARTED_AT", stamp(j.startedAt)),
		predefined("CI_REGISTRY_USER", "gitlab-ci-token"),
		{key: "CI_REGISTRY_PASSWORD", value: j.token, masked: true},
		hidden("CI_REPOSITORY_URL", s.cloneURL(p, "gitlab-ci-token", j.token)),
	}
}

var notSlug = regexp.MustCompile(`[^a-z0-9]`)

// slug is GitLab's reference slug: lower case, dashes, at most 63 characters.
func slug(text string) string {
	out := notSlug.ReplaceAllString(strings.ToLower(text), "-")
	if len(out) > 63 {
		out = out[:63]
	}
	return strings.Trim(out, "-")
}

// jobPredefined is group 4 of the list.
func (s *Server) jobPredefined(j *job) []item {
	out := []item{
		predefined("CI_JOB_NAME", j.spec.Name), predefined("CI_JOB_NAME_SLUG", slug(j.spec.Name)),
		predefined("CI_JOB_GROUP_NAME", j.spec.Name), predefined("CI_JOB_STAGE", j.spec.Stage), predefined("CI_NODE_TOTAL", "1"),
	}
	if j.spec.When == "manual" {
		out = append(out, predefined("CI_JOB_MANUAL", "true"))
	}
	if j.spec.Image != nil {
		out = append(out, predefined("CI_JOB_IMAGE", j.spec.Image.Name))
	}
	if j.env != nil {
		out = append(out, predefined("CI_ENVIRONMENT_NAME", j.env.Name),
			predefined("CI_ENVIRONMENT_ACTION", j.spec.Environment.Action), predefined("CI_ENVIRONMENT_TIER", j.env.Tier))
		if j.spec.Environment.URL != "" {
			out = append(out, predefined("CI_ENVIRONMENT_URL", j.spec.Environment.URL))
		}
	}
	return out
}

// projectPredefined is the project's half of group 5.
func (s *Server) projectPredefined(j *job) []item {
	p := j.pipeline.project
	namespace, _, _ := cutLast(p.path, "/")
	return []item{
		predefined("CI", "true"), predefined("GITLAB_CI", "true"), predefined("GITLAB_FEATURES", ""),
		predefined("CI_PROJECT_ID", itoa(p.id)), predefined("CI_PROJECT_NAME", p.name()), predefined("CI_PROJECT_TITLE", p.name()),
		predefined("CI_PROJECT_DESCRIPTION", ""), predefined("CI_PROJECT_TOPICS", ""),
		predefined("CI_PROJECT_PATH", p.path), predefined("CI_PROJECT_PATH_SLUG", slug(p.path)),
		predefined("CI_PROJECT_NAMESPACE", namespace), predefined("CI_PROJECT_NAMESPACE_ID", itoa(p.group.id)),
		predefined("CI_PROJECT_NAMESPACE_SLUG", slug(namespace)), predefined("CI_PROJECT_ROOT_NAMESPACE", p.group.root().path),
		predefined("CI_PROJECT_URL", s.url+"/"+p.path), predefined("CI_PROJECT_VISIBILITY", p.visibility),
		predefined("CI_PROJECT_REPOSITORY_LANGUAGES", ""), predefined("CI_PROJECT_CLASSIFICATION_LABEL", ""),
		predefined("CI_DEFAULT_BRANCH", p.defaultBranch), predefined("CI_CONFIG_PATH", ".gitlab-ci.yml"),
	}
}

// serverPredefined is the instance's half of group 5.
func (s *Server) serverPredefined() []item {
	u, err := url.Parse(s.url)
	if err != nil {
		u = &url.URL{}
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return []item{
		predefined("CI_API_V4_URL", s.url+"/api/v4"), predefined("CI_API_GRAPHQL_URL", s.url+"/api/graphql"),
		predefined("CI_PAGES_DOMAIN", "example.com"),
		predefined("CI_REGISTRY", s.registry()), predefined("CI_SERVER_HOST", u.Hostname()), predefined("CI_SERVER_NAME", "GitLab"),
		predefined("CI_SERVER_PORT", port), predefined("CI_SERVER_PROTOCOL", u.Scheme), predefined("CI_SERVER_URL", s.url),
		predefined("CI_SERVER_VERSION", "19.4.0-ee"), predefined("CI_SERVER_VERSION_MAJOR", "19"),
		predefined("CI_SERVER_VERSION_MINOR", "4"), predefined("CI_SERVER_VERSION_PATCH", "0"),
		predefined("CI_SERVER_REVISION", "0000000"), predefined("CI_SERVER_FQDN", u.Host),
	}
}

// pipelinePredefined is group 6.
func (s *Server) pipelinePredefined(j *job) []item {
	pl := j.pipeline
	title, rest, _ := strings.Cut(pl.message, "\n")
	out := []item{
		predefined("CI_PIPELINE_IID", itoa(pl.iid)), predefined("CI_PIPELINE_SOURCE", pl.source),
		predefined("CI_PIPELINE_CREATED_AT", stamp(pl.createdAt)), predefined("CI_PIPELINE_NAME", ""),
		predefined("CI_COMMIT_SHA", pl.sha), predefined("CI_COMMIT_SHORT_SHA", pl.sha[:8]), predefined("CI_COMMIT_BEFORE_SHA", pl.beforeSHA),
		predefined("CI_COMMIT_REF_NAME", pl.ref), predefined("CI_COMMIT_REF_SLUG", slug(pl.ref)),
	}
	if pl.tag {
		out = append(out, predefined("CI_COMMIT_TAG", pl.ref), predefined("CI_COMMIT_TAG_MESSAGE", ""))
	} else {
		out = append(out, predefined("CI_COMMIT_BRANCH", pl.ref))
	}
	return append(out,
		predefined("CI_COMMIT_MESSAGE", pl.message), predefined("CI_COMMIT_TITLE", title),
		predefined("CI_COMMIT_DESCRIPTION", strings.TrimSpace(rest)),
		predefined("CI_COMMIT_REF_PROTECTED", strconv.FormatBool(s.protectedRef(pl))),
		predefined("CI_COMMIT_TIMESTAMP", pl.timestamp), predefined("CI_COMMIT_AUTHOR", pl.author),
		predefined("CI_BUILD_REF", pl.sha))
}

// runnerPredefined is group 7.
func (s *Server) runnerPredefined(j *job) []item {
	if j.runner == nil {
		return nil
	}
	tags := j.runner.opts.Tags
	if tags == nil {
		tags = []string{}
	}
	encoded, err := json.Marshal(tags)
	if err != nil {
		encoded = []byte("[]")
	}
	return []item{
		predefined("CI_RUNNER_ID", itoa(j.runner.id)), predefined("CI_RUNNER_DESCRIPTION", j.runner.opts.Description),
		predefined("CI_RUNNER_TAGS", string(encoded)),
	}
}

func cutLast(text, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(text, sep); i >= 0 {
		return text[:i], text[i+len(sep):], true
	}
	return "", text, false
}
