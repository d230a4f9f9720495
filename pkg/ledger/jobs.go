package ledger

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Record is what the ledger holds of a job, without payload and trace.
type Record struct {
	ID        int64
	State     State
	Ticket    string // the ticket the job was taken with
	Grant     []byte // sealed
	Runner    string
	Cancel    string // "" or the reason given to Cancel
	Result    []byte // sealed
	TraceSize int64  // bytes of the trace; final once Finished
	Acked     int64  // bytes of the trace that GitLab has acknowledged
	Leased    bool   // a runner holds the job now
	// Waited is for how long the job has been accepted or queued, by the clock of
	// Redis: whoever tends it may be new to it.
	Waited time.Duration
}

var acceptScript = jobScript(`
if redis.call('EXISTS', job) == 1 then return 'state' end
redis.call('HSET', job, 'schema', ARGV[1], 'state', 'accepted', 'ticket', ARGV[3], 'since', now())
redis.call('SET', payload, ARGV[2])
touch(ARGV[4])
return 'ok'`)

// Accept records a job that GitLab has handed out, before anything else is done
// with it. ErrState means that the job is known already.
func (l *Ledger) Accept(ctx context.Context, id int64, sealedPayload []byte, ticket string) error {
	return l.create(ctx, acceptScript, id, Schema, sealedPayload, ticket, millis(JobTTL))
}

// create lists the job before its record exists, so that no crash in between
// leaves a record that nobody looks at.
func (l *Ledger) create(ctx context.Context, s *redis.Script, id int64, args ...any) error {
	if err := l.index(ctx, id); err != nil {
		return err
	}
	err := l.run(ctx, s, id, args...)
	if errors.Is(err, ErrState) {
		if r, lerr := l.Load(ctx, id); lerr == nil && r.State == Reported {
			return errors.Join(err, l.Forget(ctx, id))
		}
	}
	return err
}

func (l *Ledger) index(ctx context.Context, id int64) error {
	_, err := l.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.ZAddNX(ctx, l.jobs(), redis.Z{Score: float64(time.Now().Unix()), Member: id})
		p.PExpire(ctx, l.jobs(), JobTTL)
		return nil
	})
	if err != nil {
		return fmt.Errorf("ledger: job %d: %w", id, err)
	}
	return nil
}

var enqueueScript = jobScript(`
local s = redis.call('HGET', job, 'state')
if not s then return 'unknown' end
if s ~= 'accepted' then return 'state' end
redis.call('HSET', job, 'state', 'queued', 'grant', ARGV[1], 'since', now())
touch(ARGV[2])
return 'ok'`)

// Enqueue gives an accepted job its grant and puts it up for claiming.
func (l *Ledger) Enqueue(ctx context.Context, id int64, sealedGrant []byte) error {
	if err := l.run(ctx, enqueueScript, id, sealedGrant, millis(JobTTL)); err != nil {
		return err
	}
	return l.push(ctx, id)
}

func (l *Ledger) push(ctx context.Context, id int64) error {
	if err := l.pushOn(ctx, l.queue(), id, JobTTL); err != nil {
		return fmt.Errorf("queue job %d: %w", id, err)
	}
	return nil
}

// pushOn puts something at the end of a queue, which lives for ttl from then on.
func (l *Ledger) pushOn(ctx context.Context, queue string, what any, ttl time.Duration) error {
	_, err := l.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.RPush(ctx, queue, what)
		p.PExpire(ctx, queue, ttl)
		return nil
	})
	return err
}

// Repair puts a queued job back into the queue when it is missing there: a
// runner may have died between taking its number and claiming it.
func (l *Ledger) Repair(ctx context.Context, id int64) error {
	_, err := l.rdb.LPos(ctx, l.queue(), strconv.FormatInt(id, 10), redis.LPosArgs{}).Result()
	if errors.Is(err, redis.Nil) {
		return l.push(ctx, id)
	}
	return err
}

