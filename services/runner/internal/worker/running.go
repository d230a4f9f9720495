package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/joblines"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/runner/internal/job"
	"github.com/towline/towline/services/runner/internal/joblog"
)

const (
	projectDir = "project"
	tempDir    = "tmp"
	// graceAfterTimeout is how long the process may take to end once the job's
	// time is over.
	graceAfterTimeout = 5 * time.Second
	// graceAfterResult is how long a process may live once it has said its last
	// word.
	graceAfterResult = 2 * time.Second
)

// starting are the pauses between attempts to record the start of a script.
var starting = retry.Policy{Min: 50 * time.Millisecond, Max: time.Second}

// running is one job process and what is watched while it runs.
type running struct {
	w     *Worker
	a     *assignment
	log   *joblog.Log
	dir   string
	lease *lease

	questions questions

	proc  *process
	words ownOutput  // what the process itself says, outside its frames
	begun bool       // the start of the script is recorded
	mu    sync.Mutex // guards writes to the process and what follows
	end   job.Result // what ended the job from outside, if State is set
	kill  *time.Timer
	over  time.Duration // the patience after a cancel, once that has come to its end
}

// run starts the process and waits for its result, which is worth nothing when
// the lease is lost meanwhile.
func (r *running) run(ctx context.Context) job.Result {
	spec, err := r.spec()
	if err == nil {
		defer r.openCache(spec)()
		r.proc, err = prepared(ctx, r.log, func() (*process, error) { return r.w.pool.take(spec) })
	}
	if err != nil {
		r.fail(joblines.System, err.Error())
		return job.Result{State: job.StateFailed, FailureReason: job.ReasonSystem}
	}
	defer r.proc.discard()
	watch, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { r.watch(ctx, watch) })
	watching.Go(func() { r.measure(watch) })
	res, err := r.read(ctx)
	stop()
	watching.Wait()
	return r.verdict(res, err)
}

// fail writes the last line of a failed job's log.
func (r *running) fail(k joblines.Kind, why string) {
	r.log.Printf("%s", strings.TrimSuffix(joblines.Failed(k, why), "\n"))
}

// spec is what the process is told.
func (r *running) spec() (*job.Spec, error) {
	claims := r.a.session.Claims()
	kubeconfig, err := r.kubeconfig(claims)
	if err != nil {
		return nil, err
	}
	e, ca := r.w.Endpoint, ""
	if r.w.GitCA != nil {
		ca = r.w.GitCA()
	}
	return &job.Spec{
		Job: *r.a.job, ProjectDir: filepath.Join(r.dir, projectDir), TempDir: filepath.Join(r.dir, tempDir),
		Kubeconfig: kubeconfig,
		Proxy:      fmt.Sprintf("http://job:%s@127.0.0.1:%d", r.a.warrant.Grant, e.EgressPort),
		GitCA:      ca, GitLabURL: r.a.warrant.GitLabURL, Ports: []uint16{e.GatePort, e.EgressPort}, Sandbox: r.w.Sandbox,
		Limits: r.w.limits(), Toolbox: r.w.Toolbox,
		RunnerName: r.w.Name, RunnerVersion: service.Version, SystemID: r.a.warrant.SystemID, Hostname: r.w.Hostname,
		Preamble: r.a.warrant.Preamble, NoDebugTrace: r.w.NoDebugTrace, FeatureFlags: r.w.FeatureFlags,
	}, nil
}

// kubeconfig has the names that GitLab would give, a current context, and the
// gate as its server.
func (r *running) kubeconfig(c *grant.Claims) (string, error) {
	user, ctxName := fmt.Sprintf("agent:%d", c.Agent.ID), c.Agent.Context()
	cfg := api.NewConfig()
	cfg.Clusters["gitlab"] = &api.Cluster{
		Server: fmt.Sprintf("https://127.0.0.1:%d", r.w.Endpoint.GatePort), CertificateAuthorityData: r.w.Endpoint.CA,
	}
	cfg.AuthInfos[user] = &api.AuthInfo{Token: r.a.warrant.Grant}
	cfg.Contexts[ctxName] = &api.Context{Cluster: "gitlab", AuthInfo: user, Namespace: c.DefaultNamespace}
	cfg.CurrentContext = ctxName
	b, err := clientcmd.Write(*cfg)
	return string(b), err
}

