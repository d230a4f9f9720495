package syncs

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

// failing are the pauses before a failed sync is tried again; a new commit does
// not wait for them.
var failing = retry.Policy{Min: 10 * time.Second, Max: 5 * time.Minute}

// togetherIn is into how many moments of an interval the looks of all entries
// fall: to wake costs a process more than what it then does.
const togetherIn = 6

// atRest is how long the record of a finished task is believed without a look.
const atRest = time.Minute

// looking are the pauses after looks at a ref that failed.
var looking = retry.Policy{Min: 3 * time.Second, Max: time.Minute}

// follower follows one entry.
type follower struct {
	*Keeper
	entry agentconfig.Manifests
	text  string // the entry as it was read
	stop  context.CancelFunc
	woken chan struct{}
	done  chan struct{}

	quiet    bool // nobody has woken it since the last step
	followed time.Time
	rec      ledger.SyncRecord // as it was at recAt
	recAt    time.Time
	kept     time.Time // when the ledger was asked to keep the record

	project int64
	origin  string // of the token, as people set it
	head    gitlab.CommitAt
	tags    tagList // of the project, if the entry follows versions
	problem string  // why the source cannot be read, as it was logged
	looks   int     // failures in a row
	lookAt  time.Time
	// lookedAt is when it was looked at refs last, fresh since when answers that
	// others have asked for will do; wished: somebody wishes a look.
	lookedAt, fresh time.Time
	wished          bool

	commit   string // that was wanted last
	bundle   string // digest of what it has for the entry
	serial   int64  // of the task that was wanted last
	since    int64  // serial from which results are of what is wanted now
	reported int64  // serial of the result that was told last
	heard    bool   // the ledger was asked for one
	task     wantedTask
	last     syncspec.Report
	failures int       // in a row
	again    time.Time // when the cluster is compared without a new commit
	debts    debts     // statuses that GitLab was not told
	// deployments says when it is told of the record that is owed.
	deployments owed
	long        bool // its files took long when they were fetched last
	waiting     waiting
	outlook     outlook
	gone        atomic.Bool // from the configuration

	elsewhere elsewhere
	variables variables
}

// run follows the entry until ctx ends.
func (f *follower) run(ctx context.Context) {
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if f.gone.Load() {
			f.leave(ctx)
			_ = f.Ledger.WithdrawSync(ctx, f.entry.Name)
			_ = f.Ledger.DropView(ctx, f.entry.Name)
		}
		_ = f.Ledger.LeaveSync(ctx, f.entry.Name, f.Tunnel)
	}()
	for {
		f.step(ctx)
		t := time.NewTimer(f.pause())
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-f.woken:
			t.Stop()
			f.quiet = false
		case <-t.C:
			f.quiet = true
		}
	}
}

// pause is how long it is until the next look: about Every, and so that some
// entries are looked at together, which costs less than one after the other.
func (f *follower) pause() time.Duration {
	next := time.Now().Add(f.Every - f.Every/10 + rand.N(f.Every/5+1)) //nolint:gosec // G404: nobody gains by guessing it
	return time.Until(next.Truncate(f.Every / togetherIn))
}

// follows says whether this tunnel follows the entry, as far as Redis knows. It
// renews that well before it ends.
func (f *follower) follows(ctx context.Context) (bool, error) {
	if f.quiet && time.Since(f.followed) < followFor/2 {
		return true, nil
	}
	f.followed = time.Time{}
	mine, err := f.hold(ctx)
	if mine && err == nil {
		f.followed = time.Now()
	}
	return mine, err
}

// hold makes this tunnel the one that follows the entry, unless another one is.
func (f *follower) hold(ctx context.Context) (mine bool, err error) {
	return f.Ledger.FollowSync(ctx, f.entry.Name, f.Tunnel, max(followFor, 3*f.Every))
}

// record is where the entry's task is. Redis tells of each change, so that at
// rest an older answer serves for a while.
func (f *follower) record(ctx context.Context) (rec ledger.SyncRecord, known bool, err error) {
	if f.quiet && f.rec.State == ledger.SyncDone && f.rec.Of == f.reported && time.Since(f.recAt) < atRest {
		return f.rec, true, nil
	}
	rec, err = f.Ledger.LoadSync(ctx, f.entry.Name)
	f.rec, f.recAt = rec, time.Now()
	if errors.Is(err, ledger.ErrUnknown) {
		return rec, false, nil
	}
	return rec, err == nil, err
}