// Next waits up to wait, in whole seconds, for the number of a queued job.
// ErrNone means that there is none.
func (l *Ledger) Next(ctx context.Context, wait time.Duration) (int64, error) {
	v, err := l.popJob(ctx, wait)
	if errors.Is(err, redis.Nil) {
		return 0, ErrNone
	}
	if err != nil {
		return 0, fmt.Errorf("next job: %w", err)
	}
	id, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return 0, ErrNone // not written by us: drop it
	}
	return id, nil
}

func (l *Ledger) popJob(ctx context.Context, wait time.Duration) (string, error) {
	if wait <= 0 { // to Redis this would mean for ever
		return l.rdb.LPop(ctx, l.queue()).Result()
	}
	v, err := l.rdb.BLPop(ctx, max(wait, time.Second), l.queue()).Result()
	if err != nil {
		return "", err
	}
	return v[1], nil
}

// Claim is a job in a runner's hands; both texts are sealed. TraceSize is more
// than 0 when an earlier runner wrote to the trace before it was lost: what
// GitLab has acknowledged cannot be taken back, so the trace goes on from there.
type Claim struct {
	Payload, Grant []byte
	Ticket         string
	TraceSize      int64
}

var claimScript = jobScript(`
local s = redis.call('HGET', job, 'state')
if not s then return {'unknown'} end
local again = s == 'claimed' and redis.call('HGET', job, 'runner') == ARGV[1]
if s ~= 'queued' and not again then return {'state'} end
redis.call('HSET', job, 'state', 'claimed', 'runner', ARGV[1])
redis.call('SET', lease, ARGV[1], 'PX', ARGV[2])
touch(ARGV[3])
return {'ok', redis.call('GET', payload) or '', redis.call('HGET', job, 'grant') or '', redis.call('HGET', job, 'ticket') or '', tostring(redis.call('STRLEN', trace))}`)

// Claim makes a queued job the runner's, under a lease of ttl. A repetition is
// accepted, since the answer to the first may have been lost: runner must be
// the name of this claim alone.
func (l *Ledger) Claim(ctx context.Context, id int64, runner string, ttl time.Duration) (Claim, error) {
	v, err := claimScript.Run(ctx, l.rdb, l.jobKeys(id), runner, millis(ttl), millis(JobTTL)).StringSlice()
	if err != nil {
		return Claim{}, fmt.Errorf("claim job %d: %w", id, err)
	}
	if err := answer(v[0]); err != nil {
		return Claim{}, err
	}
	size, err := strconv.ParseInt(v[4], 10, 64)
	return Claim{Payload: []byte(v[1]), Grant: []byte(v[2]), Ticket: v[3], TraceSize: size}, err
}

var startScript = jobScript(`
local s = redis.call('HGET', job, 'state')
if not s then return 'unknown' end
if redis.call('GET', lease) ~= ARGV[1] then return 'lost' end
if s == 'running' then return 'ok' end
if s ~= 'claimed' then return 'state' end
redis.call('HSET', job, 'state', 'running')
touch(ARGV[2])
return 'ok'`)

// Start marks that the script is about to begin. From here on the job is never
// given to another runner.
func (l *Ledger) Start(ctx context.Context, id int64, runner string) error {
	return l.run(ctx, startScript, id, runner, millis(JobTTL))
}

var renewScript = jobScript(`
local s = redis.call('HGET', job, 'state')
if not s then return {'unknown', ''} end
local holder = redis.call('GET', lease)
if holder and holder ~= ARGV[1] then return {'lost', ''} end
if (s ~= 'claimed' and s ~= 'running') or redis.call('HGET', job, 'runner') ~= ARGV[1] then return {'lost', ''} end
redis.call('SET', lease, ARGV[1], 'PX', ARGV[2])
touch(ARGV[3])
return {'ok', redis.call('HGET', job, 'cancel') or ''}`)

