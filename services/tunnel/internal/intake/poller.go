package intake

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"sync"
	"time"

	"github.com/towline/towline/pkg/joblines"
	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

// Pauses and limits.
const (
	leadFor    = 10 * time.Second
	renewLead  = 3 * time.Second
	ticketWait = 2 * time.Second
	notReady   = 500 * time.Millisecond // nothing is asked of GitLab meanwhile
	// assignWithin is how long GitLab may take to assign a job to a request
	// before it lets it wait for one. A request that is younger is not cut off at
	// shutdown, or a job could be assigned to nobody.
	assignWithin = 3 * time.Second
	// recordWithin is how long a job that GitLab has handed out waits for a Redis
	// that is away: longer than a Redis takes to restart. A tunnel that is told to
	// stop waits too; with assignWithin before it and a refusal after it, it is
	// still done before the pod's grace of a minute is over. Nothing else is asked
	// of GitLab meanwhile, so that one job at a time waits in each tunnel.
	recordWithin = 45 * time.Second
	// tellEvery is how often GitLab hears meanwhile that the job is in hands.
	tellEvery = 3 * time.Second
	// refuseWithin bounds the effort to fail a job at GitLab that could not be
	// recorded, refuseTries the attempts at it, noteTries the part of them that
	// goes into the line in its log.
	refuseWithin = time.Minute
	refuseTries  = 8
	noteTries    = 3
	// returnWithin bounds the effort to give a ticket back.
	returnWithin = 5 * time.Second
)

var (
	// returning are the pauses between attempts to give a ticket back.
	returning = retry.Policy{Min: 50 * time.Millisecond, Max: time.Second}
	// recording are those between attempts to record a job.
	recording = retry.Policy{Min: 100 * time.Millisecond, Max: 2 * time.Second}

	errOver = errors.New("the job is over at GitLab")
)

// JobSource is the part of the GitLab client that taking jobs needs.
type JobSource interface {
	RequestJob(ctx context.Context, lastUpdate string) gitlab.RequestResult
	PatchTrace(ctx context.Context, id int64, token gitlab.JobToken, offset int64, data []byte, debug bool) gitlab.PatchResult
	UpdateJob(ctx context.Context, id int64, token gitlab.JobToken, u gitlab.Update) gitlab.UpdateResult
}

// Poller takes jobs from GitLab, one request at a time over all replicas.
type Poller struct {
	GitLab JobSource
	Ledger *ledger.Ledger
	Seal   ledger.Sealer
	Tunnel string        // this replica's name
	Every  time.Duration // pause after an answer without a job
	Ready  func() bool   // false: take no jobs now
	// Credential names the runner token in use without revealing it: a token that
	// GitLab has refused is left alone until it is another one. nil: it never is.
	Credential func() string
	Taken      func(id int64) // called when a job stands in the ledger
	Link       *service.Link  // GitLab, as the job requests find it
	Log        *slog.Logger

	claim   string // names the ticket that is being taken; "" when none is
	atOnce  int    // requests in a row that were repeated without a pause
	refused refusals
}

// Run takes jobs until ctx ends. A request that GitLab may be answering is
// waited for.
func (p *Poller) Run(ctx context.Context) error {
	policy := retry.Policy{Idle: p.Every, Min: time.Second, Max: time.Minute}
	policy.Loop(ctx, p.turn)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewLead)
	defer cancel()
	_ = p.Ledger.StopPolling(end, p.Tunnel)
	return nil
}

// turn asks for at most one job.
func (p *Poller) turn(ctx context.Context) retry.Result {
	if !p.Ready() || p.refused.waiting(p.credential()) {
		return retry.Result{Outcome: retry.Now, After: notReady}
	}
	leads, err := p.Ledger.LeadPolling(ctx, p.Tunnel, leadFor)
	if err != nil {
		return retry.Result{Outcome: retry.Failed}
	}
	if !leads {
		return retry.Result{Outcome: retry.Again}
	}
	if p.claim == "" {
		p.claim = rand.Text()
	}
	ticket, err := p.Ledger.Take(ctx, p.claim, ticketWait)
	switch {
	case errors.Is(err, ledger.ErrNone):
		return retry.Result{Outcome: retry.Now}
	case err != nil: // one may be taken
		return retry.Result{Outcome: retry.Failed}
	}
	p.claim = ""
	stop := p.keepLead(ctx)
	defer stop()
	return p.ask(ctx, ticket)
}

// keepLead renews the lead while a request is open.
func (p *Poller) keepLead(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for retry.Sleep(ctx, renewLead) {
			_, _ = p.Ledger.LeadPolling(ctx, p.Tunnel, leadFor)
		}
	})
	return func() { cancel(); wg.Wait() }
}