// step does what is due now.
func (f *follower) step(ctx context.Context) {
	mine, err := f.follows(ctx)
	if err != nil || !mine {
		f.outlook.loaded = f.outlook.loaded && err != nil
		return // Redis is away, or another replica follows
	}
	if f.recall(ctx) != nil {
		return
	}
	f.wished = f.takeWish()
	f.outlook.looked = false
	defer func() { f.publish(ctx, f.wished && f.outlook.looked) }()
	rec, known, err := f.record(ctx)
	if err != nil {
		return
	}
	if f.serial != 0 && rec.Wanted > f.serial { // another tunnel has followed meanwhile
		f.serial, f.since, f.task = 0, 0, wantedTask{}
	}
	if known {
		f.hear(ctx, rec)
	}
	f.heard = true
	f.pay(ctx)
	f.keep(ctx, known)
	closed := f.entry.Suspend || !f.entry.OpenAt(time.Now())
	if known && rec.State != ledger.SyncDone && !rec.Leased {
		f.repair(ctx, closed)
	}
	if closed || time.Now().Before(f.lookAt) {
		return
	}
	err = f.advance(ctx, rec, known)
	f.retire(ctx)
	if err != nil && ctx.Err() == nil {
		f.looks++
		f.lookAt = time.Now().Add(max(looking.Backoff(f.looks), min(gitlab.After(err), retry.MaxAfter)))
		f.complain(err)
		return
	}
	f.looks = 0
}

// keep has the ledger keep what is known of the entry: others may depend on it,
// and nothing changes it while it is suspended.
func (f *follower) keep(ctx context.Context, known bool) {
	if known && time.Since(f.kept) > holdEvery && f.Ledger.HoldSync(ctx, f.entry.Name) == nil {
		f.kept = time.Now()
	}
}

// repair has a task that no runner has be taken, or withdraws it while the entry
// may not be synced: then it is wanted again as soon as it may.
func (f *follower) repair(ctx context.Context, closed bool) {
	if !closed {
		if err := f.Ledger.RepairSync(ctx, f.entry.Name); err != nil {
			f.Log.Warn("sync not queued again", service.KeyEntry, f.entry.Name, service.Err(err))
		}
		return
	}
	switch err := f.Ledger.WithdrawSync(ctx, f.entry.Name); {
	case err == nil:
		f.again, f.rec = time.Time{}, ledger.SyncRecord{}
		f.Log.Info("sync withdrawn; it is wanted again when the entry may be synced", service.KeyEntry, f.entry.Name, service.KeyProject, f.entry.Project)
	case !errors.Is(err, ledger.ErrState): // else a runner has just taken it
		f.Log.Warn("sync not withdrawn", service.KeyEntry, f.entry.Name, service.Err(err))
	}
}

// complain logs what is wrong with a source, once.
func (f *follower) complain(err error) {
	if u := new(unfetched); !errors.As(err, &u) {
		f.waiting.note = ""
	}
	f.Metrics.sourceErrors.WithLabelValues(f.entry.Name).Inc()
	if f.problem == err.Error() {
		return
	}
	f.problem = err.Error()
	f.Log.Error("the source of an entry cannot be followed; the cluster stays as it is", service.KeyEntry, f.entry.Name, service.KeyProject, f.entry.Project, service.Err(err))
}

// advance looks at the ref and wants what is due.
func (f *follower) advance(ctx context.Context, rec ledger.SyncRecord, known bool) error {
	token, origin, err := f.Token(f.entry.Project)
	f.origin = origin
	if err != nil {
		return err
	}
	if err := f.look(ctx, token); err != nil {
		return err
	}
	if err := f.lookElsewhere(ctx); err != nil {
		return err
	}
	if err := f.lookAtVariables(ctx, token); err != nil {
		return err
	}
	f.outlook.looked = true
	f.outlook.Stood(f.head.ID)
	f.relate(ctx, token)
	busy := known && rec.State != ledger.SyncDone
	inherited := busy && f.serial == 0
	if inherited {
		f.inherit(ctx)
	}
	switch {
	case f.head.ID != f.commit, f.standing() != f.elsewhere.wanted, f.newVariables(): // a new commit waits for nothing
	case busy && !inherited, time.Now().Before(f.again): // what is inherited is looked at once
		return nil
	}
	ready, err := f.dependenciesReady(ctx)
	f.outlook.blocked = err == nil && !ready
	if err != nil || !ready {
		return err
	}
	return f.want(ctx, token, busy)
}

// open reads the result of a sync.
func (k *Keeper) open(name string, rec ledger.SyncRecord) (syncspec.Report, error) {
	var r syncspec.Report
	if len(rec.Result) == 0 {
		return r, errors.New("no result yet")
	}
	text, err := ledger.OpenSyncResult(k.Seal, name, rec.Of, rec.Result)
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r)
}