// Renew extends the runner's lease and returns why the job shall stop, or "".
// ErrLost: the job is somebody else's or over. ErrUnknown: Redis lost it.
func (l *Ledger) Renew(ctx context.Context, id int64, runner string, ttl time.Duration) (cancel string, err error) {
	v, err := renewScript.Run(ctx, l.rdb, l.jobKeys(id), runner, millis(ttl), millis(JobTTL)).StringSlice()
	if err != nil {
		return "", fmt.Errorf("renew job %d: %w", id, err)
	}
	if err := answer(v[0]); err != nil {
		return "", err
	}
	// The list must outlive the longest job on it, or nobody would report that.
	if err := l.rdb.PExpire(ctx, l.jobs(), JobTTL).Err(); err != nil {
		return v[1], fmt.Errorf("renew job %d: %w", id, err)
	}
	return v[1], nil
}

var restoreScript = jobScript(`
local again = redis.call('HGET', job, 'state') == 'running' and redis.call('HGET', job, 'runner') == ARGV[4]
if again then return 'ok' end
if redis.call('EXISTS', job) == 1 then return 'state' end
redis.call('HSET', job, 'schema', ARGV[1], 'state', 'running', 'grant', ARGV[3], 'runner', ARGV[4], 'ticket', ARGV[7])
redis.call('SET', payload, ARGV[2])
redis.call('SET', lease, ARGV[4], 'PX', ARGV[5])
touch(ARGV[6])
return 'ok'`)

// Restore announces a running job again after Redis has lost it. A repetition is
// accepted, as by Claim.
func (l *Ledger) Restore(ctx context.Context, id int64, c Claim, runner string, ttl time.Duration) error {
	return l.create(ctx, restoreScript, id, Schema, c.Payload, c.Grant, runner, millis(ttl), millis(JobTTL), c.Ticket)
}

var finishScript = jobScript(`
local s = redis.call('HGET', job, 'state')
if not s then return 'unknown' end
if redis.call('HGET', job, 'runner') ~= ARGV[1] then return 'lost' end
if s == 'reported' or (s == 'finished' and redis.call('HGET', job, 'result') == ARGV[2]) then return 'ok' end
if s ~= 'claimed' and s ~= 'running' then return 'state' end
if redis.call('STRLEN', trace) ~= tonumber(ARGV[3]) then return 'state' end
redis.call('HSET', job, 'state', 'finished', 'result', ARGV[2])
redis.call('DEL', lease)
touch(ARGV[4])
return 'ok'`)

// Finish writes the runner's sealed result of a job whose trace is complete
// with traceSize bytes, and wakes the tunnel. A repetition is accepted, since
// the answer to the first may have been lost, also when the job is reported by
// now: one that was closed without its runner has none.
func (l *Ledger) Finish(ctx context.Context, id int64, runner string, sealedResult []byte, traceSize int64) error {
	if err := l.run(ctx, finishScript, id, runner, sealedResult, traceSize, millis(JobTTL)); err != nil {
		return err
	}
	return l.Wake(ctx, id)
}

var closeScript = jobScript(`
local s = redis.call('HGET', job, 'state')
if not s then return 'unknown' end
if s == 'finished' or s == 'reported' then return 'state' end
if redis.call('EXISTS', lease) == 1 then return 'lost' end
redis.call('APPEND', trace, ARGV[1])
redis.call('HSET', job, 'state', 'finished', 'result', ARGV[2], 'runner', '')
touch(ARGV[3])
return 'ok'`)

// Close ends a job that no runner holds: it was denied, or its runner is gone.
// note is appended to the trace. ErrLost means that a runner holds it after
// all.
func (l *Ledger) Close(ctx context.Context, id int64, note, sealedResult []byte) error {
	return l.run(ctx, closeScript, id, note, sealedResult, millis(JobTTL))
}

var releaseScript = jobScript(`
if redis.call('EXISTS', lease) == 1 then return 'lost' end
local s = redis.call('HGET', job, 'state')
if not s then return 'unknown' end
if s ~= 'claimed' then return 'state' end
redis.call('HSET', job, 'state', 'queued', 'runner', '', 'since', now())
touch(ARGV[1])
return 'ok'`)

