package worker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/towline/towline/pkg/gate"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/joblines"
	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/runner/internal/job"
	"github.com/towline/towline/services/runner/internal/joblog"
	"github.com/towline/towline/services/runner/internal/workdir"
)

// Times of a job's life.
const (
	leaseFor   = 10 * time.Second
	renewEvery = 500 * time.Millisecond // a cancellation is learnt by it
	// deliverWithin is how long trace and result of a finished job wait for a
	// Redis that is away.
	deliverWithin = 15 * time.Minute
	dirMode       = 0o700
)

// assignment is a claimed job; what follows claim is there once its grant has
// been checked.
type assignment struct {
	id      int64
	holder  string // of the lease; of this claim alone
	claim   ledger.Claim
	log     atomic.Pointer[joblog.Log]
	job     *jobspec.Job
	warrant ledger.Warrant
	session *gate.Session
}

// serve brings one queued job to its result.
func (w *Worker) serve(ctx context.Context, id int64, slot int) {
	// Each claim has a holder of its own: were the job given back and claimed by
	// another slot of this runner, this one must not be able to go on with it.
	a := &assignment{id: id, holder: w.ticket(slot) + "/" + rand.Text()}
	var err error
	if a.claim, err = w.Ledger.Claim(ctx, id, a.holder, leaseFor); err != nil {
		if !errors.Is(err, ledger.ErrState) && !errors.Is(err, ledger.ErrUnknown) {
			w.Log.Warn("job not claimed", service.JobID(id), service.Err(err))
		}
		return
	}
	hold := w.keep(ctx, a)
	defer hold.end()
	_ = w.Ledger.Withdraw(ctx, w.ticket(slot))
	if t := a.claim.Ticket; t != "" && t != w.ticket(slot) {
		_ = w.Ledger.Withdraw(ctx, t)
	}
	if err := w.open(ctx, a, hold); err != nil {
		w.decline(ctx, a, err)
		return
	}
	defer a.session.Close()
	delivered := w.execute(ctx, a, hold)
	hold.end()
	if !delivered {
		return // who has the job now needs its grant
	}
	claims := a.session.Claims()
	if err := w.Ledger.Revoke(context.WithoutCancel(ctx), claims.ID, claims.ExpiresAt.Add(grant.Skew)); err != nil {
		w.Log.Warn("grant not revoked; it expires by itself", service.JobID(id), service.Err(err))
	}
}

// open checks that a claimed job is exactly what policy signed. Redis is not
// trusted: whatever does not fit together is refused. What keeps it from being
// checked and passes by itself is waited out while the job is wanted here.
func (w *Worker) open(ctx context.Context, a *assignment, hold *lease) error {
	wanted, end := hold.wanted(ctx)
	defer end()
	err := w.verify(ctx, wanted, a)
	if cause := context.Cause(wanted); err != nil && (errors.Is(cause, errLost) || errors.Is(cause, errCanceled)) {
		return cause
	}
	return err
}

// verify is open; nothing is waited for once wanted ends.
func (w *Worker) verify(ctx, wanted context.Context, a *assignment) error {
	told := func(err error) { w.Log.Warn("job waits to be verified", service.JobID(a.id), service.Err(err)) }
	var payload []byte
	err := w.patience.Wait(wanted, told, func() (err error) {
		payload, err = w.unseal(a)
		return err
	})
	if err != nil {
		return err
	}
	var session *gate.Session
	err = w.patience.Wait(wanted, told, func() (err error) {
		session, err = w.Gate.Open(ctx, a.warrant.Grant) // for as long as the job lasts
		return err
	})
	if err != nil {
		return fmt.Errorf("grant: %w", err)
	}
	if a.job, err = checked(session.Claims(), a.id, payload); err == nil && w.spent.has(session.Claims()) {
		err = errSpent
	}
	if err != nil {
		session.Close()
		return err
	}
	a.session = session
	return nil
}

// unseal opens what the tunnel has sealed.
func (w *Worker) unseal(a *assignment) (payload []byte, err error) {
	if payload, err = ledger.OpenPayload(w.Seal, a.id, a.claim.Payload); err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	if a.warrant, err = ledger.OpenJSON[ledger.Warrant](w.Seal, a.id, a.claim.Grant); err != nil {
		return nil, fmt.Errorf("grant: %w", err)
	}
	return payload, nil
}

// checked is the job of a payload, if that is the one the grant is for.
func checked(c *grant.Claims, id int64, payload []byte) (*jobspec.Job, error) {
	switch {
	case c.Job.ID != id:
		return nil, fmt.Errorf("the grant is for job %d", c.Job.ID)
	case c.PayloadDigest != grant.Digest(payload):
		return nil, errors.New("the grant is for another payload")
	}
	j, err := jobspec.Decode(payload)
	if err == nil && j.ID != id {
		err = fmt.Errorf("the payload is of job %d", j.ID)
	}
	return j, err
}

// decline ends a job that was not opened, unless it is to be had by others.
func (w *Worker) decline(ctx context.Context, a *assignment, why error) {
	switch {
	case errors.Is(why, errLost):
		w.Log.Warn("job dropped: it is over, or another's", service.JobID(a.id))
	case errors.Is(why, errCanceled):
		w.Log.Info("job canceled before it was verified", service.JobID(a.id))
		w.refuse(ctx, a, joblines.Failed(joblines.Job, "canceled"), ledger.ReasonCanceled)
	case ctx.Err() != nil:
		w.Log.Warn("job given back: the runner is shutting down", service.JobID(a.id)) // its lease ends
	default:
		w.Log.Error("job refused: it could not be verified", service.JobID(a.id), service.Err(why))
		text := fmt.Sprintf("Towline could not verify that policy allowed this job (%v); nothing was run", why)
		w.refuse(ctx, a, joblines.Failed(joblines.System, text), job.ReasonSystem)
	}
}

