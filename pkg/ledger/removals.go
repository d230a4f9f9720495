package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Syncs that are marked leave something that is removed when their entry leaves
// the configuration. Their last task is what is known of them then.

func (l *Ledger) marks() string { return l.prefix + "removable" }

// Mark notes that a sync leaves something to remove.
func (l *Ledger) Mark(ctx context.Context, name string) error {
	_, err := l.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.SAdd(ctx, l.marks(), name)
		p.PExpire(ctx, l.marks(), SyncTTL)
		return nil
	})
	if err != nil {
		return fmt.Errorf("mark sync %s: %w", name, err)
	}
	return nil
}

// Unmark is the opposite of Mark.
func (l *Ledger) Unmark(ctx context.Context, name string) error {
	if err := l.rdb.SRem(ctx, l.marks(), name).Err(); err != nil {
		return fmt.Errorf("unmark sync %s: %w", name, err)
	}
	return nil
}

// Marked are the names of the syncs that are marked.
func (l *Ledger) Marked(ctx context.Context) ([]string, error) {
	return l.rdb.SMembers(ctx, l.marks()).Result()
}

// HoldMarked keeps marked syncs and the marks for another SyncTTL: an entry may be
// suspended for long.
func (l *Ledger) HoldMarked(ctx context.Context, names []string) error {
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.PExpire(ctx, l.marks(), SyncTTL)
		for _, name := range names {
			l.holdSync(ctx, p, name)
		}
		return nil
	})
	return err
}

// SyncTask is the sealed task of a sync that was wanted last. ErrUnknown means
// that there is none.
func (l *Ledger) SyncTask(ctx context.Context, name string) ([]byte, error) {
	task, err := l.rdb.Get(ctx, l.syncKeys(name)[1]).Bytes()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, ErrUnknown
	case err != nil:
		return nil, fmt.Errorf("task of sync %s: %w", name, err)
	}
	return task, nil
}
