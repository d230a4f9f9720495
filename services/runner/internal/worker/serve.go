package worker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/towline/towline/pkg/gate"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/runner/internal/job"
	"github.com/towline/towline/services/runner/internal/joblog"
)

// Times of a job's life.
const (
	leaseFor    = 10 * time.Second
	renewEvery  = time.Second
	verifyTries = 5
	// deliverWithin is how long trace and result of a finished job wait for a
	// Redis that is away.
	deliverWithin = 15 * time.Minute
	dirMode       = 0o700
)

// assignment is a claimed job whose grant has been checked.
type assignment struct {
	id      int64
	holder  string // of the lease; of this claim alone
	job     *jobspec.Job
	warrant ledger.Warrant
	claim   ledger.Claim
	session *gate.Session
}

// serve brings one queued job to its result.
func (w *Worker) serve(ctx context.Context, id int64, slot int) {
	// Each claim has a holder of its own: were the job given back and claimed by
	// another slot of this runner, this one must not be able to go on with it.
	holder := w.ticket(slot) + "/" + rand.Text()
	claim, err := w.Ledger.Claim(ctx, id, holder, leaseFor)
	if err != nil {
		if !errors.Is(err, ledger.ErrState) && !errors.Is(err, ledger.ErrUnknown) {
			w.Log.Warn("job not claimed", service.JobID(id), service.Err(err))
		}
		return
	}
	_ = w.Ledger.Withdraw(ctx, w.ticket(slot))
	if claim.Ticket != "" && claim.Ticket != w.ticket(slot) {
		_ = w.Ledger.Withdraw(ctx, claim.Ticket)
	}
	a, err := w.open(ctx, id, holder, claim)
	if err != nil {
		w.Log.Error("job refused: it is not what policy signed", service.JobID(id), service.Err(err))
		w.refuse(ctx, &assignment{id: id, holder: holder, claim: claim}, err)
		return
	}
	defer a.session.Close()
	w.execute(ctx, a)
	claims := a.session.Claims()
	if err := w.Ledger.Revoke(context.WithoutCancel(ctx), claims.ID, claims.ExpiresAt.Time); err != nil {
		w.Log.Warn("grant not revoked; it expires by itself", service.JobID(id), service.Err(err))
	}
}

// open checks that a claimed job is exactly what policy signed. Redis is not
// trusted: whatever does not fit together is refused.
func (w *Worker) open(ctx context.Context, id int64, holder string, c ledger.Claim) (*assignment, error) {
	payload, err := ledger.OpenPayload(w.Seal, id, c.Payload)
	if err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	warrant, err := ledger.OpenJSON[ledger.Warrant](w.Seal, id, c.Grant)
	if err != nil {
		return nil, fmt.Errorf("grant: %w", err)
	}
	var session *gate.Session
	loop := retry.Policy{Min: 200 * time.Millisecond, Max: 2 * time.Second, Attempts: verifyTries}
	loop.Loop(ctx, func(ctx context.Context) retry.Result {
		if session, err = w.Gate.Open(ctx, warrant.Grant); err == nil || !errors.Is(err, grant.ErrKeysUnavailable) {
			return retry.Result{Outcome: retry.Done}
		}
		return retry.Result{Outcome: retry.Failed}
	})
	if err != nil {
		return nil, fmt.Errorf("grant: %w", err)
	}
	claims := session.Claims()
	switch {
	case claims.Job.ID != id:
		err = fmt.Errorf("the grant is for job %d", claims.Job.ID)
	case claims.PayloadDigest != grant.Digest(payload):
		err = errors.New("the grant is for another payload")
	}
	var j *jobspec.Job
	if err == nil {
		j, err = jobspec.Decode(payload)
	}
	if err == nil && j.ID != id {
		err = fmt.Errorf("the payload is of job %d", j.ID)
	}
	if err != nil {
		session.Close()
		return nil, err
	}
	return &assignment{id: id, holder: holder, job: j, warrant: warrant, claim: c, session: session}, nil
}

