package ledger

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// A sync is one entry of gitops. Its record holds the task that is wanted, of
// which there is one at a time: a newer one takes its place. A runner works on
// one task of an entry at a time, so the queue is fair between entries.

// SyncTTL is how long what is known of a sync is kept after its last change, and
// after HoldSync: whoever follows it holds it.
const SyncTTL = 48 * time.Hour

// SyncState is where a sync stands.
type SyncState string

// States of a sync.
const (
	SyncQueued  SyncState = "queued"
	SyncClaimed SyncState = "claimed"
	SyncDone    SyncState = "done"
)

// SyncRecord is what the ledger holds of a sync, without the task.
type SyncRecord struct {
	State  SyncState
	Wanted int64 // serial of the newest task
	Runner string
	Leased bool // a runner holds it now
	// Result, sealed, is of the task with the serial Of; empty: none yet.
	Result []byte
	Of     int64
}

func (l *Ledger) syncs() string { return l.prefix + "syncs" }
func (l *Ledger) sync(name string) string {
	return l.prefix + "{sync:" + name + "}"
}

func (l *Ledger) syncKeys(name string) []string {
	k := l.sync(name)
	return []string{k, k + ":task", k + ":lease"}
}

func syncScript(body string) *redis.Script {
	return redis.NewScript(`
local sync, task, lease = KEYS[1], KEYS[2], KEYS[3]
local function touch(ttl) redis.call('PEXPIRE', sync, ttl) redis.call('PEXPIRE', task, ttl) end
` + body)
}

// luaPush asks the caller to put the sync into the queue.
const luaPush = "push"

// runSync executes a script that answers with one of the shared words.
func (l *Ledger) runSync(ctx context.Context, s *redis.Script, name string, args ...any) error {
	word, err := s.Run(ctx, l.rdb, l.syncKeys(name), args...).Text()
	switch {
	case err != nil:
		return fmt.Errorf("ledger: sync %s: %w", name, err)
	case word == luaPush:
		return l.pushSync(ctx, name)
	}
	return answer(word)
}

func (l *Ledger) pushSync(ctx context.Context, name string) error {
	if err := l.pushOn(ctx, l.syncs(), name, SyncTTL); err != nil {
		return fmt.Errorf("queue sync %s: %w", name, err)
	}
	return nil
}

var wantSyncScript = syncScript(`
local n = redis.call('HINCRBY', sync, 'wanted', 1)
redis.call('HSET', sync, 'schema', ARGV[1])
redis.call('SET', task, ARGV[2])
touch(ARGV[3])
local s = redis.call('HGET', sync, 'state')
if s == 'claimed' and redis.call('EXISTS', lease) == 1 then
  if ARGV[4] ~= '' then redis.call('HSET', sync, 'cancel', ARGV[4]) end
  return {n, ''}
end
redis.call('HSET', sync, 'state', 'queued')
if s == 'queued' then return {n, ''} end
return {n, 'push'}`)

// CancelSuperseded is what a runner is told whose task is no longer wanted.
const CancelSuperseded = "superseded"

// WantSync makes a sealed task the wanted one and returns its serial. A runner
// at work on an older task is asked to stop, and the newer one follows.
func (l *Ledger) WantSync(ctx context.Context, name string, sealedTask []byte) (int64, error) {
	return l.wantSync(ctx, name, sealedTask, CancelSuperseded)
}

// WantSyncNext is WantSync for a task that asks for the same as the one before: a
// runner at work on an older task brings that to its end first.
func (l *Ledger) WantSyncNext(ctx context.Context, name string, sealedTask []byte) (int64, error) {
	return l.wantSync(ctx, name, sealedTask, "")
}

func (l *Ledger) wantSync(ctx context.Context, name string, sealedTask []byte, cancel string) (int64, error) {
	v, err := wantSyncScript.Run(ctx, l.rdb, l.syncKeys(name), Schema, sealedTask, millis(SyncTTL), cancel).Slice()
	if err != nil {
		return 0, fmt.Errorf("want sync %s: %w", name, err)
	}
	serial, _ := v[0].(int64)
	if v[1] == luaPush {
		return serial, l.pushSync(ctx, name)
	}
	return serial, nil
}

