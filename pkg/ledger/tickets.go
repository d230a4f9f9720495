package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// A ticket is a free slot of a runner, named "<runner>/<slot>". The tunnel asks
// GitLab for a job only while it holds one, so that no job is taken that nobody
// can start.

// Every ticket script knows the server's time and how to drop what has expired.
const luaTickets = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function purge() redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now) end
local function add(ticket, expiry)
  redis.call('ZADD', KEYS[1], expiry, ticket)
  if redis.call('PTTL', KEYS[1]) < expiry - now then redis.call('PEXPIRE', KEYS[1], expiry - now) end
  if redis.call('LLEN', KEYS[3]) == 0 then redis.call('RPUSH', KEYS[3], '1') end
  if redis.call('PTTL', KEYS[3]) < expiry - now then redis.call('PEXPIRE', KEYS[3], expiry - now) end
end
`

var offerScript = redis.NewScript(luaTickets + `
purge()
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
add(ARGV[1], now + ARGV[2])
return 1`)

// Offer puts a ticket up for ttl, or renews it. A ticket that a tunnel holds
// stays with it. The runner repeats the offer while the slot is free.
func (l *Ledger) Offer(ctx context.Context, ticket string, ttl time.Duration) error {
	err := offerScript.Run(ctx, l.rdb, []string{l.tickets(), l.held(ticket), l.bell()}, ticket, millis(ttl)).Err()
	if err != nil {
		return fmt.Errorf("offer ticket: %w", err)
	}
	return nil
}

// Withdraw takes a ticket out of circulation, wherever it is.
func (l *Ledger) Withdraw(ctx context.Context, ticket string) error {
	_, err := l.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.ZRem(ctx, l.tickets(), ticket)
		p.Del(ctx, l.held(ticket))
		return nil
	})
	if err != nil {
		return fmt.Errorf("withdraw ticket: %w", err)
	}
	return nil
}

// The key of a held ticket has its name in it; KEYS[2] is the part before. It
// carries the same hash tag as the others. KEYS[2] itself says what was taken
// last, and for which claim: nobody else can hold that ticket by now.
var takeScript = redis.NewScript(luaTickets + `
local claim = ARGV[2] .. ' '
local last = redis.call('GET', KEYS[2]) or ''
if string.sub(last, 1, #claim) == claim then
  local ticket = string.sub(last, #claim + 1)
  if redis.call('PEXPIRE', KEYS[2] .. ticket, ARGV[1]) == 1 then return ticket end
end
purge()
local top = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if #top == 0 then return '' end
redis.call('ZREM', KEYS[1], top[1])
redis.call('SET', KEYS[2] .. top[1], top[2], 'PX', ARGV[1])
redis.call('SET', KEYS[2], claim .. top[1], 'PX', ARGV[1])
return top[1]`)

// Take waits up to wait, in whole seconds, for a ticket and holds it for
// HoldTTL. ErrNone means that no runner has a free slot. claim is a word of the
// caller's, without spaces, a new one for each ticket: the repetition of a Take
// whose answer was lost gets the ticket that it had taken, unless another was
// taken meanwhile.
func (l *Ledger) Take(ctx context.Context, claim string, wait time.Duration) (string, error) {
	ticket, err := l.takeNow(ctx, claim)
	if !errors.Is(err, ErrNone) || wait <= 0 { // to Redis 0 would mean for ever
		return ticket, err
	}
	// The bell may be left over from a ticket that is gone; then there is
	// nothing to take, and the next call waits.
	if err := l.rdb.BLPop(ctx, max(wait, time.Second), l.bell()).Err(); errors.Is(err, redis.Nil) {
		return "", ErrNone
	} else if err != nil {
		return "", fmt.Errorf("take ticket: %w", err)
	}
	return l.takeNow(ctx, claim)
}

func (l *Ledger) takeNow(ctx context.Context, claim string) (string, error) {
	ticket, err := takeScript.Run(ctx, l.rdb, []string{l.tickets(), l.held("")}, millis(HoldTTL), claim).Text()
	switch {
	case err != nil:
		return "", fmt.Errorf("take ticket: %w", err)
	case ticket == "":
		return "", ErrNone
	}
	return ticket, nil
}

var returnScript = redis.NewScript(luaTickets + `
local expiry = tonumber(redis.call('GET', KEYS[2]) or '')
if not expiry then return 0 end
redis.call('DEL', KEYS[2])
if expiry > now then add(ARGV[1], expiry) end
return 1`)

// Return gives an unused ticket back, unless it was withdrawn meanwhile.
func (l *Ledger) Return(ctx context.Context, ticket string) error {
	err := returnScript.Run(ctx, l.rdb, []string{l.tickets(), l.held(ticket), l.bell()}, ticket).Err()
	if err != nil {
		return fmt.Errorf("return ticket: %w", err)
	}
	return nil
}

var ticketsScript = redis.NewScript(luaTickets + `
purge()
return redis.call('ZCARD', KEYS[1])`)

// Tickets counts the tickets on offer.
func (l *Ledger) Tickets(ctx context.Context) (int64, error) {
	return ticketsScript.Run(ctx, l.rdb, []string{l.tickets()}).Int64()
}
