package job

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/services/runner/internal/cache"
	"github.com/towline/towline/services/runner/internal/inquiry"
	"github.com/towline/towline/services/runner/internal/sandbox"
)

// MaxMessage is the largest message on the process's standard input, in bytes.
const MaxMessage = 16 << 20

// FramesFD is the descriptor on which a job process writes its frames.
const FramesFD = 3

// lengthBytes is the size of the length in front of a message.
const lengthBytes = 4

// Spec is everything a job process is told. It holds secrets (the job token in
// Job, the grant in Kubeconfig and Proxy) and must not be logged.
type Spec struct {
	Job        jobspec.Job    `json:"job"`
	ProjectDir string         `json:"project_dir"` // exists, empty, 0700
	TempDir    string         `json:"temp_dir"`    // exists, empty, 0700, beside ProjectDir
	Kubeconfig string         `json:"kubeconfig"`  // content; becomes TempDir/KUBECONFIG
	Proxy      string         `json:"proxy"`       // the only way out; "" connects directly
	GitCA      string         `json:"git_ca"`      // PEM, optional
	GitLabURL  string         `json:"gitlab_url"`  // for artifacts
	Cache      *cache.Grant   `json:"cache"`       // nil: the runner has none
	Ports      []uint16       `json:"ports"`       // loopback TCP ports the job may connect to
	Sandbox    string         `json:"sandbox"`     // sandbox.ModeEnforce or sandbox.ModeOff
	Toolbox    []string       `json:"toolbox"`     // directories of programs, the first that has a name wins
	Limits     sandbox.Limits `json:"limits"`      // of each process

	RunnerName    string   `json:"runner_name"`
	RunnerVersion string   `json:"runner_version"`
	SystemID      string   `json:"system_id"`
	Hostname      string   `json:"hostname"`
	Preamble      []string `json:"preamble"` // lines of the environment section
	// NoDebugTrace: commands are not shown as they run, whatever the job says.
	NoDebugTrace bool `json:"no_debug_trace"`
	// FeatureFlags are those that the operator has decided, whatever the job says.
	FeatureFlags map[string]bool `json:"feature_flags"`
}

// Ways in which the supervisor stops a job.
const (
	CancelCanceled = "canceled" // somebody cancelled it: after_script still runs
	CancelTimeout  = "timeout"  // the job's time is over: nothing more runs
)

// Control is a later message of the supervisor.
type Control struct {
	Cancel string `json:"cancel,omitempty"` // CancelCanceled or CancelTimeout
	// Proceed answers EventScriptStarted: the start is recorded, and the script
	// may begin.
	Proceed bool `json:"proceed,omitempty"`
	// Reply answers EventQuestion.
	Reply *Reply `json:"reply,omitempty"`
}

// Reply is the answer to the question with the same number.
type Reply struct {
	Number int64          `json:"number"`
	Answer inquiry.Answer `json:"answer"`
}

// States of a Result.
const (
	StateSuccess = "success"
	StateFailed  = "failed"
)

// Failure reasons a job process gives. All but ReasonCanceled are GitLab's own
// words; the supervisor maps ReasonCanceled to what GitLab expects of a job it
// has cancelled.
const (
	ReasonScript        = "script_failure"
	ReasonSystem        = "runner_system_failure"
	ReasonConfiguration = "runner_configuration_error"
	ReasonTimeout       = "job_execution_timeout"
	ReasonCanceled      = "job_canceled"
)

// Result is how a job ended.
type Result struct {
	State         string `json:"state"`
	FailureReason string `json:"failure_reason,omitempty"`
	ExitCode      int    `json:"exit_code,omitempty"`
	Message       string `json:"message,omitempty"` // the text after "Job failed: "
}

// Types of an Event.
const (
	EventScriptStarted = "script_started" // a command is about to run; the process waits for Control.Proceed
	EventResult        = "result"         // the last frame of every job
	EventQuestion      = "question"       // a command asks; Control.Reply answers, if the supervisor will
)

// Event is the content of a frame of KindEvent.
type Event struct {
	Type   string  `json:"type"`
	Result *Result `json:"result,omitempty"`
	// Number and Question belong to EventQuestion.
	Number   int64             `json:"number,omitempty"`
	Question *inquiry.Question `json:"question,omitempty"`
}

// WriteSpec sends the first message of a job process.
func WriteSpec(w io.Writer, s *Spec) error { return writeMessage(w, s) }

// WriteControl sends a later message.
func WriteControl(w io.Writer, c Control) error { return writeMessage(w, c) }

func writeMessage(w io.Writer, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("message to job process: %w", err)
	}
	if len(body) > MaxMessage {
		return fmt.Errorf("message to job process: %d bytes are more than %d", len(body), MaxMessage)
	}
	msg := binary.BigEndian.AppendUint32(make([]byte, 0, lengthBytes+len(body)), uint32(len(body)))
	_, err = w.Write(append(msg, body...))
	return err
}

// readMessage reads one message into v. It returns io.EOF when the supervisor
// closed the pipe between two messages.
func readMessage(r io.Reader, v any) error {
	var head [lengthBytes]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > MaxMessage {
		return fmt.Errorf("message of %d bytes is larger than %d", n, MaxMessage)
	}
	// The length is only a claim: memory grows with what really comes.
	body, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err == nil && len(body) < int(n) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("message: %w", err)
	}
	if err := json.Unmarshal(body, v); err != nil {
		// The error of encoding/json may quote the message, which holds secrets.
		return errors.New("message is not the JSON that was expected")
	}
	return nil
}