// NextSync waits up to wait, in whole seconds, for the name of a queued sync.
// ErrNone means that there is none.
func (l *Ledger) NextSync(ctx context.Context, wait time.Duration) (string, error) {
	v, err := l.rdb.BLPop(ctx, max(wait, time.Second), l.syncs()).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return "", ErrNone
	case err != nil:
		return "", fmt.Errorf("next sync: %w", err)
	}
	return v[1], nil
}

var claimSyncScript = syncScript(`
local s, holder = redis.call('HGET', sync, 'state'), redis.call('GET', lease)
local again = s == 'claimed' and redis.call('HGET', sync, 'runner') == ARGV[1]
if s ~= 'queued' and not again then return {'state', 0} end
if holder and holder ~= ARGV[1] then return {'lost', 0} end
local t = redis.call('GET', task)
if not t then return {'unknown', 0} end
redis.call('SET', lease, ARGV[1], 'PX', ARGV[2])
local n = redis.call('HGET', sync, 'wanted')
redis.call('HSET', sync, 'state', 'claimed', 'runner', ARGV[1], 'running', n)
redis.call('HDEL', sync, 'cancel')
touch(ARGV[3])
return {'ok', tonumber(n), t}`)

// ClaimSync takes a queued sync under a lease of ttl and returns its sealed
// task. ErrState means that there is nothing to do any more. A repetition is
// accepted, as by Claim; it may bring a newer task.
func (l *Ledger) ClaimSync(ctx context.Context, name, holder string, ttl time.Duration) (serial int64, sealedTask []byte, err error) {
	v, err := claimSyncScript.Run(ctx, l.rdb, l.syncKeys(name), holder, millis(ttl), millis(SyncTTL)).Slice()
	if err != nil {
		return 0, nil, fmt.Errorf("claim sync %s: %w", name, err)
	}
	word, _ := v[0].(string)
	if err := answer(word); err != nil {
		return 0, nil, err
	}
	serial, _ = v[1].(int64)
	task, _ := v[2].(string)
	return serial, []byte(task), nil
}

var renewSyncScript = syncScript(`
if redis.call('GET', lease) ~= ARGV[1] then return {'lost', ''} end
redis.call('PEXPIRE', lease, ARGV[2])
touch(ARGV[3])
return {'ok', redis.call('HGET', sync, 'cancel') or ''}`)

// RenewSync keeps the lease and says why to stop, or "". ErrLost means that the
// sync is another's by now.
func (l *Ledger) RenewSync(ctx context.Context, name, holder string, ttl time.Duration) (cancel string, err error) {
	v, err := renewSyncScript.Run(ctx, l.rdb, l.syncKeys(name), holder, millis(ttl), millis(SyncTTL)).StringSlice()
	if err != nil {
		return "", fmt.Errorf("renew sync %s: %w", name, err)
	}
	return v[1], answer(v[0])
}

var finishSyncScript = syncScript(`
if redis.call('GET', lease) ~= ARGV[1] then return 'lost' end
redis.call('DEL', lease)
redis.call('HSET', sync, 'result', ARGV[3], 'of', ARGV[2], 'runner', '')
redis.call('HDEL', sync, 'cancel')
touch(ARGV[4])
if redis.call('HGET', sync, 'wanted') ~= ARGV[2] then
  redis.call('HSET', sync, 'state', 'queued')
  return 'push'
end
redis.call('HSET', sync, 'state', 'done')
return 'ok'`)

// FinishSync records how the task of a serial ended. When a newer one is wanted
// it is queued.
func (l *Ledger) FinishSync(ctx context.Context, name, holder string, serial int64, sealedResult []byte) error {
	if err := l.runSync(ctx, finishSyncScript, name, holder, serial, sealedResult, millis(SyncTTL)); err != nil {
		return err
	}
	return l.rdb.Publish(ctx, l.syncChannel(), name).Err()
}

func (l *Ledger) syncChannel() string { return l.prefix + "synced" }

// Synced delivers the names of syncs that have ended, until ctx ends, as Wakes
// does of jobs.
func (l *Ledger) Synced(ctx context.Context, deliver func(name string)) error {
	return l.subscribe(ctx, l.syncChannel(), deliver)
}

