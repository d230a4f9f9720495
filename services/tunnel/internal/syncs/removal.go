package syncs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/pkg/syncspec"
)

const (
	// removeEvery is the pause between looks at what removed entries have left.
	removeEvery = 2 * time.Second
	// holdEvery is how often what is known of them is kept for longer.
	holdEvery = time.Hour
)

// goesToo says whether a release is uninstalled with its entry.
func goesToo(m agentconfig.Manifests) bool {
	return m.Chart != nil && m.Chart.OnRemoval == "uninstall"
}

// mark keeps the ledger's mark of the entry true: what its releases shall do is
// known while it is there.
func (f *follower) mark(ctx context.Context) error {
	if goesToo(f.entry) {
		return f.Ledger.Mark(ctx, f.entry.Name)
	}
	return nil
}

// removals has what removed entries have left uninstalled, until ctx ends.
func (k *Keeper) removals(ctx context.Context) {
	pauses := map[string]*pause{}
	var held time.Time
	for retry.Sleep(ctx, removeEvery) {
		names, err := k.Ledger.Marked(ctx)
		if err != nil || len(names) == 0 {
			continue // or Redis is away
		}
		if time.Since(held) > holdEvery && k.Ledger.HoldMarked(ctx, names) == nil {
			held = time.Now()
		}
		k.lookForRemovals(ctx, names, pauses)
	}
}

// lookForRemovals does what is due now. An entry is only taken for gone where
// the section gitops is still there.
func (k *Keeper) lookForRemovals(ctx context.Context, marked []string, pauses map[string]*pause) {
	now, _ := k.Entries()
	for _, name := range marked {
		m, there := now.Find(name)
		switch {
		case there && !goesToo(m):
			_ = k.Ledger.Unmark(ctx, name) // else the next time
		case there, !now.Written, k.leaving(name):
			delete(pauses, name)
		default:
			if pauses[name] == nil {
				pauses[name] = &pause{}
			}
			k.remove(ctx, name, pauses[name])
		}
	}
}

// pause is when a failed removal is tried again.
type pause struct {
	failures int
	until    time.Time
	counted  int64 // serial of the failed removal that was counted last
}

// remove does the next step of one removal.
func (k *Keeper) remove(ctx context.Context, name string, p *pause) {
	if mine, err := k.Ledger.FollowSync(ctx, name, k.Tunnel, followFor); err != nil || !mine {
		return // another replica does it
	}
	err := k.uninstall(ctx, name, p)
	if err == nil || ctx.Err() != nil {
		return
	}
	p.failures++
	p.until = time.Now().Add(failing.Backoff(p.failures))
	k.Log.Error("release of an entry that is gone not uninstalled", service.KeyEntry, name, service.Err(err))
}

func (k *Keeper) uninstall(ctx context.Context, name string, p *pause) error {
	last, task, err := k.lastTask(ctx, name)
	if errors.Is(err, ledger.ErrUnknown) {
		_ = k.Ledger.Unmark(ctx, name)
		return errors.New("nothing is known of it any more; uninstall it with helm")
	}
	if err != nil {
		return err
	}
	if task.Remove {
		if under, err := k.underWay(ctx, name, p); err != nil || under {
			return err
		}
	}
	if time.Now().Before(p.until) {
		return nil
	}
	return k.wantRemoval(ctx, last, *task)
}

// underWay says whether a wanted removal needs nothing now, and what it has
// failed with, once.
func (k *Keeper) underWay(ctx context.Context, name string, p *pause) (bool, error) {
	rec, err := k.Ledger.LoadSync(ctx, name)
	if err != nil {
		return false, err
	}
	if rec.State != ledger.SyncDone {
		if rec.Leased {
			return true, nil
		}
		return true, k.Ledger.RepairSync(ctx, name)
	}
	report, err := k.open(name, rec)
	if err == nil && report.State == syncspec.Succeeded {
		k.Log.Info("release of an entry that is gone uninstalled", service.KeyEntry, name, "took_ms", report.Millis)
		_ = k.Ledger.LeaveSync(ctx, name, k.Tunnel)
		return true, k.Ledger.Unmark(ctx, name)
	}
	if p.counted == rec.Of {
		return false, nil
	}
	p.counted = rec.Of
	if err != nil {
		return false, err
	}
	return false, errors.New(report.Summary())
}

// lastTask reads the task of a sync that was wanted last.
func (k *Keeper) lastTask(ctx context.Context, name string) (*syncspec.Order, *syncspec.Task, error) {
	sealed, err := k.Ledger.SyncTask(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	text, err := ledger.OpenTask(k.Seal, name, sealed)
	if err != nil {
		return nil, nil, err
	}
	var order syncspec.Order
	var task syncspec.Task
	if err := json.Unmarshal(text, &order); err != nil {
		return nil, nil, err
	}
	return &order, &task, json.Unmarshal(order.Task, &task)
}

// wantRemoval asks policy, with what it has allowed last, and makes the removal
// the wanted state.
func (k *Keeper) wantRemoval(ctx context.Context, last *syncspec.Order, task syncspec.Task) error {
	name := task.Entry.Name
	task.Remove = true
	text, err := json.Marshal(task)
	if err != nil {
		return err
	}
	_, conf := k.Entries()
	d, err := k.Policy.DecideSync(ctx, policyapi.SyncEvidence{
		Entry: name, Commit: task.Commit, PayloadDigest: grant.Digest(text), Removed: &policyapi.Removed{Task: last.Task, Grant: last.Grant},
	}, conf)
	switch {
	case err != nil:
		return err
	case !d.Allow:
		return errors.New(denial(d))
	}
	order, err := json.Marshal(syncspec.Order{Task: text, Grant: d.Grant})
	if err != nil {
		return err
	}
	sealed, err := ledger.SealTask(k.Seal, name, order)
	if err != nil {
		return err
	}
	if _, err := k.Ledger.WantSync(ctx, name, sealed); err != nil {
		return fmt.Errorf("removal: %w", err)
	}
	k.Log.Info("release of an entry that is gone is to be uninstalled", service.KeyEntry, name, "identity_user", d.Identity.User)
	return nil
}
