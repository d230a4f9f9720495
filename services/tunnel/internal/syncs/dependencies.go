package syncs

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/syncspec"
)

// dependenciesReady says whether all that the entry depends on has succeeded.
func (f *follower) dependenciesReady(ctx context.Context) (bool, error) {
	all, _ := f.Entries()
	for _, name := range f.entry.DependsOn {
		m, ok := all.Find(name)
		if !ok {
			return false, nil
		}
		if ready, err := f.dependencyReady(ctx, m); err != nil || !ready {
			return false, err
		}
	}
	return true, nil
}

// dependencyReady says whether an entry has succeeded: one that follows the same
// ref at the commit that is wanted now.
func (f *follower) dependencyReady(ctx context.Context, m agentconfig.Manifests) (bool, error) {
	rec, err := f.Ledger.LoadSync(ctx, m.Name)
	if errors.Is(err, ledger.ErrUnknown) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	r, err := f.open(m.Name, rec)
	if err != nil || rec.State != ledger.SyncDone || r.State != syncspec.Succeeded {
		return false, nil //nolint:nilerr // what cannot be read has not succeeded
	}
	if !strings.EqualFold(m.Project, f.entry.Project) || m.Ref != f.entry.Ref || r.Commit == f.head.ID {
		return true, nil
	}
	return f.isAhead(ctx, m.Name, r.Commit)
}

// isAhead says whether another entry has seen its ref at the head before, and at
// commit since.
func (f *follower) isAhead(ctx context.Context, name, commit string) (bool, error) {
	text, err := f.Ledger.View(ctx, f.Seal, name)
	if errors.Is(err, ledger.ErrUnknown) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var v syncspec.View
	if err := json.Unmarshal(text, &v); err != nil {
		return false, err
	}
	return v.Includes(commit, f.head.ID), nil
}
