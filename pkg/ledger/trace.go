package ledger

import (
	"context"
	"fmt"
	"strconv"
)

// RangeError says that a piece of the trace does not continue what is stored.
// The writer goes on from Size.
type RangeError struct{ Size int64 }

// Error implements error.
func (e *RangeError) Error() string {
	return "ledger: trace holds " + strconv.FormatInt(e.Size, 10) + " bytes"
}

var appendScript = jobScript(`
local s = redis.call('HGET', job, 'state')
if not s then return {'unknown', 0} end
if redis.call('HGET', job, 'runner') ~= ARGV[1] or (s ~= 'claimed' and s ~= 'running') then return {'lost', 0} end
local size, from = redis.call('STRLEN', trace), tonumber(ARGV[2])
if size ~= from then
  if size == from + #ARGV[3] then return {'ok', size} end
  return {'range', size}
end
if size + #ARGV[3] > tonumber(ARGV[4]) then return {'range', size} end
size = redis.call('APPEND', trace, ARGV[3])
touch(ARGV[5])
return {'ok', size}`)

// Append adds masked bytes to a job's trace at the given offset and wakes the
// tunnel. A repetition of the last piece is accepted. A RangeError tells from
// where to go on.
func (l *Ledger) Append(ctx context.Context, id int64, runner string, offset int64, data []byte) error {
	v, err := appendScript.Run(ctx, l.rdb, l.jobKeys(id), runner, offset, data, MaxTrace, millis(JobTTL)).Slice()
	if err != nil {
		return fmt.Errorf("append to trace of job %d: %w", id, err)
	}
	word, _ := v[0].(string)
	size, _ := v[1].(int64)
	if word == "range" {
		return &RangeError{Size: size}
	}
	if err := answer(word); err != nil {
		return err
	}
	return l.Wake(ctx, id)
}

// Trace reads up to limit bytes of a job's trace from offset on.
func (l *Ledger) Trace(ctx context.Context, id, offset, limit int64) ([]byte, error) {
	b, err := l.rdb.GetRange(ctx, l.job(id)+":trace", offset, offset+limit-1).Bytes()
	if err != nil {
		return nil, fmt.Errorf("read trace of job %d: %w", id, err)
	}
	return b, nil
}

var ackedScript = jobScript(`
if redis.call('EXISTS', job) == 0 then return 'unknown' end
redis.call('HSET', job, 'acked', ARGV[1])
return 'ok'`)

// Acked remembers how much of the trace GitLab has acknowledged.
func (l *Ledger) Acked(ctx context.Context, id, offset int64) error {
	return l.run(ctx, ackedScript, id, offset)
}
