package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// ViewTTL is how long a view of a sync is kept that its tunnel does not renew.
const ViewTTL = time.Hour

// MaxView bounds a sealed view in bytes.
const MaxView = 4 << 20

func (l *Ledger) view(name string) string { return l.sync(name) + ":view" }

func viewPurpose(name string) string { return "towline/sync-view:" + name }

// PutView replaces what may be known of a sync.
func (l *Ledger) PutView(ctx context.Context, s Sealer, name string, view []byte) error {
	sealed, err := s.Seal(view, viewPurpose(name))
	if err != nil {
		return err
	}
	if len(sealed) > MaxView {
		return fmt.Errorf("view of sync %s: %d bytes are more than %d", name, len(sealed), MaxView)
	}
	if err := l.rdb.Set(ctx, l.view(name), sealed, ViewTTL).Err(); err != nil {
		return fmt.Errorf("view of sync %s: %w", name, err)
	}
	return nil
}

// View reads what may be known of a sync. ErrUnknown means that there is none.
func (l *Ledger) View(ctx context.Context, s Sealer, name string) ([]byte, error) {
	sealed, err := l.rdb.Get(ctx, l.view(name)).Bytes()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, ErrUnknown
	case err != nil:
		return nil, fmt.Errorf("view of sync %s: %w", name, err)
	case len(sealed) > MaxView:
		return nil, fmt.Errorf("view of sync %s: %d bytes are more than %d", name, len(sealed), MaxView)
	}
	return s.Open(sealed, viewPurpose(name))
}

// DropView forgets what was known of a sync.
func (l *Ledger) DropView(ctx context.Context, name string) error {
	return l.rdb.Del(ctx, l.view(name)).Err()
}

func (l *Ledger) wishChannel() string { return l.prefix + "wished" }

// Wish asks the tunnel that follows a sync to look at its source now. It gives
// no authority, and may get lost.
func (l *Ledger) Wish(ctx context.Context, name string) error {
	return l.rdb.Publish(ctx, l.wishChannel(), name).Err()
}

// Wished delivers the names of syncs that are to be looked at, until ctx ends,
// as Wakes does of jobs.
func (l *Ledger) Wished(ctx context.Context, deliver func(name string)) error {
	return l.subscribe(ctx, l.wishChannel(), deliver)
}
