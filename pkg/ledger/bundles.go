package ledger

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// A bundle is what a sync needs of a repository. It is known by its digest, so
// entries share it, and is sealed and stored in pieces: no single value is large
// enough to hold up Redis.

// Limits and times of bundles.
const (
	// BundleTTL is how long a bundle is kept after it was last put.
	BundleTTL = 24 * time.Hour
	// MaxBundle is the largest bundle in bytes.
	MaxBundle   = 32 << 20
	bundlePiece = 512 << 10
)

func (l *Ledger) bundle(digest string) string { return l.prefix + "{bundle:" + digest + "}" }

func bundlePurpose(digest string, n int) string { return fmt.Sprintf("towline/%s:%d", digest, n) }

// HoldBundle says whether a bundle is there, and keeps it for BundleTTL more.
func (l *Ledger) HoldBundle(ctx context.Context, digest string) (bool, error) {
	key := l.bundle(digest)
	n, err := l.rdb.Get(ctx, key).Int()
	switch {
	case errors.Is(err, redis.Nil):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("bundle: %w", err)
	}
	there := []*redis.BoolCmd{}
	_, err = l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range n {
			there = append(there, p.PExpire(ctx, key+":"+strconv.Itoa(i), BundleTTL))
		}
		there = append(there, p.PExpire(ctx, key, BundleTTL))
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("bundle: %w", err)
	}
	for _, t := range there {
		if !t.Val() {
			return false, nil
		}
	}
	return true, nil
}

// PutBundle stores a bundle under its digest.
func (l *Ledger) PutBundle(ctx context.Context, s Sealer, digest string, content []byte) error {
	if len(content) > MaxBundle {
		return fmt.Errorf("bundle of %d bytes is over the limit of %d", len(content), MaxBundle)
	}
	key := l.bundle(digest)
	n := 0
	for ; n == 0 || n*bundlePiece < len(content); n++ {
		sealed, err := s.Seal(content[n*bundlePiece:min((n+1)*bundlePiece, len(content))], bundlePurpose(digest, n))
		if err != nil {
			return err
		}
		if err := l.rdb.Set(ctx, key+":"+strconv.Itoa(n), sealed, BundleTTL).Err(); err != nil {
			return fmt.Errorf("bundle: %w", err)
		}
	}
	// The number of pieces comes last: a bundle is there or it is not.
	if err := l.rdb.Set(ctx, key, n, BundleTTL).Err(); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	return nil
}

// Bundle reads a bundle. ErrUnknown means that it is not there any more. The
// caller compares the digest.
func (l *Ledger) Bundle(ctx context.Context, s Sealer, digest string) ([]byte, error) {
	key := l.bundle(digest)
	n, err := l.rdb.Get(ctx, key).Int()
	switch {
	case errors.Is(err, redis.Nil) || n < 0 || n > MaxBundle/bundlePiece+1:
		return nil, ErrUnknown
	case err != nil:
		return nil, fmt.Errorf("bundle: %w", err)
	}
	var out []byte
	for i := range n {
		sealed, err := l.rdb.Get(ctx, key+":"+strconv.Itoa(i)).Bytes()
		switch {
		case errors.Is(err, redis.Nil):
			return nil, ErrUnknown
		case err != nil:
			return nil, fmt.Errorf("bundle: %w", err)
		}
		piece, err := s.Open(sealed, bundlePurpose(digest, i))
		if err != nil {
			return nil, err
		}
		out = append(out, piece...)
	}
	return out, nil
}
