package ledger

import (
	"encoding/json"
	"fmt"
)

// Result is how a job ended. It is stored sealed, so that nobody who can only
// write to Redis can make a job succeed.
type Result struct {
	State         string `json:"state"`                    // success or failed
	FailureReason string `json:"failure_reason,omitempty"` // with failed: one of the Reason constants
	ExitCode      int    `json:"exit_code,omitempty"`
}

// States of a Result.
const (
	Success = "success"
	Failed  = "failed"
)

// Reasons for which a job fails, in GitLab's words (runner-api sheet, section
// 8.3). Whatever a script can provoke is ReasonScript, so that it cannot buy
// retries.
const (
	ReasonScript        = "script_failure"
	ReasonSystem        = "runner_system_failure"
	ReasonTimeout       = "job_execution_timeout"
	ReasonConfiguration = "runner_configuration_error"
	ReasonDependency    = "runner_external_dependency_failure"
	ReasonInterrupted   = "runner_interrupted"
	ReasonCanceled      = "job_canceled"
)

// Reasons given to Cancel.
const (
	// CancelGraceful stops the script and lets after_script run.
	CancelGraceful = "canceled"
	// CancelAbort stops everything at once: GitLab has closed the job.
	CancelAbort = "aborted"
)

// Warrant is what a runner needs beside the payload: the grant that policy
// signed, and what the head of the job's log says. It is stored sealed.
type Warrant struct {
	Grant    string   `json:"grant"`
	SystemID string   `json:"system_id,omitempty"` // under which GitLab knows the tunnel
	Preamble []string `json:"preamble,omitempty"`
	// GitLabURL is where the job's artifacts go: the tunnel's own setting, since
	// the payload has it only in variables that a job's author can write.
	GitLabURL string `json:"gitlab_url,omitempty"`
}

// Sealer seals and opens texts for a purpose; *seal.Box is one.
type Sealer interface {
	Seal(plain []byte, purpose string) ([]byte, error)
	Open(sealed []byte, purpose string) ([]byte, error)
}

func purpose(kind string, id int64) string { return fmt.Sprintf("towline/%s:%d", kind, id) }

// SealPayload seals the payload of a job as GitLab sent it.
func SealPayload(s Sealer, id int64, payload []byte) ([]byte, error) {
	return s.Seal(payload, purpose("payload", id))
}

// OpenPayload opens what SealPayload made for the same job.
func OpenPayload(s Sealer, id int64, sealed []byte) ([]byte, error) {
	return s.Open(sealed, purpose("payload", id))
}

// kind names what is sealed. The names are in use by running releases: a text
// sealed under one does not open under another.
func kind(v any) string {
	switch v.(type) {
	case Result:
		return "result"
	case Warrant:
		return "warrant"
	}
	panic(fmt.Sprintf("ledger: %T is never sealed", v))
}

// SealJSON seals a Result or a Warrant of a job.
func SealJSON[T Result | Warrant](s Sealer, id int64, v T) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return s.Seal(b, purpose(kind(v), id))
}

// OpenJSON opens what SealJSON made for the same job and type.
func OpenJSON[T Result | Warrant](s Sealer, id int64, sealed []byte) (T, error) {
	var v T
	b, err := s.Open(sealed, purpose(kind(v), id))
	if err != nil {
		return v, err
	}
	return v, json.Unmarshal(b, &v)
}
