package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

// Wish asks the tunnel that follows a sync to look at its source now, and whether
// commit is part of it, if that is not empty. It gives no authority, and may get
// lost. Names hold no spaces.
func (l *Ledger) Wish(ctx context.Context, name, commit string) error {
	return l.rdb.Publish(ctx, l.wishChannel(), name+" "+commit).Err()
}

// Wished delivers the wishes, until ctx ends, as Wakes does of jobs. They are
// anybody's words.
func (l *Ledger) Wished(ctx context.Context, deliver func(name, commit string)) error {
	return l.subscribe(ctx, l.wishChannel(), func(text string) {
		name, commit, _ := strings.Cut(text, " ")
		deliver(name, commit)
	})
}
