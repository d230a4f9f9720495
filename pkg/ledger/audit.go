package ledger

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// MaxAudit is how many records the audit stream keeps, roughly; the oldest go
	// first.
	MaxAudit = 20_000
	// AuditTTL is how long the stream is kept after its last record.
	AuditTTL = 30 * 24 * time.Hour
)

const auditField = "record"

// AppendAudit adds records to the audit stream. What reads it must not believe
// it more than it believes Redis.
func (l *Ledger) AppendAudit(ctx context.Context, records [][]byte) error {
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, r := range records {
			p.XAdd(ctx, &redis.XAddArgs{Stream: l.audit(), MaxLen: MaxAudit, Approx: true, Values: []any{auditField, r}})
		}
		p.PExpire(ctx, l.audit(), AuditTTL)
		return nil
	})
	return err
}

// Audit returns the newest records of the audit stream, the newest first.
func (l *Ledger) Audit(ctx context.Context, count int64) ([][]byte, error) {
	found, err := l.rdb.XRevRangeN(ctx, l.audit(), "+", "-", count).Result()
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for _, m := range found {
		if r, ok := m.Values[auditField].(string); ok {
			out = append(out, []byte(r))
		}
	}
	return out, nil
}
