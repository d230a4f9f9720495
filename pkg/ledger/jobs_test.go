package ledger_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
)

func TestWayOfAJob(t *testing.T) {
	b := open(t)
	check := func(want ledger.Record) {
		t.Helper()
		want.ID = id
		if diff := cmp.Diff(want, b.load(), cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
		b.everythingExpires()
	}
	b.must(b.Accept(ctx(t), id, payload, "r1/0"))
	check(ledger.Record{State: ledger.Accepted, Ticket: "r1/0"})
	b.must(b.Enqueue(ctx(t), id, grant))
	check(ledger.Record{State: ledger.Queued, Ticket: "r1/0", Grant: grant})

	next, err := b.Next(ctx(t), 0)
	if err != nil || next != id {
		t.Fatalf("Next = %d, %v", next, err)
	}
	c, err := b.Claim(ctx(t), id, "r1", long)
	b.must(err)
	if diff := cmp.Diff(ledger.Claim{Payload: payload, Grant: grant, Ticket: "r1/0"}, c); diff != "" {
		t.Error(diff)
	}
	check(ledger.Record{State: ledger.Claimed, Ticket: "r1/0", Grant: grant, Runner: "r1", Leased: true})
	b.must(b.Start(ctx(t), id, "r1"))
	b.must(b.Append(ctx(t), id, "r1", 0, []byte("hello\n")))
	b.must(b.Acked(ctx(t), id, 5))
	check(ledger.Record{State: ledger.Running, Ticket: "r1/0", Grant: grant, Runner: "r1", Leased: true, TraceSize: 6, Acked: 5})

	b.must(b.Cancel(ctx(t), id, "canceled by alice"))
	why, err := b.Renew(ctx(t), id, "r1", long)
	if err != nil || why != "canceled by alice" {
		t.Errorf("Renew = %q, %v", why, err)
	}
	b.must(b.Finish(ctx(t), id, "r1", result, 6))
	check(ledger.Record{
		State: ledger.Finished, Ticket: "r1/0", Grant: grant, Runner: "r1", Cancel: "canceled by alice",
		Result: result, TraceSize: 6, Acked: 5,
	})
	if got, err := b.Payload(ctx(t), id); err != nil || string(got) != string(payload) {
		t.Errorf("Payload = %q, %v", got, err)
	}
	b.must(b.MarkReported(ctx(t), id))
	check(ledger.Record{State: ledger.Reported, Ticket: "r1/0", Runner: "r1", Cancel: "canceled by alice", Acked: 5})
}

func TestReportedJobLeavesOneShortLivedKey(t *testing.T) {
	for _, situation := range situations[1:] {
		t.Run(situation, func(t *testing.T) {
			b := open(t)
			b.bring(situation)
			_, err := b.Own(ctx(t), id, "t1", long)
			b.must(err)
			b.must(b.MarkReported(ctx(t), id))
			left := b.keys()
			if situation == "queued" { // its number is dropped by whoever takes it
				delete(left, "queue")
			}
			if ttl := left["{1001}"]; len(left) != 1 || ttl <= 0 || ttl > ledger.ReportedTTL {
				t.Errorf("left: %v; want only {1001} for at most %s", left, ledger.ReportedTTL)
			}
		})
	}
}

func TestActiveListsTheOldestFirstUntilReported(t *testing.T) {
	b := open(t)
	active := func(limit int64, want ...int64) {
		t.Helper()
		got, err := b.Active(ctx(t), limit)
		b.must(err)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	}
	active(10)
	for n := range int64(3) {
		b.must(b.Accept(ctx(t), id+n, payload, "r1/0"))
	}
	active(10, id, id+1, id+2)
	active(2, id, id+1)
	b.must(b.MarkReported(ctx(t), id+1))
	active(10, id, id+2)
	if err := b.Accept(ctx(t), id+1, payload, "r1/1"); !errors.Is(err, ledger.ErrState) {
		t.Errorf("accepting a reported job: %v", err)
	}
	active(10, id, id+2)
	b.must(b.rdb.ZAdd(ctx(t), b.key("jobs"), z("no number")).Err())
	active(10, id, id+2)
	b.must(b.Forget(ctx(t), id))
	active(10, id+2)
}

func TestOneOfManyClaimsWins(t *testing.T) {
	b := open(t)
	const runners, jobs = 20, 10
	for n := range int64(jobs) {
		b.must(b.Accept(ctx(t), id+n, payload, "r/0"))
		b.must(b.Enqueue(ctx(t), id+n, grant))
	}
	var won [jobs]atomic.Int64
	var wg sync.WaitGroup
	for r := range runners {
		wg.Go(func() {
			for n := range int64(jobs) {
				switch _, err := b.Claim(ctx(t), id+n, fmt.Sprint("r", r), long); {
				case err == nil:
					won[n].Add(1)
				case !errors.Is(err, ledger.ErrState):
					t.Errorf("job %d: %v", n, err)
				}
			}
		})
	}
	wg.Wait()
	for n := range won {
		if won[n].Load() != 1 {
			t.Errorf("job %d was claimed %d times", n, won[n].Load())
		}
	}
}

// TestAClaimWhoseAnswerWasLost: the client repeats it by itself.
func TestAClaimWhoseAnswerWasLost(t *testing.T) {
	b := open(t)
	b.bring("queued")
	want := ledger.Claim{Payload: payload, Grant: grant, Ticket: "r1/0"}
	for range 2 {
		got, err := b.Claim(ctx(t), id, "r1/0/a", long)
		b.must(err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	if _, err := b.Claim(ctx(t), id, "r1/0/b", long); !errors.Is(err, ledger.ErrState) {
		t.Errorf("another claim of the same runner: %v, want ErrState", err)
	}
	b.must(b.Start(ctx(t), id, "r1/0/a"))
	if _, err := b.Claim(ctx(t), id, "r1/0/a", long); !errors.Is(err, ledger.ErrState) {
		t.Errorf("claimed after its start: %v, want ErrState", err)
	}
}

func TestNextDropsWhatIsNoJob(t *testing.T) {
	b := open(t)
	b.must(b.rdb.RPush(ctx(t), b.key("queue"), "no number", "99999999999999999999", "", id).Err())
	for range 3 {
		if got, err := b.Next(ctx(t), 0); !errors.Is(err, ledger.ErrNone) {
			t.Fatalf("Next = %d, %v; want ErrNone", got, err)
		}
	}
	if got, err := b.Next(ctx(t), 0); err != nil || got != id {
		t.Errorf("Next = %d, %v; want %d", got, err, id)
	}
	if _, err := b.Claim(ctx(t), id, "r1", long); !errors.Is(err, ledger.ErrUnknown) {
		t.Errorf("claiming a number that is no job: %v", err)
	}
}

func TestRecordOfTheWrongTypeIsAnError(t *testing.T) {
	b := open(t)
	b.must(b.rdb.Set(ctx(t), b.key("{1001}"), "garbage", long).Err())
	if _, err := b.Claim(ctx(t), id, "r1", long); err == nil {
		t.Error("Claim takes garbage")
	}
	if _, err := b.Load(ctx(t), id); err == nil || errors.Is(err, ledger.ErrUnknown) {
		t.Errorf("Load: %v", err)
	}
}

func TestNextWaits(t *testing.T) {
	b := open(t)
	start := time.Now()
	if _, err := b.Next(ctx(t), 0); !errors.Is(err, ledger.ErrNone) || time.Since(start) > 30*time.Second {
		t.Errorf("no wait: %v after %s", err, time.Since(start))
	}
	if _, err := b.Next(ctx(t), short); !errors.Is(err, ledger.ErrNone) {
		t.Errorf("a wait in vain: %v", err)
	}
	got := make(chan int64, 1)
	go func() {
		n, err := b.Next(ctx(t), 10*time.Second)
		if err != nil {
			t.Error(err)
		}
		got <- n
	}()
	b.blocked("1")
	b.must(b.Accept(ctx(t), id, payload, "r1/0"))
	b.must(b.Enqueue(ctx(t), id, grant))
	if n := <-got; n != id {
		t.Errorf("Next = %d, want %d", n, id)
	}
}

func TestRepairPutsALostNumberBackOnce(t *testing.T) {
	b := open(t)
	b.must(b.Accept(ctx(t), id, payload, "r1/0"))
	b.must(b.Enqueue(ctx(t), id, grant))
	if _, err := b.Next(ctx(t), 0); err != nil { // by a runner that dies before Claim
		t.Fatal(err)
	}
	for range 3 {
		b.must(b.Repair(ctx(t), id))
	}
	n, err := b.rdb.LLen(ctx(t), b.key("queue")).Result()
	if err != nil || n != 1 {
		t.Errorf("queued %d times, %v", n, err)
	}
	b.everythingExpires()
}

func TestRunnerThatDiesBeforeTheScriptIsReplaced(t *testing.T) {
	b := open(t)
	b.bring("queued")
	_, _ = b.Next(ctx(t), 0)
	_, err := b.Claim(ctx(t), id, "r1", short)
	b.must(err)
	b.must(b.Append(ctx(t), id, "r1", 0, []byte("preparing")))
	if err = b.Release(ctx(t), id); err != nil && !errors.Is(err, ledger.ErrLost) {
		t.Fatal(err)
	}
	released := err == nil // the lease is short
	b.eventually("the lease has expired", func() bool { return released || b.Release(ctx(t), id) == nil })
	if n, err := b.Next(ctx(t), 0); err != nil || n != id {
		t.Fatalf("Next = %d, %v", n, err)
	}
	c, err := b.Claim(ctx(t), id, "r2", long)
	if err != nil || c.TraceSize != 9 {
		t.Fatalf("Claim = %+v, %v; want it to go on from 9 bytes", c, err)
	}
	for name, err := range map[string]error{
		"Start": b.Start(ctx(t), id, "r1"), "Renew": b.renew("r1"),
		"Append": b.Append(ctx(t), id, "r1", 9, []byte("late")), "Finish": b.Finish(ctx(t), id, "r1", result, 0),
	} {
		if !errors.Is(err, ledger.ErrLost) {
			t.Errorf("%s by the first runner: %v, want ErrLost", name, err)
		}
	}
	b.must(b.Start(ctx(t), id, "r2"))
	b.must(b.Append(ctx(t), id, "r2", c.TraceSize, []byte(" again")))
	trace, err := b.Trace(ctx(t), id, 0, 100)
	if r := b.load(); err != nil || r.Runner != "r2" || string(trace) != "preparing again" {
		t.Errorf("trace %q of %+v; want what GitLab may have, and r2's after it", trace, r)
	}
}

func TestRunnerThatDiesWithinTheScriptIsNot(t *testing.T) {
	b := open(t)
	b.bring(stranded)
	if err := b.Release(ctx(t), id); !errors.Is(err, ledger.ErrState) {
		t.Fatalf("Release of a started job: %v", err)
	}
	b.must(b.Close(ctx(t), id, []byte("\nthe runner is gone\n"), result))
	trace, err := b.Trace(ctx(t), id, 0, 100)
	b.must(err)
	r := b.load()
	if string(trace) != "1234\nthe runner is gone\n" || r.TraceSize != int64(len(trace)) || string(r.Result) != string(result) {
		t.Errorf("trace %q, record %+v", trace, r)
	}
	if err := b.renew("r1"); !errors.Is(err, ledger.ErrLost) {
		t.Errorf("the runner comes back: %v, want ErrLost", err)
	}
}

func TestRunnerAnnouncesItsJobAfterRedisLostIt(t *testing.T) {
	s := redistest.Private(t)
	b := on(t, s)
	b.bring("running")
	b.must(s.Flush(ctx(t)))
	for name, err := range map[string]error{
		"Start": b.Start(ctx(t), id, "r1"), "Renew": b.renew("r1"),
		"Append": b.Append(ctx(t), id, "r1", 4, []byte("5")), "Finish": b.Finish(ctx(t), id, "r1", result, 4),
	} {
		if !errors.Is(err, ledger.ErrUnknown) {
			t.Errorf("%s: %v, want ErrUnknown, or the runner would give the job up", name, err)
		}
	}
	c := ledger.Claim{Payload: payload, Grant: grant, Ticket: "r1/0"}
	b.must(b.Restore(ctx(t), id, c, "r1", long))
	want := ledger.Record{ID: id, State: ledger.Running, Ticket: "r1/0", Grant: grant, Runner: "r1", Leased: true}
	if diff := cmp.Diff(want, b.load(), cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	if active, err := b.Active(ctx(t), 9); err != nil || len(active) != 1 {
		t.Errorf("Active = %v, %v; want the job", active, err)
	}
	var gap *ledger.RangeError
	if err := b.Append(ctx(t), id, "r1", 4, []byte("5")); !errors.As(err, &gap) || gap.Size != 0 {
		t.Fatalf("Append at the old offset: %v, want a RangeError from 0", err)
	}
	b.must(b.Append(ctx(t), id, "r1", gap.Size, []byte("12345")))
	b.must(b.Finish(ctx(t), id, "r1", result, 5))
	b.everythingExpires()
}

// For how long a job waits is in Redis: whoever tends it may be new to it.
func TestHowLongAJobHasWaited(t *testing.T) {
	b := open(t)
	waits := func(what string, state ledger.State, least, most time.Duration) {
		t.Helper()
		r, err := b.Load(ctx(t), id)
		b.must(err)
		if r.State != state || r.Waited < least || r.Waited > most {
			t.Errorf("%s: %s, waited %s, want %s to %s", what, r.State, r.Waited, least, most)
		}
	}
	const soon = 30 * time.Second // this machine may be busy
	back := func(d time.Duration) {
		b.must(b.rdb.HSet(ctx(t), b.key("{1001}"), "since", time.Now().Add(-d).Unix()).Err())
	}
	b.bring("accepted")
	waits("a new job", ledger.Accepted, 0, soon)
	back(time.Hour)
	waits("an old job", ledger.Accepted, time.Hour-soon, time.Hour+soon)
	b.must(b.Enqueue(ctx(t), id, grant))
	waits("in the queue", ledger.Queued, 0, soon)
	back(time.Hour)
	waits("long in the queue", ledger.Queued, time.Hour-soon, time.Hour+soon)
	_, err := b.Claim(ctx(t), id, "r1", long)
	b.must(err)
	waits("in a runner's hands", ledger.Claimed, 0, 0)
	b.must(b.rdb.Del(ctx(t), b.key("{1001}:lease")).Err())
	b.must(b.Release(ctx(t), id))
	waits("given back", ledger.Queued, 0, soon)
	back(-time.Hour)
	waits("by a clock that was put back", ledger.Queued, 0, 0)
	b.must(b.rdb.HDel(ctx(t), b.key("{1001}"), "since").Err())
	waits("as an older version wrote it", ledger.Queued, 0, 0)
	if n := b.rdb.HExists(ctx(t), b.key("{1001}"), "since").Val(); !n {
		t.Error("the wait of a record of an older version never begins")
	}
	b.must(b.rdb.Del(ctx(t), b.key("{1001}")).Err())
	if _, err := b.Load(ctx(t), id); !errors.Is(err, ledger.ErrUnknown) || b.rdb.Exists(ctx(t), b.key("{1001}")).Val() != 0 {
		t.Errorf("an unknown job is known once it is read: %v", err)
	}
}
