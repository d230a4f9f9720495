package forgery

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	sim "github.com/towline/towline/e2e/gitlabsim"
)

// predefined are the variables that GitLab documents, those of other kinds of
// pipelines included. KUBECONFIG is not among them: with one of its own a job
// does not reach the cluster at all, as the tests of the runner's job package show.
const predefined = `CHAT_CHANNEL CHAT_INPUT CHAT_USER_ID CI CI_API_GRAPHQL_URL CI_API_V4_URL CI_BUILDS_DIR CI_COMMIT_AUTHOR CI_COMMIT_BEFORE_SHA
CI_COMMIT_BRANCH CI_COMMIT_DESCRIPTION CI_COMMIT_MESSAGE CI_COMMIT_MESSAGE_IS_TRUNCATED CI_COMMIT_REF_NAME CI_COMMIT_REF_PROTECTED CI_COMMIT_REF_SLUG
CI_COMMIT_SHA CI_COMMIT_SHORT_SHA CI_COMMIT_TAG CI_COMMIT_TAG_MESSAGE CI_COMMIT_TIMESTAMP CI_COMMIT_TITLE CI_CONCURRENT_ID CI_CONCURRENT_PROJECT_ID
CI_CONFIG_PATH CI_DEBUG_SERVICES CI_DEFAULT_BRANCH CI_DEFAULT_BRANCH_SLUG CI_DEPENDENCY_PROXY_DIRECT_GROUP_IMAGE_PREFIX
CI_DEPENDENCY_PROXY_GROUP_IMAGE_PREFIX CI_DEPENDENCY_PROXY_PASSWORD CI_DEPENDENCY_PROXY_SERVER CI_DEPENDENCY_PROXY_USER CI_DEPLOY_FREEZE
CI_DEPLOY_PASSWORD CI_DEPLOY_USER CI_DISPOSABLE_ENVIRONMENT CI_ENVIRONMENT_ACTION CI_ENVIRONMENT_ID CI_ENVIRONMENT_NAME CI_ENVIRONMENT_SLUG
CI_ENVIRONMENT_TIER CI_ENVIRONMENT_URL CI_GITLAB_FIPS_MODE CI_HAS_OPEN_REQUIREMENTS CI_JOB_GROUP_NAME CI_JOB_ID CI_JOB_IMAGE CI_JOB_MANUAL CI_JOB_NAME
CI_JOB_NAME_SLUG CI_JOB_STAGE CI_JOB_STARTED_AT CI_JOB_STATUS CI_JOB_TIMEOUT CI_JOB_TOKEN CI_JOB_URL CI_KUBERNETES_ACTIVE CI_MERGE_REQUEST_APPROVED
CI_MERGE_REQUEST_EVENT_TYPE CI_MERGE_REQUEST_ID CI_MERGE_REQUEST_IID CI_MERGE_REQUEST_PROJECT_ID CI_MERGE_REQUEST_PROJECT_PATH
CI_MERGE_REQUEST_SOURCE_BRANCH_NAME CI_MERGE_REQUEST_SOURCE_PROJECT_ID CI_MERGE_REQUEST_SOURCE_PROJECT_PATH CI_MERGE_REQUEST_TARGET_BRANCH_NAME
CI_MERGE_REQUEST_TARGET_BRANCH_PROTECTED CI_NODE_INDEX CI_NODE_TOTAL CI_OPEN_MERGE_REQUESTS CI_PAGES_DOMAIN CI_PAGES_URL CI_PIPELINE_CREATED_AT
CI_PIPELINE_ID CI_PIPELINE_IID CI_PIPELINE_NAME CI_PIPELINE_SCHEDULE_DESCRIPTION CI_PIPELINE_SOURCE CI_PIPELINE_TRIGGERED CI_PIPELINE_URL
CI_PROJECT_CLASSIFICATION_LABEL CI_PROJECT_DESCRIPTION CI_PROJECT_DIR CI_PROJECT_ID CI_PROJECT_NAME CI_PROJECT_NAMESPACE CI_PROJECT_NAMESPACE_ID
CI_PROJECT_NAMESPACE_SLUG CI_PROJECT_PATH CI_PROJECT_PATH_SLUG CI_PROJECT_REPOSITORY_LANGUAGES CI_PROJECT_ROOT_NAMESPACE CI_PROJECT_TITLE
CI_PROJECT_TOPICS CI_PROJECT_URL CI_PROJECT_VISIBILITY CI_REGISTRY CI_REGISTRY_IMAGE CI_REGISTRY_PASSWORD CI_REGISTRY_USER CI_RELEASE_DESCRIPTION
CI_REPOSITORY_URL CI_RUNNER_DESCRIPTION CI_RUNNER_EXECUTABLE_ARCH CI_RUNNER_ID CI_RUNNER_REVISION CI_RUNNER_SHORT_TOKEN CI_RUNNER_TAGS
CI_RUNNER_VERSION CI_SERVER CI_SERVER_FQDN CI_SERVER_HOST CI_SERVER_NAME CI_SERVER_PORT CI_SERVER_PROTOCOL CI_SERVER_REVISION CI_SERVER_SHELL_SSH_HOST
CI_SERVER_SHELL_SSH_PORT CI_SERVER_TLS_CA_FILE CI_SERVER_TLS_CERT_FILE CI_SERVER_TLS_KEY_FILE CI_SERVER_URL CI_SERVER_VERSION CI_SERVER_VERSION_MAJOR
CI_SERVER_VERSION_MINOR CI_SERVER_VERSION_PATCH CI_SHARED_ENVIRONMENT CI_TEMPLATE_REGISTRY_HOST CI_TRIGGER_SHORT_TOKEN CI_UPSTREAM_JOB_ID
CI_UPSTREAM_PIPELINE_ID CI_UPSTREAM_PROJECT_ID GITLAB_CI GITLAB_FEATURES GITLAB_USER_EMAIL GITLAB_USER_ID GITLAB_USER_LOGIN GITLAB_USER_NAME
TRIGGER_PAYLOAD`

