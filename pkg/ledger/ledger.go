package ledger

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// How long things live in Redis, and how large they may become.
const (
	// JobTTL bounds the life of everything kept for a job; each change renews
	// it. It is far above any job timeout of GitLab's.
	JobTTL = 48 * time.Hour
	// ReportedTTL is how long a reported job is remembered, so that late
	// messages about it are recognised.
	ReportedTTL = time.Hour
	// HoldTTL is how long a taken ticket stays out of circulation if nobody
	// spends or returns it; it exceeds GitLab's long poll of 50 s.
	HoldTTL = 90 * time.Second
	// CursorTTL is how long the polling cursor is kept.
	CursorTTL = time.Hour
	// MaxTrace is the largest trace in bytes.
	MaxTrace    = 64 << 20
	maxRetries  = 1
	dialTimeout = 3 * time.Second
	// Schema is the version of the records this package writes.
	Schema = 1
)

// Errors that callers branch on.
var (
	// ErrUnknown means the ledger holds nothing of that job.
	ErrUnknown = errors.New("ledger: job is not known")
	// ErrState means the job is not in a state that allows the transition.
	ErrState = errors.New("ledger: job is in another state")
	// ErrLost means that somebody else holds the lease, or nobody does.
	ErrLost = errors.New("ledger: lease is lost")
	// ErrNone means that there is nothing to take now.
	ErrNone = errors.New("ledger: nothing to take")
)

// State is where a job stands on its way.
type State string

// States in their order. A job in state Claimed may still be given to another
// runner; from Running on its script is never started again.
const (
	Accepted State = "accepted"
	Queued   State = "queued"
	Claimed  State = "claimed"
	Running  State = "running"
	Finished State = "finished"
	Reported State = "reported"
)

// Ledger is a client of the shared state. It is safe for concurrent use.
type Ledger struct {
	rdb    redis.UniversalClient
	prefix string
}

// New returns a Ledger whose keys begin with prefix. It dials nothing.
func New(rdb redis.UniversalClient, prefix string) *Ledger {
	return &Ledger{rdb: rdb, prefix: prefix + ":"}
}

// quiet drops what go-redis would write to standard error on each failed dial:
// every call returns its error, and the services report the link's state.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// Open returns a Redis client for a URL such as
// redis://:password@host:6379/0 or rediss://...; it dials nothing yet. The
// error never quotes the URL, which may hold a password.
func Open(url string) (redis.UniversalClient, error) {
	redis.SetLogger(quiet{})
	opts, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("--redis-url is not a Redis URL; use redis://[:password@]host:port/0 or rediss://... for TLS")
	}
	opts.MaxRetries = maxRetries
	opts.DialTimeout = dialTimeout
	opts.DialerRetries = 1
	opts.ContextTimeoutEnabled = true // else a hanging Redis outlasts every deadline
	return redis.NewClient(opts), nil
}

// Tune sets what the ledger relies on in options made elsewhere: few retries of
// its own, short dials, and deadlines that hold.
func Tune(o *redis.UniversalOptions) {
	redis.SetLogger(quiet{})
	o.MaxRetries = maxRetries
	o.DialTimeout = dialTimeout
	o.DialerRetries = 1
	o.ContextTimeoutEnabled = true
}

// Ping says whether Redis answers; the error says what to do.
func (l *Ledger) Ping(ctx context.Context) error {
	if err := l.rdb.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("redis does not answer (%w); check --redis-url, the password and the network policy", err)
	}
	return nil
}

func (l *Ledger) job(id int64) string     { return l.prefix + "{" + strconv.FormatInt(id, 10) + "}" }
func (l *Ledger) jobs() string            { return l.prefix + "jobs" }
func (l *Ledger) queue() string           { return l.prefix + "queue" }
func (l *Ledger) tickets() string         { return l.prefix + "{tickets}" }
func (l *Ledger) held(t string) string    { return l.tickets() + ":held:" + t }
func (l *Ledger) bell() string            { return l.tickets() + ":bell" }
func (l *Ledger) wakeChannel() string     { return l.prefix + "wake" }
func (l *Ledger) pollKey() string         { return l.prefix + "{poll}" }
func (l *Ledger) revoked(j string) string { return l.prefix + "revoked:" + j }
func (l *Ledger) audit() string           { return l.prefix + "audit" }

func (l *Ledger) jobKeys(id int64) []string {
	k := l.job(id)
	return []string{k, k + ":payload", k + ":trace", k + ":owner", k + ":lease"}
}

// Every job script sees the keys of jobKeys under these names.
const luaKeys = `
local job, payload, trace, owner, lease = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local function now() return tonumber(redis.call('TIME')[1]) end
local function touch(ttl) for _, k in ipairs({job, payload, trace}) do redis.call('PEXPIRE', k, ttl) end end
`

// Answers of the scripts, shared by all of them.
const (
	luaOK      = "ok"
	luaUnknown = "unknown"
	luaState   = "state"
	luaLost    = "lost"
)

func jobScript(body string) *redis.Script { return redis.NewScript(luaKeys + body) }

// run executes a job script that answers with one of the shared words.
func (l *Ledger) run(ctx context.Context, s *redis.Script, id int64, args ...any) error {
	word, err := s.Run(ctx, l.rdb, l.jobKeys(id), args...).Text()
	if err != nil {
		return fmt.Errorf("ledger: job %d: %w", id, err)
	}
	return answer(word)
}

func answer(word string) error {
	switch word {
	case luaOK:
		return nil
	case luaUnknown:
		return ErrUnknown
	case luaState:
		return ErrState
	case luaLost:
		return ErrLost
	}
	return fmt.Errorf("ledger: unexpected answer %q", word)
}

func millis(d time.Duration) int64 { return d.Milliseconds() }