// refuse ends a job of which nothing may run.
func (w *Worker) refuse(ctx context.Context, a *assignment, why error) {
	log := joblog.New(joblog.Config{Job: a.id, Runner: a.holder, Sink: w.Ledger, Limit: w.LogLimit, Base: a.claim.TraceSize})
	log.Printf("\x1b[31;1mERROR: Job failed (system failure): Towline could not verify that policy allowed this job (%v); nothing was run\x1b[0;m", why)
	log.Close()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deliverWithin)
	defer cancel()
	w.deliver(ctx, a, log, job.Result{State: job.StateFailed, FailureReason: job.ReasonSystem})
}

// execute runs the job and delivers its log and result.
func (w *Worker) execute(ctx context.Context, a *assignment) {
	began := time.Now()
	log := joblog.New(joblog.Config{
		Job: a.id, Runner: a.holder, Sink: w.Ledger, Limit: w.LogLimit, Base: a.claim.TraceSize,
		Phrases: w.secrets(a), Prefixes: a.job.Features.TokenMaskPrefixes,
	})
	duty, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	shipped := make(chan error, 1)
	go func() { shipped <- log.Ship(duty) }()

	dir, err := w.makeDir(a.id)
	if err != nil {
		log.Printf("\x1b[31;1mERROR: Job failed (system failure): no directory for the job: %v\x1b[0;m", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	res := job.Result{State: job.StateFailed, FailureReason: job.ReasonSystem}
	if err == nil {
		r := &running{w: w, a: a, log: log, dir: dir}
		res = r.run(ctx)
		if r.lost {
			cancel()
			w.Log.Warn("job stopped: it is over, or another's", service.JobID(a.id))
			return
		}
	}
	log.Close()
	stop := time.AfterFunc(deliverWithin, cancel)
	defer stop.Stop()
	if err := <-shipped; err != nil {
		w.Log.Error("log not delivered", service.JobID(a.id), service.Err(err))
		return
	}
	w.deliver(duty, a, log, res)
	w.Metrics.finished(res.State, time.Since(began))
	w.Log.Info("job finished", service.KeyJob, a.id, service.KeyProject, a.job.JobInfo.ProjectFullPath,
		"state", res.State, "reason", res.FailureReason, "exit_code", res.ExitCode, "took_ms", time.Since(began).Milliseconds())
}

// deliver writes the result once the log is complete; it keeps trying while
// Redis is away.
func (w *Worker) deliver(ctx context.Context, a *assignment, log *joblog.Log, res job.Result) {
	if err := log.Ship(ctx); err != nil {
		w.Log.Error("log not delivered", service.JobID(a.id), service.Err(err))
		return
	}
	sealed, err := ledger.SealJSON(w.Seal, a.id, ledger.Result{State: res.State, FailureReason: res.FailureReason, ExitCode: res.ExitCode})
	if err != nil {
		w.Log.Error("result not sealed", service.JobID(a.id), service.Err(err))
		return
	}
	loop := retry.Policy{Min: 100 * time.Millisecond, Max: 2 * time.Second}
	loop.Loop(ctx, func(ctx context.Context) retry.Result {
		err := w.Ledger.Finish(ctx, a.id, a.holder, sealed, log.Size())
		switch {
		case err == nil:
			return retry.Result{Outcome: retry.Done}
		case errors.Is(err, ledger.ErrLost), errors.Is(err, ledger.ErrState):
			w.Log.Warn("result not taken: the job was closed meanwhile", service.JobID(a.id), service.Err(err))
			return retry.Result{Outcome: retry.Done}
		}
		return retry.Result{Outcome: retry.Failed}
	})
}

// secrets lists what must never be seen in this job's log: GitLab's masked
// variables as they are and as they expand, and what Towline itself hands to
// the job.
func (w *Worker) secrets(a *assignment) []string {
	out := append(a.job.Variables.MaskedValues(), a.job.Token, a.warrant.Grant)
	return append(out, a.job.Variables.Expanded(func(string) string { return "" }).MaskedValues()...)
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
