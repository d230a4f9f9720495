package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/towline/towline/pkg/gate"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/runner/internal/patience"
	"github.com/towline/towline/services/runner/internal/sandbox"
)

const (
	leaseFor   = 15 * time.Second
	renewEvery = 2 * time.Second
	nextWait   = 2 * time.Second
	notReady   = time.Second
	// finishWithin is how long a result is tried to be delivered.
	finishWithin = 15 * time.Second
)

// Config is what a Worker needs.
type Config struct {
	Ledger   *ledger.Ledger
	Seal     ledger.Sealer
	Gate     *gate.Gate
	GatePort uint16
	CA       []byte // PEM, of the gate
	// EgressPort leads to the tunnel's egress proxy, for charts and values of other
	// servers; OutsideCA returns PEM of what to trust there beside the system's, as
	// it is when a sync starts, or "".
	EgressPort uint16
	OutsideCA  func() string
	Runner     string   // this replica's name
	Slots      int      // syncs at a time
	Command    []string // of a sync process
	Dir        string   // for files, this replica's alone
	Sandbox    string   // enforce or off
	Limits     sandbox.Limits
	Ready      func() bool // false: nothing is claimed now
	Log        *slog.Logger
}

// Worker carries out syncs. Run it once per process.
type Worker struct {
	Config

	shelves  shelves
	lanes    lanes
	serving  sync.WaitGroup
	patience patience.Bounds // with what keeps a sync from being verified
}

// New returns a Worker; it starts nothing.
func New(c Config) *Worker {
	return &Worker{Config: c, shelves: shelves{dir: filepath.Join(c.Dir, "charts")}, lanes: newLanes(c.Slots), patience: patience.Usual()}
}

// Run takes syncs until ctx ends, which stops those that run: another runner
// goes on with them.
func (w *Worker) Run(ctx context.Context) error {
	var slots sync.WaitGroup
	for n := range w.Slots {
		slots.Go(func() {
			loop := retry.Policy{Idle: notReady, Min: notReady, Max: 10 * time.Second}
			loop.Loop(ctx, func(ctx context.Context) retry.Result { return w.take(ctx, n) })
		})
	}
	slots.Wait()
	w.serving.Wait()
	return nil
}

func (w *Worker) take(ctx context.Context, slot int) retry.Result {
	if !w.Ready() {
		return retry.Result{Outcome: retry.Again}
	}
	name, err := w.Ledger.NextSync(ctx, nextWait)
	switch {
	case errors.Is(err, ledger.ErrNone):
		return retry.Result{Outcome: retry.Now}
	case err != nil:
		return retry.Result{Outcome: retry.Failed}
	}
	over := make(chan struct{})
	free := sync.OnceFunc(func() { close(over) })
	w.serving.Go(func() {
		defer free()
		w.serve(ctx, &claim{name: name, holder: fmt.Sprintf("%s/sync%d/%d", w.Runner, slot, time.Now().UnixNano()), free: free})
	})
	<-over
	return retry.Result{Outcome: retry.Now}
}

// claim is a sync in this worker's hands.
type claim struct {
	name, holder string
	free         func() // gives the slot to another sync; it may be called again
	serial       int64
	task         *syncspec.Task
	grant        string
	bundle       []byte
	session      *gate.Session
	past         *Past
}

// serve brings one sync to its result.
func (w *Worker) serve(ctx context.Context, c *claim) {
	serial, sealed, err := w.Ledger.ClaimSync(ctx, c.name, c.holder, leaseFor)
	if err != nil {
		if !errors.Is(err, ledger.ErrState) && !errors.Is(err, ledger.ErrUnknown) {
			w.Log.Warn("sync not claimed", service.KeyEntry, c.name, service.Err(err))
		}
		return
	}
	c.serial = serial
	lost, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var renewing sync.WaitGroup
	renewing.Go(func() { w.renew(lost, c, stop) })
	report := w.carryOut(lost, c, sealed)
	cause := context.Cause(lost)
	stop(nil)
	renewing.Wait()
	switch {
	case errors.Is(cause, errSuperseded):
		report.State = syncspec.Superseded
	case cause != nil:
		return // it is another's, or will be when the lease ends
	}
	w.finish(ctx, c, report)
}

var (
	errSuperseded = errors.New("a newer state is wanted")
	errLost       = errors.New("another runner has it")
)

// renew keeps the lease until ctx ends, and stops the sync when it is not wanted
// any more.
func (w *Worker) renew(ctx context.Context, c *claim, stop context.CancelCauseFunc) {
	lastSeen := time.Now()
	for {
		word, err := w.Ledger.RenewSync(context.WithoutCancel(ctx), c.name, c.holder, leaseFor)
		switch {
		case err == nil && word != "":
			stop(errSuperseded)
		case err == nil:
			lastSeen = time.Now()
		case errors.Is(err, ledger.ErrLost), time.Since(lastSeen) > leaseFor:
			stop(errLost)
		}
		if !retry.Sleep(ctx, renewEvery) {
			return
		}
	}
}