func (p *Poller) ask(ctx context.Context, ticket string) retry.Result {
	duty := context.WithoutCancel(ctx)
	cursor, err := p.Ledger.Cursor(ctx)
	if err != nil || ctx.Err() != nil {
		p.giveBack(duty, ticket)
		return retry.Result{Outcome: retry.Failed}
	}
	credential := p.credential()
	r := p.request(ctx, cursor)
	p.refused.note(r.Outcome == gitlab.Rejected, credential)
	if r.Outcome == gitlab.JobReceived {
		p.atOnce = 0
		p.Link.Up()
		return p.take(duty, r, ticket)
	}
	p.giveBack(duty, ticket)
	switch r.Outcome {
	case gitlab.BadJob:
		return p.bad(ctx, r)
	case gitlab.NoJob:
		p.Link.Up()
		if r.LastUpdate != "" && r.LastUpdate != cursor {
			_ = p.Ledger.SetCursor(duty, r.LastUpdate)
			r.Held = true // GitLab's queue has changed since we asked last
		}
		return p.again(r.Held)
	case gitlab.Conflict:
		p.Link.Up()
		return retry.Result{Outcome: retry.Again, After: r.After}
	default:
		if ctx.Err() == nil {
			p.Link.Down(r.Why)
		}
		return retry.Result{Outcome: retry.Failed, After: r.After}
	}
}

func (p *Poller) credential() string {
	if p.Credential == nil {
		return ""
	}
	return p.Credential()
}

// giveBack returns a ticket, and tries again while Redis does not answer: a slot
// would else stay idle until its ticket runs out.
func (p *Poller) giveBack(ctx context.Context, ticket string) {
	ctx, cancel := context.WithTimeout(ctx, returnWithin)
	defer cancel()
	var err error
	returned := returning.Loop(ctx, func(ctx context.Context) retry.Result {
		if err = p.Ledger.Return(ctx, ticket); err != nil {
			return retry.Result{Outcome: retry.Failed}
		}
		return retry.Result{Outcome: retry.Done}
	})
	if !returned {
		p.Log.Warn("ticket not returned; it runs out by itself", service.Err(err))
	}
}

// bad deals with a payload that cannot be used. Something that is not even a job
// comes from a proxy rather than from GitLab, and is no reason to ask at once.
func (p *Poller) bad(ctx context.Context, r gitlab.RequestResult) retry.Result {
	if r.Job == nil {
		p.Log.Error("GitLab handed out a job that cannot be read; its own timeout will close it", service.Err(r.Why))
		p.Link.Down(fmt.Errorf("GitLab handed out a job that cannot be read: %w", r.Why))
		return retry.Result{Outcome: retry.Failed}
	}
	p.Link.Up()
	p.refuse(context.WithoutCancel(ctx), r.Job, "GitLab sent a job that Towline cannot use: "+r.Why.Error(), r.Why)
	return retry.Result{Outcome: retry.Again}
}

// again repeats at once when GitLab held the request open, since it paces us
// then; a few times in a row at most, in case something between us and GitLab
// answers in its place.
func (p *Poller) again(held bool) retry.Result {
	const mostAtOnce = 3
	if held && p.atOnce < mostAtOnce {
		p.atOnce++
		return retry.Result{Outcome: retry.Now}
	}
	p.atOnce = 0
	return retry.Result{Outcome: retry.Again}
}

// request asks for a job. When ctx ends, a young request is still waited for.
func (p *Poller) request(ctx context.Context, cursor string) gitlab.RequestResult {
	began := time.Now()
	open, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		retry.Sleep(open, assignWithin-time.Since(began))
		cancel()
	})()
	return p.GitLab.RequestJob(open, cursor)
}

// take records a job before anything else is done with it. If that proves
// impossible the job is failed at GitLab: nothing else knows of it.
func (p *Poller) take(ctx context.Context, r gitlab.RequestResult, ticket string) retry.Result {
	id := r.Job.ID
	log := p.Log.With(service.KeyJob, id, service.KeyProject, r.Job.JobInfo.ProjectFullPath)
	err := p.record(ctx, r, ticket, log)
	switch {
	case err == nil, errors.Is(err, ledger.ErrState) && p.recorded(ctx, id, ticket):
		log.Info("job taken from GitLab", "pipeline_id", r.Job.JobInfo.PipelineID, "ticket", ticket)
		p.Taken(id)
		return retry.Result{Outcome: retry.Now}
	case errors.Is(err, ledger.ErrState):
		p.giveBack(ctx, ticket)
		log.Warn("GitLab handed out a job that is known already; it is not run twice")
		return retry.Result{Outcome: retry.Again}
	case errors.Is(err, errOver):
		p.giveBack(ctx, ticket)
		log.Info("job is over at GitLab already; dropped")
		return retry.Result{Outcome: retry.Failed}
	}
	p.giveBack(ctx, ticket)
	p.refuse(ctx, r.Job, "Towline could not record this job; it was not started and can be retried", err)
	return retry.Result{Outcome: retry.Failed}
}

