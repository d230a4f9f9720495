package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

var holdScript = redis.NewScript(`
local h = redis.call('GET', KEYS[1])
if h and h ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`)

var dropScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1`)

// Own makes tunnel the one that reports the job, for ttl, or renews that. False
// means that another tunnel does.
func (l *Ledger) Own(ctx context.Context, id int64, tunnel string, ttl time.Duration) (bool, error) {
	return l.hold(ctx, l.job(id)+":owner", tunnel, ttl)
}

// Disown ends the tunnel's ownership, so that another can take over at once.
func (l *Ledger) Disown(ctx context.Context, id int64, tunnel string) error {
	return dropScript.Run(ctx, l.rdb, []string{l.job(id) + ":owner"}, tunnel).Err()
}

// LeadPolling makes tunnel the one that polls GitLab, for ttl, or renews that:
// an open long poll is shared work, not one per replica.
func (l *Ledger) LeadPolling(ctx context.Context, tunnel string, ttl time.Duration) (bool, error) {
	return l.hold(ctx, l.pollKey(), tunnel, ttl)
}

// StopPolling hands the polling over.
func (l *Ledger) StopPolling(ctx context.Context, tunnel string) error {
	return dropScript.Run(ctx, l.rdb, []string{l.pollKey()}, tunnel).Err()
}

func (l *Ledger) hold(ctx context.Context, key, holder string, ttl time.Duration) (bool, error) {
	n, err := holdScript.Run(ctx, l.rdb, []string{key}, holder, millis(ttl)).Int()
	if err != nil {
		return false, fmt.Errorf("lease: %w", err)
	}
	return n == 1, nil
}

// Cursor is the last_update that GitLab gave last, or "".
func (l *Ledger) Cursor(ctx context.Context) (string, error) {
	v, err := l.rdb.Get(ctx, l.pollKey()+":cursor").Result()
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	return v, err
}

// SetCursor remembers the polling cursor for all replicas.
func (l *Ledger) SetCursor(ctx context.Context, cursor string) error {
	return l.rdb.Set(ctx, l.pollKey()+":cursor", cursor, CursorTTL).Err()
}

// Revoke makes a grant worthless from now on; until is when it would have
// expired anyway.
func (l *Ledger) Revoke(ctx context.Context, jti string, until time.Time) error {
	ttl := time.Until(until)
	if ttl <= 0 {
		return nil
	}
	return l.rdb.Set(ctx, l.revoked(jti), "1", ttl).Err()
}

// Revoked says whether a grant was revoked.
func (l *Ledger) Revoked(ctx context.Context, jti string) (bool, error) {
	n, err := l.rdb.Exists(ctx, l.revoked(jti)).Result()
	return n > 0, err
}

// Wake tells the tunnels that something about a job has changed. It is a hint:
// whoever waits also looks again after a while.
func (l *Ledger) Wake(ctx context.Context, id int64) error {
	return l.rdb.Publish(ctx, l.wakeChannel(), id).Err()
}

// Wakes delivers the numbers of jobs about which something has changed, until
// ctx ends. It reconnects by itself; messages sent meanwhile are lost.
func (l *Ledger) Wakes(ctx context.Context, deliver func(id int64)) error {
	return l.subscribe(ctx, l.wakeChannel(), func(text string) {
		var id int64
		if _, err := fmt.Sscan(text, &id); err == nil {
			deliver(id)
		}
	})
}

func (l *Ledger) subscribe(ctx context.Context, channel string, deliver func(text string)) error {
	sub := l.rdb.Subscribe(ctx, channel)
	defer sub.Close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case m, ok := <-sub.Channel():
			if !ok {
				return nil
			}
			deliver(m.Payload)
		}
	}
}
