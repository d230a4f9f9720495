package worker

import (
	"time"

	"github.com/towline/towline/pkg/jobspec"
)

// closing is how long what follows the after_script may take in a cancelled job:
// caches, artifacts, and the end of the process.
const closing = 5 * time.Minute

// graceAfterCancel is how long a job may go on once it is cancelled, after it has
// run for some time: as long as its after_script may, and what follows, but never
// longer than without the cancel.
func graceAfterCancel(j *jobspec.Job, ran time.Duration) time.Duration {
	after, err := time.ParseDuration(j.Variables.Get("RUNNER_AFTER_SCRIPT_TIMEOUT"))
	if err != nil || after <= 0 {
		after = jobspec.DefaultAfterScript // the job's log says what is wrong with it
	}
	limit := j.Timeout()
	return min(min(after, limit)+closing, max(limit-ran, 0)+graceAfterTimeout)
}