// forged says that the job is another project's, another user's, of a protected
// branch and for another environment.
func forged() []sim.Variable {
	lies := map[string]string{
		"CI_COMMIT_REF_PROTECTED": "true", "CI_ENVIRONMENT_NAME": "production", "CI_ENVIRONMENT_SLUG": "production", "CI_ENVIRONMENT_TIER": "production",
		"CI_PROJECT_PATH": "acme/apps/plain", "CI_PROJECT_ID": "1", "CI_JOB_ID": "1", "CI_PIPELINE_ID": "1", "GITLAB_USER_ID": "1", "GITLAB_USER_LOGIN": "root",
		"CI_COMMIT_BRANCH": "main", "CI_COMMIT_REF_NAME": "main", "CI_DEFAULT_BRANCH": "main", "CI_PROJECT_NAMESPACE": "acme/apps", "CI_SERVER_URL": "http://127.0.0.1:9",
	}
	var out []sim.Variable
	for _, key := range strings.Fields(predefined) {
		value, ok := lies[key]
		if !ok {
			value = "forged"
		}
		out = append(out, sim.Variable{Key: key, Value: value})
	}
	return out
}

// yaml is the variables as a job's section.
func yaml(vars []sim.Variable) string {
	out := "  variables:\n"
	for _, v := range vars {
		out += "    " + v.Key + ": " + strconv.Quote(v.Value) + "\n"
	}
	return out
}

const who = `who:
  stage: deploy
  tags: [production]
  environment: staging
  script: [kubectl auth whoami -o json]
`

// variables checks that who a job is does not depend on its variables, wherever
// its author writes them: the identity is the one that a plain job has.
func variables(t *testing.T, s *site) {
	for _, position := range []string{"plain", "yaml", "project", "pipeline", "dotenv"} {
		t.Run(position, func(t *testing.T) {
			path := "acme/apps/" + position
			pipeline, vars := who, []sim.Variable(nil)
			switch position {
			case "yaml":
				pipeline += yaml(forged())
			case "project":
				for _, v := range forged() {
					must(t, s.gitlab.SetVariable("project:"+path, v))
				}
			case "pipeline":
				vars = forged()
			case "dotenv":
				pipeline += dotenv()
			}
			jobs := s.start(t, path, "main", pipeline, vars...)
			j := s.wait(t, jobs["who"].ID)
			if j.Status != sim.Success {
				t.Fatalf("job is %s (%s):\n%s", j.Status, j.FailureReason, s.log(t, j.ID))
			}
			s.isItself(t, j)
		})
	}
}

