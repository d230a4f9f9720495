package ledger_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/ledger"
)

// transitions says for each operation what it comes to in each of the
// situations: an error (unknown, state, lost), ok when the state stays, or the
// new state.
var transitions = []struct {
	name string
	do   func(b *bench) error
	want string // in the order of situations
}{
	{"Accept", func(b *bench) error { return b.Accept(ctx(b.tb), id, payload, "r9/9") }, "accepted state state state state state state state state"},
	{"Enqueue", func(b *bench) error { return b.Enqueue(ctx(b.tb), id, grant) }, "unknown queued state state state state state state state"},
	{"Claim", func(b *bench) error { _, err := b.Claim(ctx(b.tb), id, "r2", long); return err }, "unknown state claimed state state state state state state"},
	{"Claim by the runner", func(b *bench) error { _, err := b.Claim(ctx(b.tb), id, "r1", long); return err }, "unknown state claimed ok ok state state state state"},
	{"Start by the runner", func(b *bench) error { return b.Start(ctx(b.tb), id, "r1") }, "unknown lost lost running lost ok lost lost lost"},
	{"Start by another", func(b *bench) error { return b.Start(ctx(b.tb), id, "r2") }, "unknown lost lost lost lost lost lost lost lost"},
	{"Renew by the runner", func(b *bench) error { return b.renew("r1") }, "unknown lost lost ok ok ok ok lost lost"},
	{"Renew by another", func(b *bench) error { return b.renew("r2") }, "unknown lost lost lost lost lost lost lost lost"},
	{"Append by the runner", func(b *bench) error { return b.Append(ctx(b.tb), id, "r1", 4, []byte("5")) }, "unknown lost lost ok ok ok ok lost lost"},
	{"Append by another", func(b *bench) error { return b.Append(ctx(b.tb), id, "r2", 4, []byte("5")) }, "unknown lost lost lost lost lost lost lost lost"},
	{"Finish by the runner", func(b *bench) error { return b.Finish(ctx(b.tb), id, "r1", result, 4) }, "unknown lost lost finished finished finished finished ok ok"},
	{"Finish by another", func(b *bench) error { return b.Finish(ctx(b.tb), id, "r2", result, 4) }, "unknown lost lost lost lost lost lost lost lost"},
	{"Finish with another result", func(b *bench) error { return b.Finish(ctx(b.tb), id, "r1", []byte("new"), 4) }, "unknown lost lost finished finished finished finished state ok"},
	{"Finish while the trace is short", func(b *bench) error { return b.Finish(ctx(b.tb), id, "r1", []byte("new"), 5) }, "unknown lost lost state state state state state ok"},
	{"Finish while the trace is longer", func(b *bench) error { return b.Finish(ctx(b.tb), id, "r1", []byte("new"), 3) }, "unknown lost lost state state state state state ok"},
	{"Release", func(b *bench) error { return b.Release(ctx(b.tb), id) }, "unknown state state lost queued lost state state state"},
	{"Close", func(b *bench) error { return b.Close(ctx(b.tb), id, []byte("note"), result) }, "unknown finished finished lost finished lost finished state state"},
	{"Cancel", func(b *bench) error { return b.Cancel(ctx(b.tb), id, "canceled") }, "unknown ok ok ok ok ok ok ok ok"},
	{"Acked", func(b *bench) error { return b.Acked(ctx(b.tb), id, 2) }, "unknown ok ok ok ok ok ok ok ok"},
	{"Restore", func(b *bench) error {
		return b.Restore(ctx(b.tb), id, ledger.Claim{Payload: payload, Grant: grant, Ticket: "r1/0"}, "r1", long)
	}, "running state state state state ok ok state state"},
	{"Payload", func(b *bench) error { _, err := b.Payload(ctx(b.tb), id); return err }, "unknown ok ok ok ok ok ok ok unknown"},
	{"MarkReported", func(b *bench) error { return b.MarkReported(ctx(b.tb), id) }, "ok reported reported reported reported reported reported reported ok"},
}

func (b *bench) renew(runner string) error {
	_, err := b.Renew(ctx(b.tb), id, runner, long)
	return err
}

func TestTransitions(t *testing.T) {
	refusals := map[string]error{unknown: ledger.ErrUnknown, "state": ledger.ErrState, "lost": ledger.ErrLost}
	root := open(t)
	for _, op := range transitions {
		t.Run(op.name, func(t *testing.T) {
			want := strings.Fields(op.want)
			if len(want) != len(situations) {
				t.Fatalf("%d answers for %d situations", len(want), len(situations))
			}
			for i, situation := range situations {
				t.Run(situation, func(t *testing.T) {
					b := &bench{Ledger: ledger.New(root.rdb, t.Name()), tb: t, rdb: root.rdb, prefix: t.Name()}
					b.bring(situation)
					if situation != unknown { // as a newer version would write
						b.must(b.rdb.HSet(ctx(t), b.key("{1001}"), "schema", 2, "novelty", "kept").Err())
					}
					before := b.load()
					err := op.do(b)
					b.everythingExpires()
					if situation != unknown {
						future, ferr := b.rdb.HMGet(ctx(t), b.key("{1001}"), "schema", "novelty").Result()
						b.must(ferr)
						if diff := cmp.Diff([]any{"2", "kept"}, future); diff != "" {
							t.Errorf("fields of a newer version: %s", diff)
						}
					}
					after := b.load()
					if refusal := refusals[want[i]]; refusal != nil {
						if !errors.Is(err, refusal) {
							t.Errorf("error = %v, want %v", err, refusal)
						}
						if diff := cmp.Diff(before, after); diff != "" {
							t.Errorf("refused, and yet: %s", diff)
						}
						return
					}
					state := ledger.State(want[i])
					if want[i] == "ok" {
						state = before.State
					}
					if err != nil || after.State != state {
						t.Errorf("%s, %v; want %s", after.State, err, state)
					}
				})
			}
		})
	}
}

func TestEveryChangeRenewsTheLifeOfTheJob(t *testing.T) {
	root := open(t)
	for _, tt := range []struct{ situation, op string }{
		{"accepted", "Enqueue"},
		{"queued", "Claim"},
		{"claimed", "Start by the runner"},
		{"running", "Renew by the runner"},
		{"running", "Append by the runner"},
		{"running", "Finish by the runner"},
		{orphaned, "Release"},
		{stranded, "Close"},
	} {
		t.Run(tt.op, func(t *testing.T) {
			b := &bench{Ledger: ledger.New(root.rdb, t.Name()), tb: t, rdb: root.rdb, prefix: t.Name()}
			b.bring(tt.situation)
			kept := []string{"{1001}", "{1001}:payload"}
			if tt.op == "Renew by the runner" {
				kept = append(kept, "jobs") // or the longest jobs would never be reported
			}
			for _, k := range kept {
				b.must(b.rdb.PExpire(ctx(t), b.key(k), long).Err())
			}
			for _, op := range transitions {
				if op.name == tt.op {
					b.must(op.do(b))
				}
			}
			left := b.keys()
			for _, k := range kept {
				if left[k] <= ledger.JobTTL-long {
					t.Errorf("%s lives %s, want %s", k, left[k], ledger.JobTTL)
				}
			}
		})
	}
}
