package gitlab

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxPatch is the largest piece of a trace sent at once (section 7).
const MaxPatch = 1 << 20

const maxInterval = 15 * time.Minute

// JobToken is how a job authenticates towards GitLab; it never prints itself.
type JobToken string

// String implements fmt.Stringer without revealing the token.
func (JobToken) String() string { return "[redacted]" }

// GoString hides the token from %#v.
func (JobToken) GoString() string { return "[redacted]" }

// LogValue hides the token from slog.
func (JobToken) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Status is what GitLab says of a job in the Job-Status header of any answer.
type Status string

// Statuses that a runner acts on.
const (
	StatusCanceling Status = "canceling"
	StatusCanceled  Status = "canceled"
	StatusFailed    Status = "failed"
)

// Over says whether the job has ended at GitLab: stop it and send no more.
func (s Status) Over() bool { return s == StatusCanceled || s == StatusFailed }

// PatchOutcome is what sending a piece of the trace came to.
type PatchOutcome int

// Outcomes of PatchTrace.
const (
	PatchAccepted PatchOutcome = iota + 1
	PatchRewind                // send again from Size on
	PatchJobGone               // the job is over at GitLab: abort it
	PatchTooLarge              // something on the way, usually a proxy, takes no piece of this size
	PatchRefused               // GitLab does not take this piece, and gives no hope that it will
	PatchRetry                 // GitLab does not answer, or cannot now: the same piece at the next interval
)

// PatchResult is the answer to PatchTrace.
type PatchResult struct {
	Outcome  PatchOutcome
	Size     int64         // bytes that GitLab holds, with PatchAccepted and PatchRewind
	Interval time.Duration // how often GitLab wants pieces, or 0; with PatchRetry the pause it asked for
	Status   Status
	Why      error
}

// PatchTrace appends data at offset to the job's log at GitLab.
func (c *Client) PatchTrace(ctx context.Context, id int64, token JobToken, offset int64, data []byte, debug bool) PatchResult {
	end := offset + int64(len(data))
	a, err := c.do(ctx, call{
		method: http.MethodPatch, path: fmt.Sprintf("/jobs/%d/trace?debug_trace=%t", id, debug),
		header: map[string]string{
			"Content-Type": "text/plain", "JOB-TOKEN": string(token),
			"Content-Range": fmt.Sprintf("%d-%d", offset, end-1),
		},
		body: data, once: true, timeout: within(len(data)),
	})
	if err != nil {
		return PatchResult{Outcome: PatchRetry, Why: fmt.Errorf("send log: %w", err)}
	}
	r := PatchResult{Status: Status(a.header.Get("Job-Status")), Interval: interval(a.header)}
	switch {
	case a.code == http.StatusForbidden || r.Status.Over():
		r.Outcome = PatchJobGone
	case a.code == http.StatusAccepted:
		r.Outcome, r.Size = PatchAccepted, end
	case a.code == http.StatusRequestedRangeNotSatisfiable:
		r.Outcome, r.Size = PatchRewind, storedSize(a.header)
	default:
		r.Outcome, r.Interval = failedPatch(a.code), asked(a.header)
		r.Why = fmt.Errorf("send log: GitLab answers %s", a.message())
	}
	return r
}

// failedPatch is what an answer that is none of GitLab's to a piece comes to.
// Only what can pass is tried for as long as it takes; the rest, such as the page
// of a proxy, is a refusal, or a job would never come to its end.
func failedPatch(code int) PatchOutcome {
	switch {
	case code == http.StatusRequestEntityTooLarge:
		return PatchTooLarge
	case code == http.StatusConflict, retriable(code): // a lock on the log
		return PatchRetry
	}
	return PatchRefused
}

// storedSize reads "Range: 0-<size>", where the number is one past the last
// byte; unreadable means 0.
func storedSize(h http.Header) int64 {
	_, size, _ := strings.Cut(h.Get("Range"), "-")
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// asked is the pause that GitLab wants, within reason.
func asked(h http.Header) time.Duration { return min(retryAfter(h), maxInterval) }

func interval(h http.Header) time.Duration {
	return min(seconds(h.Get("X-GitLab-Trace-Update-Interval")), maxInterval)
}

// Update is a job's state as reported to GitLab (section 8.1).
type Update struct {
	State         string // running, success or failed
	FailureReason string // with failed
	ExitCode      int    // with failed; 0 is left out
	Checksum      string // crc32:<8 hex> over all bytes of the log, with final states
	Size          int64  // bytes of the log, with final states
}

// UpdateOutcome is what reporting a state came to.
type UpdateOutcome int

// Outcomes of UpdateJob.
const (
	UpdateAccepted UpdateOutcome = iota + 1
	UpdateWait                   // GitLab still stores the log: the same update again after Interval
	UpdateResend                 // GitLab wants the whole log again from the start
	UpdateJobGone                // the job is over at GitLab
	UpdateRetry                  // GitLab does not answer, or cannot now
	UpdateRefused                // GitLab answers, but does not take it
)

// UpdateResult is the answer to UpdateJob.
type UpdateResult struct {
	Outcome  UpdateOutcome
	Interval time.Duration
	Status   Status
	Why      error
}

// timeout is how long GitLab has for the answer. What only keeps a job alive
// comes again soon.
func (u *Update) timeout() time.Duration {
	if u.State == "running" {
		return pulseTimeout
	}
	return reportTimeout
}

type updateRequest struct {
	Info          info    `json:"info"`
	Token         string  `json:"token"`
	State         string  `json:"state"`
	FailureReason string  `json:"failure_reason,omitempty"`
	Checksum      string  `json:"checksum,omitempty"`
	Output        *output `json:"output,omitempty"`
	ExitCode      int     `json:"exit_code,omitempty"`
}

type output struct {
	Checksum string `json:"checksum"`
	Bytesize int64  `json:"bytesize"`
}

// UpdateJob reports a job's state.
func (c *Client) UpdateJob(ctx context.Context, id int64, token JobToken, u Update) UpdateResult {
	body := updateRequest{Info: c.info(), Token: string(token), State: u.State, FailureReason: u.FailureReason, Checksum: u.Checksum, ExitCode: u.ExitCode}
	if u.Checksum != "" {
		body.Output = &output{u.Checksum, u.Size}
	}
	a, err := c.do(ctx, call{
		method: http.MethodPut, path: fmt.Sprintf("/jobs/%d", id),
		header: map[string]string{"Content-Type": "application/json", "Accept": "application/json", "JOB-TOKEN": string(token)},
		body:   jsonBody(body), once: true, timeout: u.timeout(),
	})
	if err != nil {
		return UpdateResult{Outcome: UpdateRetry, Why: fmt.Errorf("report state: %w", err)}
	}
	r := UpdateResult{Status: Status(a.header.Get("Job-Status")), Interval: interval(a.header)}
	switch {
	case a.code == http.StatusForbidden, a.code == http.StatusNotFound:
		r.Outcome = UpdateJobGone
	case r.Status.Over() && (u.State == "running" || a.code != http.StatusOK):
		r.Outcome = UpdateJobGone
	case a.code == http.StatusAccepted:
		r.Outcome = UpdateWait
	case a.code == http.StatusPreconditionFailed:
		r.Outcome = UpdateResend
	case a.code == http.StatusOK:
		r.Outcome = UpdateAccepted
	case retriable(a.code):
		r.Outcome, r.Why, r.Interval = UpdateRetry, fmt.Errorf("report state: GitLab answers %s", a.message()), asked(a.header)
	default:
		r.Outcome, r.Why = UpdateRefused, fmt.Errorf("report state: GitLab answers %s", a.message())
	}
	return r
}
