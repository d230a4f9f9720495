package gitlab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"time"

	"github.com/towline/towline/pkg/jobspec"
)

// info describes this runner to GitLab (section 3.1). It goes out with the very
// first call: GitLab stores it at most every 40 minutes.
type info struct {
	Name         string          `json:"name"`
	Version      string          `json:"version"`
	Platform     string          `json:"platform"`
	Architecture string          `json:"architecture"`
	Executor     string          `json:"executor"`
	Shell        string          `json:"shell"`
	Features     map[string]bool `json:"features"`
}

// features lists what Towline always implements, and nothing else: GitLab drops
// jobs that need more (section 3.2).
var features = map[string]bool{
	"variables":                 true,
	"raw_variables":             true,
	"masking":                   true,
	"refspecs":                  true,
	"artifacts":                 true,
	"artifacts_exclude":         true,
	"upload_multiple_artifacts": true,
	"upload_raw_artifacts":      true,
	"return_exit_code":          true,
	"cancelable":                true,
	"cancel_gracefully":         true,
	"trace_reset":               true,
	"trace_checksum":            true,
	"trace_size":                true,
	"multi_build_steps":         true,
}

// cacheFeatures are those of runners that have a cache.
var cacheFeatures = map[string]bool{"cache": true, "fallback_cache_keys": true}

func (c *Client) info() info {
	all := maps.Clone(features)
	if c.cfg.Cache {
		maps.Copy(all, cacheFeatures)
	}
	return info{
		Name: c.cfg.Name, Version: c.cfg.Version, Platform: runtime.GOOS, Architecture: runtime.GOARCH,
		Executor: "kubernetes", Shell: "bash", Features: all,
	}
}

type runnerRequest struct {
	Token      string `json:"token"`
	SystemID   string `json:"system_id"`
	LastUpdate string `json:"last_update,omitempty"`
	Info       info   `json:"info"`
}

func (c *Client) runnerCall(path, lastUpdate string) call {
	token := c.cfg.Token()
	return call{
		method: http.MethodPost, path: path,
		header: map[string]string{"Content-Type": "application/json", "Accept": "application/json", "RUNNER-TOKEN": token},
		body:   jsonBody(runnerRequest{Token: token, SystemID: c.systemID, LastUpdate: lastUpdate, Info: c.info()}),
	}
}

// VerifyOutcome is GitLab's word on the runner token.
type VerifyOutcome int

// Outcomes of Verify.
const (
	VerifyAccepted VerifyOutcome = iota + 1
	VerifyRejected               // the token is wrong, removed or revoked
	VerifyUnknown                // GitLab could not be asked
)

// Verified is the answer to Verify.
type Verified struct {
	Outcome VerifyOutcome
	Expires time.Time // with VerifyAccepted: when the token ends; zero if never, or if GitLab does not say
}

// Verify asks GitLab whether it knows the runner token (section 2.3). why is
// set unless the token is accepted.
func (c *Client) Verify(ctx context.Context) (v Verified, why error) {
	q := c.runnerCall("/runners/verify", "")
	q.once = true
	a, err := c.do(ctx, q)
	if err != nil {
		return Verified{Outcome: VerifyUnknown}, fmt.Errorf("GitLab at %s does not answer (%w); check --gitlab-url, DNS, proxy and network policy", c.base, err)
	}
	switch {
	case a.code == http.StatusOK:
		return Verified{Outcome: VerifyAccepted, Expires: expires(a)}, nil
	case a.code == http.StatusForbidden, a.code == http.StatusUnprocessableEntity:
		return Verified{Outcome: VerifyRejected}, c.rejected(a)
	}
	return Verified{Outcome: VerifyUnknown}, &answerError{fmt.Sprintf("GitLab at %s answers %d to the runner's token check; Towline asks again", c.base, a.code), retryAfter(a.header), true}
}

