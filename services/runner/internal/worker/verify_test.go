package worker

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/towline/towline/pkg/eventually"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
	"github.com/towline/towline/pkg/seal"
)

// late is policy that publishes no key before it is told to.
type late struct {
	keys grant.Keys
	now  atomic.Bool
}

// Key implements grant.Keys.
func (l *late) Key(ctx context.Context, kid string) (ed25519.PublicKey, error) {
	if !l.now.Load() {
		return nil, grant.ErrUnknownKey
	}
	return l.keys.Key(ctx, kid)
}

// waits waits until a job is not verified because something is not there yet.
func (b *bench) waits() {
	b.tb.Helper()
	eventually.Is(b.tb, "it waits", func() bool { return strings.Contains(b.log.String(), "job waits to be verified") }, b.log)
}

// TestAJobWaitsForKeysThatOthersUseAlready: the tunnel and policy may know a new
// key before this runner does.
func TestAJobWaitsForKeysThatOthersUseAlready(t *testing.T) {
	t.Parallel()
	before, recent := bytes.Repeat([]byte{7}, seal.KeySize), bytes.Repeat([]byte{8}, seal.KeySize)
	for name, prepared := range map[string]func(b *bench) (arrive func()){
		"of policy": func(b *bench) func() {
			policy := &late{keys: grant.NewStaticKeys(b.signer.Public())}
			b.Gate = newGate(b.tb, "http://127.0.0.1:1", policy, b.Log)
			return func() { policy.now.Store(true) }
		},
		"for sealing": func(b *bench) func() {
			path := filepath.Join(b.tb.TempDir(), "seal.key")
			lines := func(keys ...[]byte) {
				var text strings.Builder
				for _, k := range keys {
					text.WriteString(base64.StdEncoding.EncodeToString(k) + "\n")
				}
				b.must(os.WriteFile(path, []byte(text.String()), 0o600))
			}
			lines(before)
			box, err := seal.Load(path)
			b.must(err)
			b.Seal = box
			go func() { _ = box.Run(b.tb.Context(), b.Log) }()
			b.box, err = seal.New(recent, before)
			b.must(err)
			return func() { lines(recent, before) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var arrive func()
			b := run(t, redistest.New(t), func(b *bench) { arrive = prepared(b) })
			b.put(id, []string{"start", "print hello", "result success"})
			b.waits()
			arrive()
			if res, trace := b.finished(id); res != success || trace != "hello\n" {
				t.Errorf("%+v, %q", res, trace)
			}
		})
	}
}

// waiting is a bench whose job waits to be verified, for an hour.
func waiting(t *testing.T) *bench {
	t.Helper()
	b := run(t, redistest.New(t), func(b *bench) {
		b.Gate = newGate(b.tb, "http://127.0.0.1:1", unavailable{}, b.Log)
		b.patience.Answer = time.Hour
	})
	b.put(id, []string{"start", "print it ran", "result success"})
	b.waits()
	return b
}

func TestAJobThatIsCanceledWhileItWaits(t *testing.T) {
	t.Parallel()
	b := waiting(t)
	b.must(b.patient.Cancel(t.Context(), id, ledger.CancelGraceful))
	if res, trace := b.finished(id); res != failed(ledger.ReasonCanceled, 0) || trace != "\x1b[31;1mERROR: Job failed: canceled\x1b[0;m\n" {
		t.Errorf("%+v, %q", res, trace)
	}
}

func TestAJobThatIsLostWhileItWaits(t *testing.T) {
	t.Parallel()
	b := waiting(t)
	if !b.record(id).Leased {
		t.Error("it is not leased meanwhile")
	}
	key := fmt.Sprintf("%s:{%d}", b.prefix, id)
	b.must(b.rdb.HSet(t.Context(), key, "runner", "another").Err())
	b.must(b.rdb.Set(t.Context(), key+":lease", "another", time.Minute).Err())
	eventually.Is(t, "it is dropped", func() bool { return strings.Contains(b.log.String(), "job dropped: it is over, or another's") })
	eventually.Is(t, "the slot is free", func() bool { return len(b.freeSlots()) == 2 })
	if r := b.record(id); r.State != ledger.Claimed || len(r.Result) != 0 || r.TraceSize != 0 {
		t.Errorf("record = %+v", r)
	}
}
