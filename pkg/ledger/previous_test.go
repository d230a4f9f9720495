package ledger_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/towline/towline/pkg/ledger"
)

// previous is what the version before this one has left in Redis. Versions that
// are one apart share it while an upgrade runs, and after it.
var previous = filepath.Join("testdata", "previous.json")

// keyed is one key; which of the fields is set says its type.
type keyed struct {
	Text   []byte            `json:"text,omitempty"`
	Fields map[string][]byte `json:"fields,omitempty"`
	List   []string          `json:"list,omitempty"`
	Set    []string          `json:"set,omitempty"` // in the order of its scores
}

var (
	oldWarrant = ledger.Warrant{Grant: "eyJ", SystemID: "r_0123456789ab", Preamble: []string{"Acting as gitlab:ci_job:2"}, GitLabURL: "https://gitlab.example.com"}
	oldResult  = ledger.Result{State: ledger.Failed, FailureReason: ledger.ReasonScript, ExitCode: 42}
)

// leave does what the services do until there is a job in each state: 1 accepted,
// 2 queued, 3 running, 4 cancelled while it runs, 5 finished, 6 reported; and a
// sync that waits and one that is done.
func (b *bench) leave(t *testing.T) {
	t.Helper()
	s, c := sealer(t), ctx(t)
	warrant := func(id int64) []byte { return must(ledger.SealJSON(s, id, oldWarrant))(t) }
	for id := int64(1); id <= 6; id++ {
		b.must(b.Accept(c, id, must(ledger.SealPayload(s, id, payload))(t), "r/0"))
		if id == 1 {
			continue
		}
		b.must(b.Enqueue(c, id, warrant(id)))
		if id == 2 {
			continue
		}
		b.must(b.rdb.LRem(c, b.key("queue"), 1, id).Err()) // as Next does
		must(b.Claim(c, id, "r", long))(t)
		b.must(b.Start(c, id, "r"))
		b.must(b.Append(c, id, "r", 0, []byte("output")))
		b.must(b.Acked(c, id, 3))
		if id == 4 {
			b.must(b.Cancel(c, id, ledger.CancelGraceful))
		}
		if id >= 5 {
			b.must(b.Finish(c, id, "r", must(ledger.SealJSON(s, id, oldResult))(t), 6))
		}
		if id == 6 {
			b.must(b.MarkReported(c, id))
		}
	}
	for _, name := range []string{"done", "waits"} {
		must(b.WantSync(c, name, must(ledger.SealTask(s, name, []byte("task")))(t)))(t)
		b.must(b.PutView(c, s, name, []byte("view")))
		if name == "done" {
			must(b.NextSync(c, 0))(t)
			serial, _, err := b.ClaimSync(c, name, "r", long)
			b.must(err)
			b.must(b.FinishSync(c, name, "r", serial, must(ledger.SealSyncResult(s, name, serial, []byte("result")))(t)))
		}
	}
	b.must(b.PutBundle(c, s, "digest", []byte("content")))
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// dump reads all that outlives its writer: leases do not.
func (b *bench) dump(t *testing.T) map[string]keyed {
	t.Helper()
	c, out := ctx(t), map[string]keyed{}
	for _, key := range must(b.rdb.Keys(c, b.key("*")).Result())(t) {
		name := strings.TrimPrefix(key, b.prefix)
		if strings.HasSuffix(name, ":lease") || strings.HasPrefix(name, ":{tickets}") {
			continue
		}
		var e keyed
		switch must(b.rdb.Type(c, key).Result())(t) {
		case "string":
			e.Text = must(b.rdb.Get(c, key).Bytes())(t)
		case "hash":
			e.Fields = map[string][]byte{}
			for field, value := range must(b.rdb.HGetAll(c, key).Result())(t) {
				e.Fields[field] = []byte(value)
			}
		case "list":
			e.List = must(b.rdb.LRange(c, key, 0, -1).Result())(t)
		default:
			e.Set = must(b.rdb.ZRange(c, key, 0, -1).Result())(t)
		}
		out[name] = e
	}
	return out
}

func (b *bench) restore(t *testing.T, from map[string]keyed) {
	t.Helper()
	c := ctx(t)
	for name, e := range from {
		key := b.prefix + name
		var err error
		switch {
		case e.Fields != nil:
			for field, value := range e.Fields {
				b.must(b.rdb.HSet(c, key, field, value).Err())
			}
		case e.List != nil:
			err = b.rdb.RPush(c, key, anys(e.List)...).Err()
		case e.Set != nil:
			for i, member := range e.Set {
				b.must(b.rdb.ZAdd(c, key, redis.Z{Score: float64(1764300000 + i), Member: member}).Err())
			}
		default:
			err = b.rdb.Set(c, key, e.Text, 0).Err()
		}
		b.must(err)
	}
}

func anys(texts []string) (out []any) {
	for _, t := range texts {
		out = append(out, t)
	}
	return out
}

func readPrevious(t *testing.T) map[string]keyed {
	t.Helper()
	var out map[string]keyed
	if err := json.Unmarshal(must(os.ReadFile(previous))(t), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestThisVersionLeavesWhatThePreviousOneReads: the same keys of the same types
// with the same fields; what is sealed is compared by what is in it.
func TestThisVersionLeavesWhatThePreviousOneReads(t *testing.T) {
	b := open(t)
	b.leave(t)
	now := b.dump(t)
	if os.Getenv("RECORD") != "" { // for the next version to read
		text := must(json.MarshalIndent(now, "", " "))(t)
		if err := os.WriteFile(previous, append(text, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(shape(readPrevious(t)), shape(now)); diff != "" {
		t.Errorf("what is left in Redis is not what the previous version left. Two versions that are one apart share Redis: can the previous one do with this?\n"+
			"If so, record it: RECORD=1 go test ./pkg/ledger -run Leaves (-previous +now):\n%s", diff)
	}
}

// shape is a dump without what is sealed, which differs each time.
func shape(dump map[string]keyed) map[string]string {
	out := map[string]string{}
	plain := []string{"schema", "state", "ticket", "runner", "cancel", "trace_size", "acked", "wanted", "running", "of"}
	for name, e := range dump {
		switch {
		case e.Fields != nil:
			for _, field := range slices.Sorted(maps.Keys(e.Fields)) {
				out[name] += field + "=" + map[bool]string{true: string(e.Fields[field]), false: "sealed"}[slices.Contains(plain, field)] + " "
			}
		case e.List != nil:
			out[name] = "list " + strings.Join(e.List, " ")
		case e.Set != nil:
			slices.Sort(e.Set)
			out[name] = "set " + strings.Join(e.Set, " ")
		case strings.HasSuffix(name, ":trace") || strings.HasSuffix(name, "{bundle:digest}"):
			out[name] = "text " + string(e.Text)
		default:
			out[name] = "sealed"
		}
	}
	return out
}

// TestThisVersionGoesOnWithWhatThePreviousOneLeft takes each job and sync from
// where it stands to its end.
func TestThisVersionGoesOnWithWhatThePreviousOneLeft(t *testing.T) {
	b, s := open(t), sealer(t)
	b.restore(t, readPrevious(t))
	c := ctx(t)
	equal := func(what string, want, got any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	active := must(b.Active(c, 10))(t)
	slices.Sort(active)
	equal("the jobs that are not reported", []int64{1, 2, 3, 4, 5}, active)

	equal("the payload of an accepted job", payload, must(ledger.OpenPayload(s, 1, must(b.Payload(c, 1))(t)))(t))
	equal("the job in the queue", int64(2), must(b.Next(c, 0))(t))
	claim := must(b.Claim(c, 2, "n", long))(t)
	equal("its payload", payload, must(ledger.OpenPayload(s, 2, claim.Payload))(t))
	equal("its warrant", oldWarrant, must(ledger.OpenJSON[ledger.Warrant](s, 2, claim.Grant))(t))
	b.must(b.Start(c, 2, "n"))
	b.must(b.Append(c, 2, "n", 0, []byte("more")))
	b.must(b.Finish(c, 2, "n", must(ledger.SealJSON(s, 2, oldResult))(t), 4))
	b.must(b.Enqueue(c, 1, []byte("grant")))

	running := must(b.Load(c, 3))(t)
	running.Grant = nil
	equal("a running job whose runner is gone", ledger.Record{ID: 3, State: ledger.Running, Ticket: "r/0", Runner: "r", Result: []byte{}, TraceSize: 6, Acked: 3}, running)
	equal("the rest of its log", []byte("put"), must(b.Trace(c, 3, 3, 10))(t))
	b.must(b.Close(c, 3, []byte("lost"), must(ledger.SealJSON(s, 3, oldResult))(t)))
	equal("why a job is cancelled", ledger.CancelGraceful, must(b.Load(c, 4))(t).Cancel)

	finished := must(b.Load(c, 5))(t)
	equal("a finished job", ledger.Finished, finished.State)
	equal("its result", oldResult, must(ledger.OpenJSON[ledger.Result](s, 5, finished.Result))(t))
	b.must(b.MarkReported(c, 5))

	equal("the sync in the queue", "waits", must(b.NextSync(c, 0))(t))
	serial, task, err := b.ClaimSync(c, "waits", "n", long)
	b.must(err)
	equal("its task", []byte("task"), must(ledger.OpenTask(s, "waits", task))(t))
	b.must(b.FinishSync(c, "waits", "n", serial, []byte("result")))
	done := must(b.LoadSync(c, "done"))(t)
	equal("the result of the other", []byte("result"), must(ledger.OpenSyncResult(s, "done", done.Of, done.Result))(t))
	equal("its view", []byte("view"), must(b.View(c, s, "done"))(t))
	equal("the bundle", []byte("content"), must(b.Bundle(c, s, "digest"))(t))
}
