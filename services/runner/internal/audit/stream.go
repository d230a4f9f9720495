package audit

import (
	"context"
	"encoding/json"

	"github.com/towline/towline/pkg/ledger"
)

// Stream is the stream in Redis.
type Stream struct{ Ledger *ledger.Ledger }

// Send implements Destination.
func (s Stream) Send(ctx context.Context, records []json.RawMessage) error {
	entries := make([][]byte, len(records))
	for i, r := range records {
		entries[i] = r
	}
	return s.Ledger.AppendAudit(ctx, entries)
}
