package gitlabsim

import "time"

// Status is a job's or a pipeline's state (18.1).
type Status string

// The states of jobs and pipelines.
const (
	Created   Status = "created"
	Manual    Status = "manual"
	Skipped   Status = "skipped"
	Pending   Status = "pending"
	Running   Status = "running"
	Canceling Status = "canceling"
	Success   Status = "success"
	Failed    Status = "failed"
	Canceled  Status = "canceled"
)

// Final tells whether nothing can change the state any more.
func (s Status) Final() bool {
	return s == Success || s == Failed || s == Canceled || s == Skipped
}

func (s Status) executing() bool { return s == Running || s == Canceling }

// Endpoint names a kind of request in anomalies, calls and faults.
type Endpoint string

// The endpoints of the simulator.
const (
	RunnersVerify    Endpoint = "runners_verify"
	RunnersOther     Endpoint = "runners_other"
	JobsRequest      Endpoint = "jobs_request"
	PatchTrace       Endpoint = "patch_trace"
	PutJob           Endpoint = "put_job"
	UploadArtifact   Endpoint = "artifacts_upload"
	DownloadArtifact Endpoint = "artifacts_download"
	JobAPI           Endpoint = "job"
	AllowedAgents    Endpoint = "allowed_agents"
	EnvironmentsAPI  Endpoint = "environments"
	RawFile          Endpoint = "raw_file"
	ProjectAPI       Endpoint = "project"
	Git              Endpoint = "git"
	JobRouter        Endpoint = "job_router"
	Keys             Endpoint = "keys"
	Other            Endpoint = "other"
)

// Anomaly is one request, or one missing request, of a kind a correct client
// would not cause.
type Anomaly struct {
	At       time.Time `json:"at"`
	Endpoint Endpoint  `json:"endpoint"`
	Job      int64     `json:"job,omitempty"`
	What     string    `json:"what"`
	// Rewind marks a 416 that a client which lost its state may cause (7).
	Rewind bool `json:"rewind,omitempty"`
}

// Event is one point of a job's timeline.
type Event struct {
	At     time.Time `json:"at"`
	What   string    `json:"what"`
	Detail string    `json:"detail,omitempty"`
}

// Call is one request as answered.
type Call struct {
	At       time.Time     `json:"at"`
	Endpoint Endpoint      `json:"endpoint"`
	Job      int64         `json:"job,omitempty"`
	Method   string        `json:"method"`
	Path     string        `json:"path"`
	Status   int           `json:"status"` // 0 = connection dropped
	Took     time.Duration `json:"took"`
}

// User is an account.
type User struct {
	ID       int64  `json:"id"`
	Username string `json:"username"`
	Name     string `json:"name"`
	Email    string `json:"email"`
}

// Project is a project as created.
type Project struct {
	ID            int64   `json:"id"`
	Path          string  `json:"path"`
	DefaultBranch string  `json:"default_branch"`
	GroupIDs      []int64 `json:"group_ids"` // innermost first
	CloneURL      string  `json:"clone_url"`
}

// ProjectOptions describes a new project; groups come from the path.
type ProjectOptions struct {
	Path          string `json:"path"`
	DefaultBranch string `json:"default_branch,omitempty"` // main
	Visibility    string `json:"visibility,omitempty"`     // private
	// JobTokenFrom lists projects whose job tokens may read this one.
	JobTokenFrom []string `json:"job_token_from,omitempty"`
	// Timeout is the project's job timeout in seconds, default 3600.
	Timeout int `json:"timeout,omitempty"`
	// GitDepth is the default clone depth, default 20; negative means 0.
	GitDepth int `json:"git_depth,omitempty"`
}

// Agent is a registered agent.
type Agent struct {
	ID      int64  `json:"id"`
	Name    string `json:"name"`
	Project string `json:"project"`
	Token   string `json:"token"`
}

// RunnerOptions describes a new runner (2.1).
type RunnerOptions struct {
	// Scope is "instance" (default), "group:<path>" or "project:<path>".
	Scope          string   `json:"scope,omitempty"`
	Description    string   `json:"description,omitempty"`
	Tags           []string `json:"tags,omitempty"`
	RunUntagged    bool     `json:"run_untagged,omitempty"`
	Protected      bool     `json:"protected,omitempty"`
	Paused         bool     `json:"paused,omitempty"`
	MaximumTimeout int      `json:"maximum_timeout,omitempty"`
	// FixedToken is the runner's token; empty makes a random one.
	FixedToken string `json:"fixed_token,omitempty"`
}

// Runner is a runner and what it has shown of itself.
type Runner struct {
	ID       int64     `json:"id"`
	Token    string    `json:"token"`
	Deleted  bool      `json:"deleted,omitempty"`
	Managers []Manager `json:"managers"`
	RunnerOptions
}

// Manager is one (runner, system_id) row (2.2).
type Manager struct {
	SystemID    string          `json:"system_id"`
	Version     string          `json:"version"`
	Executor    string          `json:"executor"`
	Features    map[string]bool `json:"features"`
	ContactedAt time.Time       `json:"contacted_at"`
}

// Variable is a CI/CD variable set outside the YAML file (6.1).
type Variable struct {
	Key       string `json:"key"`
	Value     string `json:"value"`
	Masked    bool   `json:"masked,omitempty"`
	Raw       bool   `json:"raw,omitempty"`
	File      bool   `json:"file,omitempty"`
	Protected bool   `json:"protected,omitempty"`
	Hidden    bool   `json:"hidden,omitempty"` // the API never shows the value again
	// Scope is the environments that the variable is for; empty is all.
	Scope string `json:"scope,omitempty"`
}

// AccessTokenOptions describes a personal or project access token.
type AccessTokenOptions struct {
	// User owns the token; with Project set the token acts as a bot instead.
	User    string   `json:"user,omitempty"`
	Project string   `json:"project,omitempty"`
	Scopes  []string `json:"scopes"` // api, read_api, read_repository
	// Level is the role of a project's token; 0 is Maintainer.
	Level int `json:"level,omitempty"`
	// FixedToken is the token; empty makes a random one.
	FixedToken string `json:"fixed_token,omitempty"`
}

// DeployToken is a git-only credential.
type DeployToken struct {
	Username string `json:"username"`
	Token    string `json:"token"`
}

// PipelineOptions starts a pipeline.
type PipelineOptions struct {
	Project   string     `json:"project"`
	Ref       string     `json:"ref"`              // branch or tag, default branch when empty
	User      string     `json:"user,omitempty"`   // root
	Source    string     `json:"source,omitempty"` // push
	Variables []Variable `json:"variables,omitempty"`
}

// Pipeline is a pipeline with its jobs, retried ones included.
type Pipeline struct {
	ID      int64  `json:"id"`
	IID     int64  `json:"iid"`
	Project string `json:"project"`
	Ref     string `json:"ref"`
	SHA     string `json:"sha"`
	Status  Status `json:"status"`
	Jobs    []Job  `json:"jobs"`
}

// Environment is an environment of a project.
type Environment struct {
	ID        int64  `json:"id"`
	Name      string `json:"name"`
	Slug      string `json:"slug"`
	Tier      string `json:"tier"`
	State     string `json:"state"`
	URL       string `json:"external_url"`
	AgentID   int64  `json:"agent_id,omitempty"`
	Namespace string `json:"kubernetes_namespace,omitempty"`
}
