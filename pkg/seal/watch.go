package seal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"time"

	"github.com/towline/towline/pkg/filewatch"
)

// Settle is how long a new key is known before it seals, so that everybody can
// open what it seals by then: kubelets bring a changed Secret to their pods
// within about a minute and a half.
const Settle = 3 * time.Minute

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

// use takes the keys, the newest first. The one that has sealed so far goes on
// for a while, if it is still there. The caller holds mu.
func (b *Box) use(found []key) {
	before := b.sealer()
	if len(b.keys) == 0 || b.keys[0].id != found[0].id {
		b.since = time.Now()
	}
	b.keys, b.sealing = found, found[0]
	for _, k := range found {
		if before.aead != nil && k.id == before.id {
			b.sealing = k
		}
	}
}

// sealer is the key that seals now. The caller holds mu.
func (b *Box) sealer() key {
	if len(b.keys) > 0 && b.sealing.id != b.keys[0].id && time.Since(b.since) >= Settle {
		b.sealing = b.keys[0]
	}
	return b.sealing
}
