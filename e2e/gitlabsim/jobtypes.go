package gitlabsim

import "time"

// Job is everything the simulator knows about one job.
type Job struct {
	ID            int64      `json:"id"`
	Name          string     `json:"name"`
	Stage         string     `json:"stage"`
	Project       string     `json:"project"`
	Pipeline      int64      `json:"pipeline"`
	Status        Status     `json:"status"`
	FailureReason string     `json:"failure_reason,omitempty"`
	ExitCode      *int       `json:"exit_code,omitempty"`
	AllowFailure  bool       `json:"allow_failure,omitempty"`
	Retried       bool       `json:"retried,omitempty"`
	Erased        bool       `json:"erased,omitempty"`
	Token         string     `json:"token"`
	Debug         bool       `json:"debug,omitempty"`
	Runner        int64      `json:"runner,omitempty"`
	SystemID      string     `json:"system_id,omitempty"`
	Environment   string     `json:"environment,omitempty"`
	TraceSize     int64      `json:"trace_size"`
	Checksum      Checksum   `json:"checksum"`
	Artifacts     []Artifact `json:"artifacts,omitempty"`
	Timeline      []Event    `json:"timeline"`
}

// Checksum compares what the final PUT announced with the stored log (8.1).
type Checksum struct {
	Announced     string `json:"announced,omitempty"`
	AnnouncedSize int64  `json:"announced_size,omitempty"`
	Computed      string `json:"computed"`
	Equal         bool   `json:"equal"`
}

// Artifact is one uploaded file.
type Artifact struct {
	Type     string `json:"type"`
	Format   string `json:"format"`
	Filename string `json:"filename"`
	ExpireIn string `json:"expire_in,omitempty"`
	Size     int64  `json:"size"`
	SHA256   string `json:"sha256"`
}

// At answers the time of the first event of that name, zero when there is none.
func (j Job) At(what string) time.Time {
	for _, e := range j.Timeline {
		if e.What == what {
			return e.At
		}
	}
	return time.Time{}
}

// The names of timeline events.
const (
	EventCreated    = "created"
	EventPending    = "pending"
	EventHandedOut  = "handed_out"
	EventFirstPut   = "first_put"
	EventPutRunning = "put_running"
	EventFirstByte  = "first_trace_byte"
	EventPatch      = "patch"
	EventRewind     = "rewind"
	EventArtifact   = "artifact"
	EventFinalPut   = "final_put"
	EventCancel     = "cancel"
	EventFinished   = "finished"
	EventErased     = "erased"
)