// read follows what the process says until its pipes close.
func (r *running) read(ctx context.Context) (*job.Result, error) {
	asking, enough := context.WithCancel(ctx)
	defer r.questions.asked.Wait()
	defer enough()
	var raw sync.WaitGroup
	r.words.to = r.log.Errors()
	raw.Go(func() {
		_, _ = io.Copy(&r.words, r.proc.output)
		r.words.pass()
	})
	var res *job.Result
	err := job.ReadFrames(r.proc.frames, func(f job.Frame) error {
		to := io.Writer(r.log)
		switch f.Kind {
		case job.KindStdout:
			to = r.log.Output()
		case job.KindStderr:
			to = r.log.Errors()
		case job.KindRunner, job.KindEvent:
		}
		if f.Kind != job.KindEvent {
			_, err := to.Write(f.Data)
			return err
		}
		e, err := f.Event()
		switch {
		case err != nil:
			return err
		case e.Type == job.EventQuestion:
			r.take(asking, e)
			return nil
		case e.Type != job.EventScriptStarted:
			res = e.Result
			return io.EOF // the last word
		case r.begun:
			return nil // said before
		}
		return r.begin(ctx)
	})
	enough()
	if res == nil {
		r.proc.kill() // nothing more can be learnt from it
	}
	_ = r.proc.stdin.Close()
	r.proc.endWithin(graceAfterResult)
	raw.Wait()
	if res != nil || errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil // how it ended says more
	}
	return res, err
}

// begin marks the job as started before its script may start: from here on it
// is never given to another runner. While Redis is away the script waits, as
// long as its process lives, which whatever stops the job ends: the loss of its
// lease, its time, a cancel.
func (r *running) begin(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-r.proc.exited:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := context.Canceled // until the first attempt
	waits := sync.OnceFunc(func() {
		r.w.Log.Warn("script waits: its start cannot be recorded now", service.JobID(r.a.id), service.Err(err))
	})
	starting.Loop(ctx, func(ctx context.Context) retry.Result {
		err = r.w.Ledger.Start(ctx, r.a.id, r.a.holder)
		if err == nil || errors.Is(err, ledger.ErrState) {
			return retry.Result{Outcome: retry.Done}
		}
		// ErrLost among them: a lease that ran out while Redis was away is renewed
		// unless the job is another's, and then the lease's own loop says so.
		waits()
		return retry.Result{Outcome: retry.Failed}
	})
	if err != nil {
		return fmt.Errorf("start of the script not recorded: %w", err)
	}
	if !r.w.spent.add(r.a.session.Claims()) {
		return errSpent
	}
	r.begun = true
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tell(job.Control{Proceed: true})
}

// tell sends the process a message; the caller holds mu.
func (r *running) tell(c job.Control) error {
	return r.proc.tell(tellWithin, func(w io.Writer) error { return job.WriteControl(w, c) })
}

// watch passes cancellation on and keeps the time, until ctx ends. If that is
// because the whole worker is stopping, the job is interrupted.
func (r *running) watch(worker, ctx context.Context) {
	began := time.Now()
	deadline := time.NewTimer(r.a.job.Timeout())
	defer deadline.Stop()
	for {
		select {
		case <-ctx.Done():
			if worker.Err() != nil {
				r.stop(job.Result{State: job.StateFailed, FailureReason: ledger.ReasonInterrupted}, "", 0)
			}
			return
		case <-r.lease.lost:
			r.proc.kill()
			return
		case <-deadline.C:
			r.stop(job.Result{State: job.StateFailed, FailureReason: job.ReasonTimeout}, job.CancelTimeout, graceAfterTimeout)
		case word := <-r.lease.word:
			canceled := job.Result{State: job.StateFailed, FailureReason: ledger.ReasonCanceled}
			if word == ledger.CancelAbort {
				r.stop(canceled, "", 0)
			} else {
				r.stop(canceled, job.CancelCanceled, graceAfterCancel(r.a.job, time.Since(began).Round(time.Second)))
			}
		}
	}
}

// stop ends the job from outside, once: by a word to the process, and by force
// when it has not ended within grace.
func (r *running) stop(why job.Result, word string, grace time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.end.State != "" && word != "":
		return // it is stopping
	case r.end.State == "":
		r.end = why
	}
	if r.kill != nil {
		r.kill.Stop()
	}
	if word == "" || r.tell(job.Control{Cancel: word}) != nil {
		r.proc.kill()
		return
	}
	r.kill = time.AfterFunc(grace, func() { r.lose(grace) })
}

// lose ends a process that has not ended in time.
func (r *running) lose(grace time.Duration) {
	r.mu.Lock()
	r.over = grace
	r.mu.Unlock()
	r.proc.kill()
}