// refuse ends a job of which nothing may run, with a line in its log.
func (w *Worker) refuse(ctx context.Context, a *assignment, line, reason string) {
	log := joblog.New(joblog.Config{Job: a.id, Runner: a.holder, Sink: w.Ledger, Limit: w.LogLimit, Base: a.claim.TraceSize})
	_, _ = io.WriteString(log, line)
	log.Close()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deliverWithin)
	defer cancel()
	w.deliver(ctx, a, log, job.Result{State: job.StateFailed, FailureReason: reason})
}

// execute runs the job and delivers its log and result. False means that the job
// is over, or another's.
func (w *Worker) execute(ctx context.Context, a *assignment, hold *lease) bool {
	began := time.Now()
	dir, err := w.makeDir(a.id)
	defer w.removeDir(a.id, dir)
	log := joblog.New(joblog.Config{
		Job: a.id, Runner: a.holder, Sink: w.Ledger, Limit: w.LogLimit, Base: a.claim.TraceSize,
		Phrases: secrets(a, filepath.Join(dir, tempDir)), Prefixes: a.job.Features.TokenMaskPrefixes,
		Timestamps: joblines.Timestamped(a.job),
	})
	a.log.Store(log)
	duty, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var shipping sync.WaitGroup
	shipping.Go(func() { _ = log.Ship(duty) }) // deliver ships what this one did not

	res := job.Result{State: job.StateFailed, FailureReason: job.ReasonSystem}
	if err != nil {
		_, _ = io.WriteString(log, joblines.Failed(joblines.System, fmt.Sprintf("no directory for the job: %v", err)))
	} else {
		res = (&running{w: w, a: a, log: log, dir: dir, lease: hold}).run(ctx)
	}
	log.Close()
	if hold.isLost() {
		cancel()
		shipping.Wait()
		w.Log.Warn("job stopped: it is over, or another's", service.JobID(a.id))
		return false
	}
	stop := time.AfterFunc(deliverWithin, cancel)
	defer stop.Stop()
	shipping.Wait()
	if !w.deliver(duty, a, log, res) {
		return false
	}
	w.Metrics.finished(res.State, time.Since(began))
	w.Log.Info("job finished", service.KeyJob, a.id, service.KeyProject, a.job.JobInfo.ProjectFullPath,
		"state", res.State, "reason", res.FailureReason, "exit_code", res.ExitCode, "took_ms", time.Since(began).Milliseconds())
	return true
}

// deliver writes the result once the log is complete, and says whether it was
// taken. It keeps trying while Redis is away, or does not know the job.
func (w *Worker) deliver(ctx context.Context, a *assignment, log *joblog.Log, res job.Result) bool {
	sealed, err := ledger.SealJSON(w.Seal, a.id, ledger.Result{State: res.State, FailureReason: res.FailureReason, ExitCode: res.ExitCode})
	if err != nil {
		w.Log.Error("result not sealed", service.JobID(a.id), service.Err(err))
		return false
	}
	again := false
	loop := retry.Policy{Min: 100 * time.Millisecond, Max: 2 * time.Second}
	loop.Loop(ctx, func(ctx context.Context) retry.Result {
		if err = log.Ship(ctx); err != nil {
			return retry.Result{Outcome: retry.Done}
		}
		err = w.Ledger.Finish(ctx, a.id, a.holder, sealed, log.Size())
		switch {
		case errors.Is(err, ledger.ErrUnknown): // the lease announces it again
			log.Rewind()
		case errors.Is(err, ledger.ErrState) && !again: // it may just have been announced, without its log
			again = true
			log.Rewind()
		case err == nil, errors.Is(err, ledger.ErrLost), errors.Is(err, ledger.ErrState):
			return retry.Result{Outcome: retry.Done}
		}
		return retry.Result{Outcome: retry.Failed}
	})
	switch {
	case err == nil:
		return true
	case errors.Is(err, ledger.ErrLost), errors.Is(err, ledger.ErrState):
		w.Log.Warn("result not taken: the job was closed meanwhile", service.JobID(a.id), service.Err(err))
	default:
		w.Log.Error("log and result not delivered", service.JobID(a.id), service.Err(err))
	}
	return false
}

// secrets lists what must never be seen in a job's log: GitLab's masked
// variables as they are and as they expand, and the tokens of GitLab and Towline
// that the job is handed. temp is the directory of its file variables.
func secrets(a *assignment, temp string) []string {
	out := append(a.job.Variables.MaskedValues(), a.job.Token, a.warrant.Grant)
	for _, d := range a.job.Dependencies {
		out = append(out, d.Token)
	}
	path := func(key string) string { return filepath.Join(temp, key) }
	return append(out, a.job.Variables.Expanded(path).MaskedValues()...)
}

func (w *Worker) makeDir(id int64) (string, error) {
	if err := os.MkdirAll(w.Dir, dirMode); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(w.Dir, strconv.FormatInt(id, 10)+"-")
	if err != nil {
		return "", err
	}
	for _, sub := range []string{projectDir, tempDir} {
		if err := os.Mkdir(filepath.Join(dir, sub), dirMode); err != nil {
			return dir, err
		}
	}
	return dir, nil
}

// removeDir removes a job's directory, also where the job has taken the rights
// to do so from itself. Nothing of the job runs any more.
func (w *Worker) removeDir(id int64, dir string) {
	if dir == "" {
		return
	}
	root, err := os.OpenRoot(w.Dir)
	if err == nil {
		err = workdir.RemoveAll(root, filepath.Base(dir))
		_ = root.Close()
	}
	if err != nil {
		w.Log.Error("directory of a job not removed", service.JobID(id), service.Err(err))
	}
}
