package worker

import (
	"fmt"
	"strings"

	"github.com/towline/towline/pkg/joblines"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/runner/internal/job"
)

// Whom to believe. A job's script runs inside the process that reports how the
// job ended. Once anything of the job's author may have run there, that process
// can claim what it likes; it must not be able to claim a failure that is not
// the script's own, for such failures are tried again at the cost of others. So:
//
//   - before the start was announced, and unless the job has hooks, which run
//     earlier, the process is ours alone and is believed;
//   - afterwards it may report success, a failed script, or a script that took
//     too long. Every other claim, silence, garbage and sudden death count as a
//     failed script;
//   - what the supervisor itself did to the job (timeout, cancellation,
//     shutdown) counts more than anything the process says.

// authored says whether anything of the job's author may have run.
func (r *running) authored() bool {
	for _, h := range r.a.job.Hooks {
		if len(h.Script) > 0 {
			return true
		}
	}
	return r.begun
}

// maxExitCode is the largest exit code there is.
const maxExitCode = 255

// believed is what remains of what the process said.
func (r *running) believed(res job.Result) job.Result {
	if res.State == job.StateSuccess {
		return job.Result{State: job.StateSuccess}
	}
	out := job.Result{State: job.StateFailed, FailureReason: res.FailureReason, ExitCode: res.ExitCode}
	switch res.FailureReason {
	case job.ReasonScript, job.ReasonTimeout:
	case job.ReasonSystem, job.ReasonConfiguration:
		if r.authored() {
			r.w.Log.Warn("a running script does not decide whose fault it is", service.JobID(r.a.id), "claimed", res.FailureReason)
			out.FailureReason = job.ReasonScript
		}
	default:
		out.FailureReason = job.ReasonScript
	}
	if out.ExitCode < 0 || out.ExitCode > maxExitCode {
		out.ExitCode = 1
	}
	return out
}

// died is the result of a job whose process ended without one.
func (r *running) died(err error) job.Result {
	why, code := r.diagnosis(err)
	if r.authored() {
		r.fail(joblines.Job, why)
		return job.Result{State: job.StateFailed, FailureReason: job.ReasonScript, ExitCode: code}
	}
	r.fail(joblines.System, why)
	return job.Result{State: job.StateFailed, FailureReason: job.ReasonSystem}
}

// verdict turns what the process said, and what was done to it, into a result.
func (r *running) verdict(res *job.Result, err error) job.Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kill != nil {
		r.kill.Stop()
	}
	switch {
	case r.end.State == "" && res != nil:
		return r.believed(*res)
	case r.end.State == "":
		return r.died(err)
	case r.end.Message != "": // it took too much
		r.fail(joblines.Job, r.end.Message)
	case res != nil: // the process has said its last words; the reason is ours
	case r.end.FailureReason == job.ReasonTimeout:
		r.fail(joblines.Job, fmt.Sprintf("execution took longer than %s seconds", r.a.job.Timeout()))
	case r.end.FailureReason == ledger.ReasonInterrupted:
		r.fail(joblines.System, "aborted: the runner is shutting down")
	default:
		if r.over > 0 {
			r.log.Printf("%s", strings.TrimSuffix(joblines.Warning(fmt.Sprintf("after_script, caches and artifacts took longer than %s after the cancel; they were stopped", r.over)), "\n"))
		}
		r.fail(joblines.Job, "canceled")
	}
	return r.end
}