var repairSyncScript = syncScript(`
local s = redis.call('HGET', sync, 'state')
if s == 'queued' then return 'push' end
if s ~= 'claimed' or redis.call('EXISTS', lease) == 1 then return 'ok' end
redis.call('HSET', sync, 'state', 'queued', 'runner', '')
return 'push'`)

// RepairSync queues a sync again whose runner is gone, or that is missing in
// the queue because somebody died at the wrong moment.
func (l *Ledger) RepairSync(ctx context.Context, name string) error {
	_, err := l.rdb.LPos(ctx, l.syncs(), name, redis.LPosArgs{}).Result()
	if errors.Is(err, redis.Nil) {
		return l.runSync(ctx, repairSyncScript, name)
	}
	return err
}

var withdrawSyncScript = syncScript(`
local s = redis.call('HGET', sync, 'state')
if not s then return 'unknown' end
if s == 'done' or s == 'claimed' and redis.call('EXISTS', lease) == 1 then return 'state' end
redis.call('HSET', sync, 'state', 'done', 'runner', '')
return 'ok'`)

// WithdrawSync takes a task back that no runner has: nothing is wanted until the
// next one. ErrState means that a runner has it, or that it is over.
func (l *Ledger) WithdrawSync(ctx context.Context, name string) error {
	return l.runSync(ctx, withdrawSyncScript, name)
}

// HoldSync keeps what is known of a sync for another SyncTTL.
func (l *Ledger) HoldSync(ctx context.Context, name string) error {
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		l.holdSync(ctx, p, name)
		return nil
	})
	return err
}

func (l *Ledger) holdSync(ctx context.Context, p redis.Pipeliner, name string) {
	for _, key := range l.syncKeys(name)[:2] { // not the lease
		p.PExpire(ctx, key, SyncTTL)
	}
}

// LoadSync reads the record of a sync. ErrUnknown means that there is none.
func (l *Ledger) LoadSync(ctx context.Context, name string) (SyncRecord, error) {
	k := l.syncKeys(name)
	var fields *redis.SliceCmd
	var leased *redis.IntCmd
	_, err := l.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		fields = p.HMGet(ctx, k[0], "state", "wanted", "runner", "result", "of")
		leased = p.Exists(ctx, k[2])
		return nil
	})
	if err != nil {
		return SyncRecord{}, fmt.Errorf("load sync %s: %w", name, err)
	}
	text := func(i int) string { s, _ := fields.Val()[i].(string); return s }
	if text(0) == "" {
		return SyncRecord{}, ErrUnknown
	}
	r := SyncRecord{State: SyncState(text(0)), Runner: text(2), Result: []byte(text(3)), Leased: leased.Val() > 0}
	r.Wanted, _ = strconv.ParseInt(text(1), 10, 64)
	r.Of, _ = strconv.ParseInt(text(4), 10, 64)
	return r, nil
}

// FollowSync makes tunnel the one that follows the sources of a sync, for ttl,
// or renews that.
func (l *Ledger) FollowSync(ctx context.Context, name, tunnel string, ttl time.Duration) (bool, error) {
	return l.hold(ctx, l.sync(name)+":follow", tunnel, ttl)
}

// LeaveSync hands the following over.
func (l *Ledger) LeaveSync(ctx context.Context, name, tunnel string) error {
	return dropScript.Run(ctx, l.rdb, []string{l.sync(name) + ":follow"}, tunnel).Err()
}

// SealTask seals the task of a sync, OpenTask opens it; the same for results. A
// text of one sync does not open as another's.
func SealTask(s Sealer, name string, task []byte) ([]byte, error) {
	return s.Seal(task, "towline/sync-task:"+name)
}

// OpenTask opens what SealTask made for the same sync.
func OpenTask(s Sealer, name string, sealed []byte) ([]byte, error) {
	return s.Open(sealed, "towline/sync-task:"+name)
}

// SealSyncResult seals how a task ended.
func SealSyncResult(s Sealer, name string, serial int64, result []byte) ([]byte, error) {
	return s.Seal(result, fmt.Sprintf("towline/sync-result:%s:%d", name, serial))
}

// OpenSyncResult opens what SealSyncResult made for the same sync and serial.
func OpenSyncResult(s Sealer, name string, serial int64, sealed []byte) ([]byte, error) {
	return s.Open(sealed, fmt.Sprintf("towline/sync-result:%s:%d", name, serial))
}