// expires reads when the token ends. Old servers answer with a mere text, and a
// date of another form is no reason to refuse a good token.
func expires(a *answer) time.Time {
	var body struct {
		At *string `json:"token_expires_at"`
	}
	if !a.isJSON() || json.Unmarshal(a.body, &body) != nil || body.At == nil {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, *body.At)
	if err != nil {
		return time.Time{}
	}
	return at
}

func (c *Client) rejected(a *answer) error {
	return fmt.Errorf("GitLab at %s refuses the runner token (%s): it is wrong, or the runner was removed; create a runner in GitLab (Settings > CI/CD > Runners) and set its glrt- token", c.base, a.message())
}

// RequestOutcome is what a request for a job came to.
type RequestOutcome int

// Outcomes of RequestJob.
const (
	JobReceived RequestOutcome = iota + 1
	BadJob                     // handed out, but the payload cannot be used
	NoJob                      // healthy; ask again
	Conflict                   // healthy; ask again after the usual pause
	Rejected                   // the token is not accepted
	Failed                     // no usable answer; back off
)

// RequestResult is the answer to RequestJob.
type RequestResult struct {
	Outcome    RequestOutcome
	Job        *jobspec.Job  // with JobReceived; with BadJob only id and token, or nil
	Payload    []byte        // its bytes, with JobReceived
	LastUpdate string        // with NoJob: the new cursor, or "" to keep the old
	Held       bool          // with NoJob: the request was held open and ended by a change or by time
	After      time.Duration // what GitLab asked us to wait
	Why        error         // with BadJob, Rejected and Failed
}

// RequestJob asks for one job and waits while GitLab holds the request open
// (section 3). The call is not retried here.
func (c *Client) RequestJob(ctx context.Context, lastUpdate string) RequestResult {
	q := c.runnerCall("/jobs/request", lastUpdate)
	q.once, q.cut, q.timeout, q.limit = true, true, c.cfg.LongPoll+requestTimeout, jobspec.MaxPayload
	a, err := c.do(ctx, q)
	if err != nil {
		return RequestResult{Outcome: Failed, Why: fmt.Errorf("GitLab at %s does not answer (%w); Towline asks again", c.base, err)}
	}
	switch a.code {
	case http.StatusCreated:
		return receivedJob(a)
	case http.StatusNoContent:
		cursor := a.header.Get("X-GitLab-Last-Update")
		return RequestResult{Outcome: NoJob, LastUpdate: cursor, Held: cursor == "" && a.header.Get("Gitlab-Ci-Builds-Polling") == "yes"}
	case http.StatusConflict:
		return RequestResult{Outcome: Conflict}
	case http.StatusForbidden, http.StatusUnprocessableEntity:
		return RequestResult{Outcome: Rejected, Why: c.rejected(a)}
	}
	return RequestResult{Outcome: Failed, After: retryAfter(a.header), Why: fmt.Errorf("GitLab at %s answers %s to the request for a job; Towline asks again", c.base, a.message())}
}

// receivedJob reads a job. What calls itself something else may still be one that
// GitLab has assigned, and then somebody waits for a word on it.
func receivedJob(a *answer) RequestResult {
	if !a.isJSON() {
		if job := jobspec.Identify(bytes.NewReader(a.body)); job != nil {
			return RequestResult{Outcome: BadJob, Job: job, Why: errNotJSON(a.code)}
		}
		return RequestResult{Outcome: Failed, Why: errNotJSON(a.code)}
	}
	r := received(a.body)
	if r.Outcome == BadJob && r.Job == nil {
		r.Job = a.identified
	}
	return r
}

func received(payload []byte) RequestResult {
	job, err := jobspec.Decode(payload)
	if err != nil {
		return RequestResult{Outcome: BadJob, Job: jobspec.Identify(bytes.NewReader(payload)), Why: err}
	}
	return RequestResult{Outcome: JobReceived, Job: job, Payload: payload}
}
