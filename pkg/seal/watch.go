package seal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"

	"github.com/towline/towline/pkg/filewatch"
)

// Run follows the file that the Box was loaded from until ctx ends. Where it
// cannot be used, the keys that were read last stay in force.
func (b *Box) Run(ctx context.Context, log *slog.Logger) error {
	return filewatch.Run(ctx, func() { b.check(log) })
}

// check reads the file now.
func (b *Box) check(log *slog.Logger) {
	raw, err := readFile(b.path)
	var found []key
	if err == nil {
		found, err = parse(b.path, raw)
	}
	seen := sha256.Sum256(raw)
	if err != nil {
		seen = sha256.Sum256([]byte(err.Error()))
	}
	b.mu.Lock()
	known := seen == b.seen
	b.seen = seen
	if !known && err == nil {
		b.use(found)
	}
	b.mu.Unlock()
	switch {
	case known:
	case err != nil:
		log.Error("sealing keys not changed: the file cannot be used", "path", b.path, "error", err.Error())
	default:
		log.Info("sealing keys changed", "newest", hex.EncodeToString(found[0].id[:]), "keys", len(found))
	}
}

// use takes the keys, the newest first. One that is new seals when everybody can
// open what it seals. The caller holds mu.
func (b *Box) use(found []key) {
	b.keys = found
	b.line.Put(found, func(k, other key) bool { return k.id == other.id })
}
