package job

import (
	"fmt"
	"time"

	"github.com/towline/towline/pkg/jobspec"
)

// stageTimeouts reads RUNNER_SCRIPT_TIMEOUT and RUNNER_AFTER_SCRIPT_TIMEOUT
// (section 9). A zero script timeout means that only the job's own limit
// applies.
func stageTimeouts(e *environment, log *logger) (script, after time.Duration) {
	limit := e.spec.Job.Timeout()
	script = stageTimeout(e, log, "RUNNER_SCRIPT_TIMEOUT", limit)
	after = stageTimeout(e, log, "RUNNER_AFTER_SCRIPT_TIMEOUT", limit)
	if after == 0 {
		after = jobspec.DefaultAfterScript
	}
	return script, after
}

func stageTimeout(e *environment, log *logger, name string, limit time.Duration) time.Duration {
	value := e.get(name)
	if value == "" {
		return 0
	}
	d, err := time.ParseDuration(value)
	switch {
	case err != nil:
		log.warn(fmt.Sprintf("Ignoring malformed %s timeout: %s", name, plain(value)))
		return 0
	case d < 0:
		log.warn(fmt.Sprintf("Ignoring relative %s timeout: %s", name, plain(value)))
		return 0
	case d > limit:
		log.warn(fmt.Sprintf("%s timeout: %s is longer than job timeout. Setting to job timeout", name, plain(value)))
		return limit
	}
	return d
}