// carryOut verifies the task and runs it.
func (w *Worker) carryOut(ctx context.Context, c *claim, sealed []byte) *syncspec.Report {
	if err := w.open(ctx, c, sealed); err != nil {
		return &syncspec.Report{Schema: syncspec.Schema, State: syncspec.Lost, Entry: c.name, Problems: []string{err.Error()}}
	}
	defer c.session.Close()
	c.past = w.before(ctx, c.name)
	w.Log.Info("sync begins", service.KeyEntry, c.name, "commit", c.task.Commit, "identity_user", c.session.Claims().Identity.User)
	report, err := w.attempt(ctx, c)
	if err != nil {
		report = &syncspec.Report{Schema: syncspec.Schema, Commit: c.task.Commit, Entry: c.name}
		report.Add(err.Error())
	}
	w.Log.Info("sync ended", service.KeyEntry, c.name, "commit", c.task.Commit, "state", string(report.State), "summary", report.Summary(), "took_ms", report.Millis)
	return report
}

// before is how the last sync of an entry ended, nil if that is not known.
func (w *Worker) before(ctx context.Context, name string) *Past {
	rec, err := w.Ledger.LoadSync(ctx, name)
	if err != nil || len(rec.Result) == 0 {
		return nil
	}
	text, err := ledger.OpenSyncResult(w.Seal, name, rec.Of, rec.Result)
	if err != nil {
		return nil
	}
	var r syncspec.Report
	if json.Unmarshal(text, &r) != nil {
		return nil
	}
	return past(&r)
}

// open checks that a claimed task is exactly what policy signed, and fetches its
// bundle. Redis is not trusted: whatever does not fit together is refused. What
// keeps it from being checked and passes by itself is waited out until ctx ends.
func (w *Worker) open(ctx context.Context, c *claim, sealed []byte) error {
	var text []byte
	err := w.patience.Wait(ctx, w.waits(c), func() (err error) {
		text, err = ledger.OpenTask(w.Seal, c.name, sealed)
		return err
	})
	if err != nil {
		return fmt.Errorf("task: %w", err)
	}
	var order syncspec.Order
	if err := json.Unmarshal(text, &order); err != nil {
		return fmt.Errorf("task: %w", err)
	}
	c.grant = order.Grant
	err = w.patience.Wait(ctx, w.waits(c), func() (err error) {
		c.session, err = w.Gate.Open(ctx, order.Grant)
		return err
	})
	if err != nil {
		return fmt.Errorf("grant: %w", err)
	}
	err = c.check(order.Task)
	if err == nil && !c.task.Remove {
		err = w.fetchBundle(ctx, c)
	}
	if err != nil {
		c.session.Close()
	}
	return err
}

// check reads the task, if that is the one the grant is for.
func (c *claim) check(task []byte) error {
	claims := c.session.Claims()
	if claims.Sync == nil || claims.PayloadDigest != grant.Digest(task) {
		return errors.New("the grant is for something else")
	}
	c.task = &syncspec.Task{}
	if err := json.Unmarshal(task, c.task); err != nil {
		return fmt.Errorf("task: %w", err)
	}
	switch s := claims.Sync; {
	case c.task.Schema != syncspec.Schema:
		return fmt.Errorf("the task has the version %d, and this runner knows %d", c.task.Schema, syncspec.Schema)
	case s.Entry != c.name || c.task.Entry.Name != c.name || s.Commit != c.task.Commit || s.Project != c.task.Entry.Project:
		return errors.New("the grant is for another sync")
	case !c.task.Remove && !c.task.Entry.OpenAt(time.Now()):
		return errors.New("the entry's window has closed while it waited for a runner; it is synced in the next one")
	}
	return nil
}

// waits tells that a claimed sync cannot be verified yet.
func (w *Worker) waits(c *claim) func(error) {
	return func(err error) {
		w.Log.Warn("sync waits to be verified", service.KeyEntry, c.name, service.Err(err))
	}
}

// finish delivers the result. It keeps trying while Redis is away.
func (w *Worker) finish(ctx context.Context, c *claim, report *syncspec.Report) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
	defer cancel()
	text, err := json.Marshal(report)
	if err == nil {
		text, err = ledger.SealSyncResult(w.Seal, c.name, c.serial, text)
	}
	if err != nil {
		w.Log.Error("result of a sync not sealed", service.KeyEntry, c.name, service.Err(err))
		return
	}
	loop := retry.Policy{Min: 100 * time.Millisecond, Max: 2 * time.Second}
	loop.Loop(ctx, func(ctx context.Context) retry.Result {
		err = w.Ledger.FinishSync(ctx, c.name, c.holder, c.serial, text)
		if err == nil || errors.Is(err, ledger.ErrLost) {
			return retry.Result{Outcome: retry.Done}
		}
		return retry.Result{Outcome: retry.Failed}
	})
	if err != nil {
		w.Log.Warn("result of a sync not delivered; it is done again", service.KeyEntry, c.name, service.Err(err))
	}
}