// Release puts a claimed job whose runner is gone back into the queue; its
// script was not started, so another runner may. The trace stays, for GitLab may
// have acknowledged it.
func (l *Ledger) Release(ctx context.Context, id int64) error {
	if err := l.run(ctx, releaseScript, id, millis(JobTTL)); err != nil {
		return err
	}
	return l.push(ctx, id)
}

var cancelScript = jobScript(`
local s = redis.call('HGET', job, 'state')
if not s then return 'unknown' end
redis.call('HSET', job, 'cancel', ARGV[1])
return 'ok'`)

// Cancel asks the runner to stop the job; it learns so at its next Renew.
func (l *Ledger) Cancel(ctx context.Context, id int64, reason string) error {
	return l.run(ctx, cancelScript, id, reason)
}

var reportedScript = jobScript(`
if redis.call('EXISTS', job) == 0 then return 'unknown' end
redis.call('HSET', job, 'state', 'reported')
redis.call('HDEL', job, 'grant', 'result')
redis.call('DEL', payload, trace, owner, lease)
redis.call('PEXPIRE', job, ARGV[1])
return 'ok'`)

// MarkReported ends the ledger's interest in a job: GitLab has its final state,
// or wants to hear no more of it.
func (l *Ledger) MarkReported(ctx context.Context, id int64) error {
	if err := l.run(ctx, reportedScript, id, millis(ReportedTTL)); err != nil && !errors.Is(err, ErrUnknown) {
		return err
	}
	return l.Forget(ctx, id)
}

// Forget takes a job off the list of active ones.
func (l *Ledger) Forget(ctx context.Context, id int64) error {
	return l.rdb.ZRem(ctx, l.jobs(), id).Err()
}

// Active lists up to limit jobs that are not reported, the oldest first.
func (l *Ledger) Active(ctx context.Context, limit int64) ([]int64, error) {
	v, err := l.rdb.ZRange(ctx, l.jobs(), 0, limit-1).Result()
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	ids := make([]int64, 0, len(v))
	for _, s := range v {
		if id, err := strconv.ParseInt(s, 10, 64); err == nil {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

var loadScript = jobScript(`
local h = redis.call('HMGET', job, 'state', 'ticket', 'grant', 'runner', 'cancel', 'result', 'acked', 'since')
local now = now()
if h[1] and not h[8] then redis.call('HSET', job, 'since', now) end
h[8] = tostring(math.max(now - (tonumber(h[8] or now) or now), 0))
for i = 1, 7 do if not h[i] then h[i] = '' end end
h[9] = tostring(redis.call('STRLEN', trace))
h[10] = tostring(redis.call('EXISTS', lease))
return h`)

// Load reads a job's record in one consistent view. One that an older version
// wrote waits from its first Load on.
func (l *Ledger) Load(ctx context.Context, id int64) (Record, error) {
	v, err := loadScript.Run(ctx, l.rdb, l.jobKeys(id)).StringSlice()
	if err != nil {
		return Record{}, fmt.Errorf("load job %d: %w", id, err)
	}
	if v[0] == "" {
		return Record{}, ErrUnknown
	}
	r := Record{ID: id, State: State(v[0]), Ticket: v[1], Grant: []byte(v[2]), Runner: v[3], Cancel: v[4], Result: []byte(v[5]), Leased: v[9] == "1"}
	r.Acked, _ = strconv.ParseInt(v[6], 10, 64)
	r.TraceSize, _ = strconv.ParseInt(v[8], 10, 64)
	if r.State == Accepted || r.State == Queued {
		waited, _ := strconv.ParseInt(v[7], 10, 64)
		r.Waited = time.Duration(waited) * time.Second
	}
	return r, nil
}

// Payload reads a job's sealed payload.
func (l *Ledger) Payload(ctx context.Context, id int64) ([]byte, error) {
	b, err := l.rdb.Get(ctx, l.job(id)+":payload").Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, ErrUnknown
	}
	return b, err
}
