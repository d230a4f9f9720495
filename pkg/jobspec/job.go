package jobspec

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// Limits on what is accepted from GitLab. They are generous next to GitLab's
// own limits (a .gitlab-ci.yml is at most 1 MiB there) and small next to what
// would hurt a runner.
const (
	// MaxPayload is the largest job payload in bytes.
	MaxPayload = 8 << 20
	// MaxVariables is the largest number of entries in variables[].
	MaxVariables = 10_000
	// MaxScriptLines is the largest number of script lines over all steps.
	MaxScriptLines = 50_000
	// MaxExpansion is how many bytes the references in variables may add in
	// all: without it a payload could ask for terabytes.
	MaxExpansion = 16 << 20
	// DefaultTimeout applies when runner_info.timeout is missing or not
	// positive (runner-api sheet, section 9).
	DefaultTimeout = 7200 * time.Second
	// DefaultAfterScript is the time an after_script has when
	// RUNNER_AFTER_SCRIPT_TIMEOUT says nothing (runner-api sheet, section 9).
	DefaultAfterScript = 5 * time.Minute
)

// Job is the payload of one job. Fields that Towline does not use are not
// decoded; the payload itself is kept beside the decoded form wherever a digest
// of it matters. All pointers and slices may be nil: GitLab sends null freely.
type Job struct {
	ID            int64        `json:"id"`
	Token         string       `json:"token"`
	AllowGitFetch bool         `json:"allow_git_fetch"`
	JobInfo       JobInfo      `json:"job_info"`
	GitInfo       GitInfo      `json:"git_info"`
	RunnerInfo    RunnerInfo   `json:"runner_info"`
	Variables     Variables    `json:"variables"`
	Steps         []Step       `json:"steps"`
	Run           *string      `json:"run"`
	Hooks         []Hook       `json:"hooks"`
	Image         *Image       `json:"image"`
	Services      []Image      `json:"services"`
	Artifacts     []Artifact   `json:"artifacts"`
	Cache         []Cache      `json:"cache"`
	Dependencies  []Dependency `json:"dependencies"`
	Features      Features     `json:"features"`
	PolicyOptions *Policy      `json:"policy_options"`
	// Secrets names the variables that other stores are to be asked for.
	Secrets map[string]json.RawMessage `json:"secrets"`
}

// JobInfo names the job and where it belongs. Name and Stage are free text of
// the pipeline's author; the ids and paths are GitLab's own.
type JobInfo struct {
	Name            string `json:"name"`
	Stage           string `json:"stage"`
	PipelineID      int64  `json:"pipeline_id"`
	ProjectID       int64  `json:"project_id"`
	ProjectName     string `json:"project_name"`
	ProjectFullPath string `json:"project_full_path"`
	NamespaceID     int64  `json:"namespace_id"`
	RootNamespaceID int64  `json:"root_namespace_id"`
	OrganizationID  int64  `json:"organization_id"`
	UserID          int64  `json:"user_id"`
	ScopedUserID    *int64 `json:"scoped_user_id"`
}

// GitInfo says what to check out. RepoURL carries the job token as its
// password and is a secret. Protected is null before GitLab 18.3: null means
// not protected.
type GitInfo struct {
	RepoURL          string   `json:"repo_url"`
	RepoObjectFormat string   `json:"repo_object_format"`
	Ref              string   `json:"ref"`
	SHA              string   `json:"sha"`
	BeforeSHA        string   `json:"before_sha"`
	RefType          string   `json:"ref_type"`
	Refspecs         []string `json:"refspecs"`
	Depth            int      `json:"depth"`
	Protected        *bool    `json:"protected"`
}

// RunnerInfo carries the job timeout in seconds.
type RunnerInfo struct {
	Timeout int64 `json:"timeout"`
}

// Step is one part of the script: "script" (before_script and script joined),
// "release", or "after_script". GitLab's own runner ignores the timeout, when
// and allow_failure that come with a step, and so does Towline.
type Step struct {
	Name   string   `json:"name"`
	Script []string `json:"script"`
}

// Hook is a script that runs inside another stage, for example
// pre_get_sources_script.
type Hook struct {
	Name   string   `json:"name"`
	Script []string `json:"script"`
}

// Image is a container image a job asks for. Towline runs jobs in-process and
// only says in the log that the image is not used.
type Image struct {
	Name  string `json:"name"`
	Alias string `json:"alias"`
	// ExecutorOpts are options for one kind of executor each.
	ExecutorOpts map[string]map[string]json.RawMessage `json:"executor_opts"`
}

// Artifact is one upload a job asks for.
type Artifact struct {
	Name         string   `json:"name"`
	Untracked    bool     `json:"untracked"`
	Paths        []string `json:"paths"`
	Exclude      []string `json:"exclude"`
	When         string   `json:"when"`
	ExpireIn     string   `json:"expire_in"`
	ArtifactType string   `json:"artifact_type"`
	Format       string   `json:"artifact_format"`
}