// record puts a job into the ledger, and waits for a Redis that is away as long
// as GitLab wants the job. ErrState ends the wait: the job is known.
func (p *Poller) record(ctx context.Context, r gitlab.RequestResult, ticket string, log *slog.Logger) error {
	sealed, err := ledger.SealPayload(p.Seal, r.Job.ID, r.Payload)
	if err != nil {
		return err
	}
	ctx, over := context.WithCancelCause(ctx)
	ctx, stop := context.WithTimeout(ctx, recordWithin)
	var telling sync.WaitGroup
	telling.Go(func() { p.tell(ctx, r.Job, over) })
	waits := sync.OnceFunc(func() { log.Warn("job not recorded yet; it waits for Redis", service.Err(err)) })
	recording.Loop(ctx, func(ctx context.Context) retry.Result {
		if err = p.Ledger.Accept(ctx, r.Job.ID, sealed, ticket); err == nil || errors.Is(err, ledger.ErrState) {
			return retry.Result{Outcome: retry.Done}
		}
		waits()
		return retry.Result{Outcome: retry.Failed}
	})
	stop()
	telling.Wait()
	defer over(nil)
	if err != nil && errors.Is(context.Cause(ctx), errOver) {
		return errOver
	}
	return err
}

// tell lets GitLab know, until ctx ends, that a job which is not recorded yet is
// in hands, and learns whether it is still wanted. That it is being cancelled
// matters when it is decided upon.
func (p *Poller) tell(ctx context.Context, job *jobspec.Job, over context.CancelCauseFunc) {
	for retry.Sleep(ctx, tellEvery) {
		u := gitlab.Update{State: string(ledger.Running)}
		if r := p.GitLab.UpdateJob(ctx, job.ID, gitlab.JobToken(job.Token), u); r.Outcome == gitlab.UpdateJobGone {
			over(errOver)
			return
		}
	}
}

// recorded says whether a job that is known was recorded by ourselves just now:
// Redis may have done so without its answer reaching us.
func (p *Poller) recorded(ctx context.Context, id int64, ticket string) bool {
	rec, err := p.Ledger.Load(ctx, id)
	return err == nil && rec.State == ledger.Accepted && rec.Ticket == ticket
}

// refuse fails a job at GitLab that is not in the ledger.
func (p *Poller) refuse(ctx context.Context, job *jobspec.Job, note string, why error) {
	p.Log.Error("job refused", service.JobID(job.ID), service.Err(why))
	ctx, cancel := context.WithTimeout(ctx, refuseWithin)
	defer cancel()
	kind, reason := joblines.System, ledger.ReasonSystem
	if errors.Is(why, jobspec.ErrTooLarge) {
		// A failure of the runner's would be tried again, to no avail.
		kind, reason = joblines.Job, ledger.ReasonScript
	}
	text := joblines.Stamp(job, time.Now(), joblines.Failed(kind, printable(note)))
	token := gitlab.JobToken(job.Token)
	u := gitlab.Update{State: ledger.Failed, FailureReason: reason}
	// GitLab's runner says first that a job runs (section 8.4).
	if r := p.GitLab.UpdateJob(ctx, job.ID, token, gitlab.Update{State: string(ledger.Running)}); r.Outcome == gitlab.UpdateJobGone {
		return
	}
	tries := noteTries // left for the line
	loop := retry.Policy{Min: time.Second, Max: 10 * time.Second, Attempts: refuseTries}
	loop.Loop(ctx, func(ctx context.Context) retry.Result {
		for tries > 0 {
			tries--
			r := p.GitLab.PatchTrace(ctx, job.ID, token, 0, text, false)
			switch {
			case r.Outcome == gitlab.PatchJobGone:
				return retry.Result{Outcome: retry.Done}
			case r.Outcome == gitlab.PatchRetry && tries > 0:
				return retry.Result{Outcome: retry.Failed, After: r.Interval}
			case r.Outcome == gitlab.PatchAccepted:
				u.Checksum, u.Size = fmt.Sprintf("crc32:%08x", crc32.ChecksumIEEE(text)), int64(len(text))
			}
			tries = 0
		}
		switch r := p.GitLab.UpdateJob(ctx, job.ID, token, u); r.Outcome {
		case gitlab.UpdateAccepted, gitlab.UpdateJobGone:
			return retry.Result{Outcome: retry.Done}
		default:
			return retry.Result{Outcome: retry.Failed, After: r.Interval}
		}
	})
}