// dotenv is a job before that hands the variables on.
func dotenv() string {
	var lines []string
	for _, v := range forged() {
		lines = append(lines, v.Key+"="+v.Value)
	}
	return "before:\n  stage: build\n  tags: [production]\n  script:\n  - |\n    cat > build.env <<'END'\n    " +
		strings.Join(lines, "\n    ") + "\n    END\n  artifacts: {reports: {dotenv: build.env}}\n"
}

// isItself compares who the Kubernetes API says the job is with what GitLab
// knows of it.
func (s *site) isItself(t *testing.T, j sim.Job) {
	t.Helper()
	p, err := s.gitlab.Project(j.Project)
	must(t, err)
	var review struct {
		Status struct {
			UserInfo struct {
				Username string
				Groups   []string
				Extra    map[string][]string
			}
		}
	}
	log := s.log(t, j.ID)
	from, to := strings.Index(log, "\n{"), strings.LastIndex(log, "\n}")
	if from < 0 || to < from {
		t.Fatalf("no identity in the log:\n%s", log)
	}
	must(t, json.Unmarshal([]byte(log[from:to+2]), &review))
	got := review.Status.UserInfo
	if want := fmt.Sprintf("gitlab:ci_job:%d", j.ID); got.Username != want {
		t.Errorf("the job is %s, want %s", got.Username, want)
	}
	groups := []string{"gitlab:ci_job"}
	for _, id := range p.GroupIDs {
		groups = append(groups, fmt.Sprintf("gitlab:group:%d", id), fmt.Sprintf("gitlab:group_env_tier:%d:staging", id))
	}
	groups = append(groups, fmt.Sprintf("gitlab:project:%d", p.ID), fmt.Sprintf("gitlab:project_env:%d:staging", p.ID),
		fmt.Sprintf("gitlab:project_env_tier:%d:staging", p.ID), "system:authenticated")
	if diff := cmp.Diff(groups, got.Groups); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	const extra = "agent.gitlab.com/"
	want := map[string][]string{
		extra + "project_id": {fmt.Sprint(p.ID)}, extra + "ci_job_id": {fmt.Sprint(j.ID)}, extra + "ci_pipeline_id": {fmt.Sprint(j.Pipeline)},
		extra + "username": {"root"}, extra + "environment_slug": {"staging"}, extra + "environment_tier": {"staging"}, extra + "id": {fmt.Sprint(s.opts.AgentID)},
	}
	for key, value := range want {
		if diff := cmp.Diff(value, got.Extra[key]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
	}
}

// strangers lets jobs that may do nothing lie in all positions that they have.
func strangers(t *testing.T, s *site) {
	forge := func(path string) {
		for _, v := range forged() {
			must(t, s.gitlab.SetVariable("project:"+path, v))
		}
	}
	job := func(name, environment string) string {
		return name + ":\n  stage: deploy\n  tags: [production]\n" + environment + "  script:\n  - " + strconv.Quote(leave(name)) + "\n" + yaml(forged())
	}
	t.Run("project", func(t *testing.T) {
		forge(stranger)
		jobs := s.start(t, stranger, "main", job("stranger", "  environment: production\n"), forged()...)
		s.denied(t, s.wait(t, jobs["stranger"].ID), "covers the project "+stranger)
	})
	forge("acme/apps/guarded")
	must(t, s.gitlab.SetProtected("acme/apps/guarded", "main"))
	t.Run("branch", func(t *testing.T) {
		jobs := s.start(t, "acme/apps/guarded", "feature", job("branch", "  environment: production\n"), forged()...)
		s.denied(t, s.wait(t, jobs["branch"].ID), "this one is not protected")
	})
	t.Run("environment", func(t *testing.T) {
		jobs := s.start(t, "acme/apps/guarded", "main", job("elsewhere", "  environment: staging\n"), forged()...)
		s.denied(t, s.wait(t, jobs["elsewhere"].ID), `the name of the environment "staging" could not be verified`)
	})
	t.Run("no environment", func(t *testing.T) {
		jobs := s.start(t, "acme/apps/guarded", "main", job("nowhere", ""), forged()...)
		s.denied(t, s.wait(t, jobs["nowhere"].ID), "GitLab knows no environment for this job")
	})
}