// Cache is one cache entry a job asks for.
type Cache struct {
	Key          string   `json:"key"`
	Untracked    bool     `json:"untracked"`
	Paths        []string `json:"paths"`
	Policy       string   `json:"policy"`
	When         string   `json:"when"`
	FallbackKeys []string `json:"fallback_keys"`
}

// Dependency is an earlier job whose artifacts a job asks for.
type Dependency struct {
	ID            int64             `json:"id"`
	Name          string            `json:"name"`
	Token         string            `json:"token"`
	ArtifactsFile *DependencyUpload `json:"artifacts_file"`
}

// DependencyUpload describes the artifacts of a dependency; Size is in bytes.
type DependencyUpload struct {
	Filename string `json:"filename"`
	Size     int64  `json:"size"`
}

// Features is what GitLab supports for this job.
type Features struct {
	TraceSections     bool     `json:"trace_sections"`
	TokenMaskPrefixes []string `json:"token_mask_prefixes"`
	FailureReasons    []string `json:"failure_reasons"`
}

// Policy says whether a GitLab pipeline execution policy created the job.
type Policy struct {
	ExecutionPolicyJob bool   `json:"execution_policy_job"`
	PolicyName         string `json:"policy_name"`
	// OverrideAllowed says whether the user's variables count; nil: the policy's
	// come first. Exceptions are the variables of which the opposite holds.
	OverrideAllowed *bool    `json:"policy_variables_override_allowed"`
	Exceptions      []string `json:"policy_variables_override_exceptions"`
}

// Timeout is the job's time limit: runner_info.timeout, or DefaultTimeout.
func (j *Job) Timeout() time.Duration {
	const limit = int64(1<<63-1) / int64(time.Second)
	if s := j.RunnerInfo.Timeout; s > 0 && s < limit {
		return time.Duration(s) * time.Second
	}
	return DefaultTimeout
}

// Debug says whether the job asks for a log that shows everything it does; GitLab
// keeps such logs from people who may not edit the project.
func (j *Job) Debug() bool {
	return j.Variables.Bool("CI_DEBUG_TRACE") || j.Variables.Bool("CI_DEBUG_SERVICES")
}

// Decode reads one job payload. Unknown keys are ignored and every optional key
// may be null, as GitLab's own runner has it (runner-api sheet, section 4). The
// errors name the field and never quote the payload, which holds secrets.
func Decode(payload []byte) (*Job, error) {
	if len(payload) > MaxPayload {
		return nil, fmt.Errorf("job payload of %d bytes is %w", len(payload), ErrTooLarge)
	}
	var j Job
	if err := json.Unmarshal(payload, &j); err != nil {
		return nil, fmt.Errorf("job payload: %w", withoutValue(err))
	}
	if err := j.validate(); err != nil {
		return nil, err
	}
	return &j, nil
}

// ErrTooLarge is what is wrong with a payload over MaxPayload. It is the author of
// the job who can help it.
var ErrTooLarge = fmt.Errorf("over the limit of %d bytes", MaxPayload)

// Identify reads only id and token of a payload that Decode refuses, perhaps
// because it was cut off or is too large, so that the job can still be failed at
// GitLab. It reads no further than needed, keeps nothing else, and returns nil
// when they are not found.
func Identify(payload io.Reader) *Job {
	d := json.NewDecoder(payload)
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	var j Job
	for j.ID == 0 || j.Token == "" {
		key, err := d.Token()
		if err != nil {
			return nil
		}
		switch key {
		case "id":
			err = d.Decode(&j.ID)
		case "token":
			err = d.Decode(&j.Token)
		default:
			err = skip(d)
		}
		if err != nil {
			return nil
		}
	}
	return &j
}

// skip passes over one value, of whatever size, piece by piece.
func skip(d *json.Decoder) error {
	for depth := 0; ; {
		t, err := d.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth <= 0 {
			return nil
		}
	}
}

func (j *Job) validate() error {
	lines := 0
	for _, s := range j.Steps {
		lines += len(s.Script)
	}
	switch {
	case j.ID <= 0:
		return errors.New("job payload: id is missing")
	case j.Token == "":
		return errors.New("job payload: token is missing")
	case len(j.Variables) > MaxVariables:
		return fmt.Errorf("job payload: %d variables are over the limit of %d", len(j.Variables), MaxVariables)
	case lines > MaxScriptLines:
		return fmt.Errorf("job payload: %d script lines are over the limit of %d", lines, MaxScriptLines)
	}
	return nil
}

// withoutValue strips what encoding/json quotes of its input: the text of a
// syntax error may repeat a character of a secret, that of a type error a
// number.
func withoutValue(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return errors.New("not valid JSON at byte " + strconv.FormatInt(syntax.Offset, 10))
	}
	var typ *json.UnmarshalTypeError
	if errors.As(err, &typ) {
		if typ.Field == "" {
			return errors.New("not a JSON object")
		}
		return fmt.Errorf("field %s: want %s", typ.Field, typ.Type)
	}
	return errors.New("not valid JSON")
}
