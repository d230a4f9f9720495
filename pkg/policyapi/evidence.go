package policyapi

import (
	"encoding/json"

	"github.com/towline/towline/pkg/agentconfig"
)

// Evidence is what is known of a job.
type Evidence struct {
	Job EvidenceJob `json:"job"`
	// AllowedAgents is GitLab's answer to GET /api/v4/job/allowed_agents,
	// asked with the job's own token; nil when GitLab could not be asked.
	AllowedAgents *AllowedAgents `json:"allowed_agents,omitempty"`
	// EnvironmentName is the name of the environment whose slug is in
	// AllowedAgents, verified against GitLab's environments API; "" unknown.
	EnvironmentName string `json:"environment_name,omitempty"`
	// IDTokens are the ID tokens of the job whose audience names Towline, as
	// they stand in its variables. They are credentials, and nothing that they
	// say counts before policy has verified it.
	IDTokens []string `json:"id_tokens,omitempty"`
	// IDTokenKeys are what GitLab's ID tokens are verified with; nil when there
	// are no IDTokens or GitLab has no keys to give.
	IDTokenKeys *IDTokenKeys `json:"id_token_keys,omitempty"`
	// RequestedAgent is the agent that the job is meant for ("group/project:name").
	// It can only narrow: naming another agent refuses the job.
	RequestedAgent Requested `json:"requested_agent,omitzero"`
	// RequestedNamespace is the namespace that the job would like to begin in.
	// It can only choose among those the job may use.
	RequestedNamespace Requested `json:"requested_namespace,omitzero"`
}

// IDTokenKeys are the issuer and the keys (JWKS) of ID tokens as GitLab gave
// them to the tunnel.
type IDTokenKeys struct {
	Issuer string          `json:"issuer"`
	JWKS   json.RawMessage `json:"jwks"`
}

// Limits on ID tokens.
const (
	MaxIDTokens = 4
	MaxIDToken  = 32 << 10 // bytes of one
	MaxJWKS     = 64 << 10 // bytes of IDTokenKeys.JWKS
)

// IDTokenAudience is what the audience of an ID token names for it to become
// evidence.
const IDTokenAudience = "towline"

// Requested is a wish of the job's author, directly or by way of an environment
// that an earlier job of the author's has set up.
type Requested struct {
	Value  string `json:"value,omitempty"`
	Source Source `json:"source,omitempty"`
}

// Source says where a wish was found, in words for the job's log.
type Source string

// The sources of a Requested.
const (
	FromEnvironment   Source = "environments API"
	FromPipelineFile  Source = ".gitlab-ci.yml"
	FromKubeContext   Source = "KUBE_CONTEXT"
	FromKubeNamespace Source = "KUBE_NAMESPACE"
)

// EvidenceJob is the job as the payload has it. GitLab wrote all of it except
// Name, Ref and Image, which the author did: they may be shown, and rules may
// use them to narrow.
type EvidenceJob struct {
	ID          int64  `json:"id"`
	Name        string `json:"name,omitempty"`
	PipelineID  int64  `json:"pipeline_id,omitempty"`
	ProjectID   int64  `json:"project_id"`
	ProjectPath string `json:"project_path"`
	UserID      int64  `json:"user_id,omitempty"`
	// ScopedUserID is set for composite identities: UserID is then a service
	// account that acts for this person.
	ScopedUserID   *int64 `json:"scoped_user_id,omitempty"`
	TimeoutSeconds int64  `json:"timeout_seconds,omitempty"`
	// Ref is git_info.ref: a ref that exists, under a name that is free text.
	Ref string `json:"ref,omitempty"`
	// RefType is git_info.ref_type: "branch" or "tag".
	RefType string `json:"ref_type,omitempty"`
	// RefProtected is git_info.protected; nil means not protected.
	RefProtected *bool `json:"ref_protected,omitempty"`
	// Image is the name of the job's image as it was written, without variables
	// filled in.
	Image         string `json:"image,omitempty"`
	PayloadDigest string `json:"payload_digest"`
}

// AllowedAgents is GitLab's answer about the job (agent-config sheet, section
// 2.3), with what Towline uses of it.
type AllowedAgents struct {
	JobID     int64 `json:"job_id"`
	ProjectID int64 `json:"project_id"`
	// GroupIDs are the project's group and its ancestors, in GitLab's order.
	GroupIDs []int64 `json:"group_ids,omitempty"`
	User     User    `json:"user"`
	// Environment is nil when the job has none.
	Environment *Environment   `json:"environment,omitempty"`
	Agents      []AllowedAgent `json:"agents,omitempty"`
}

// User is who the job runs for.
type User struct {
	ID       int64    `json:"id"`
	Username string   `json:"username"`
	Roles    []string `json:"roles,omitempty"`
}

// Environment is the job's environment as GitLab stores it.
type Environment struct {
	Slug string `json:"slug"`
	Tier string `json:"tier"`
}

// AllowedAgent is an agent that GitLab would let the job use. On the free tier
// GitLab leaves out those whose entry has access_as, so its absence here means
// nothing.
type AllowedAgent struct {
	ID              int64 `json:"id"`
	ConfigProjectID int64 `json:"config_project_id"`
}

// Configuration is the agent configuration that the tunnel found in GitLab.
type Configuration struct {
	// Source says where: "group/project@<commit>:path".
	Source string `json:"source"`
	// Revision is agentconfig.Files.Revision of Content and Towline.
	Revision string `json:"revision"`
	// Content and Towline are config.yaml and the towline.yaml of the same
	// commit. Both are left out when policy already has the revision.
	Content []byte `json:"content,omitempty"`
	Towline []byte `json:"towline,omitempty"`
	// Faults are why the newest commit is not in force, one line each: what is
	// sent is then the last good one.
	Faults []string `json:"faults,omitempty"`
}

// Files are the configuration's files.
func (c *Configuration) Files() agentconfig.Files {
	return agentconfig.Files{Name: c.Source, Content: c.Content, Towline: c.Towline}
}

// DecideRequest is the body of POST /v1/decide.
type DecideRequest struct {
	Evidence
	Configuration *Configuration `json:"configuration,omitempty"`
}
