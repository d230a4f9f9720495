package inquiry

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
	"github.com/towline/towline/pkg/seal"
	"github.com/towline/towline/pkg/syncspec"
)

const entry = "acme/shop"

func commit(n int) string { return fmt.Sprintf("%040x", n) }

// bench plays the tunnel and the runner's syncer.
type bench struct {
	*testing.T
	Desk
	view syncspec.View
	me   Asker
}

func open(t *testing.T) *bench {
	t.Helper()
	rdb, err := ledger.Open(redistest.New(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rdb.Close() })
	box, err := seal.New(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, Desk: Desk{Ledger: ledger.New(rdb, redistest.Prefix(t)), Seal: box}, me: Asker{Project: entry, Commit: commit(2), Agent: 7}}
	b.view = syncspec.View{Schema: syncspec.Schema, ProjectID: 42, Entry: agentconfig.Manifests{Name: entry, Project: entry, Jobs: []string{"acme/deploy"}}}
	return b
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// publish is what a tunnel does after a look.
func (b *bench) publish(heads ...string) {
	b.Helper()
	for _, h := range heads {
		b.view.Stood(h)
	}
	text, err := json.Marshal(b.view)
	b.must(err)
	b.must(b.Ledger.PutView(b.Context(), b.Seal, entry, text))
}

func (b *bench) want() {
	b.Helper()
	_, err := b.Ledger.WantSync(b.Context(), entry, []byte("task"))
	b.must(err)
}

func (b *bench) claim() int64 {
	b.Helper()
	serial, _, err := b.Ledger.ClaimSync(b.Context(), entry, "r", time.Minute)
	b.must(err)
	return serial
}

func (b *bench) finish(serial int64, r syncspec.Report) {
	b.Helper()
	text, err := json.Marshal(r)
	b.must(err)
	sealed, err := ledger.SealSyncResult(b.Seal, entry, serial, text)
	b.must(err)
	b.must(b.Ledger.FinishSync(b.Context(), entry, "r", serial, sealed))
}

func (b *bench) ask(q Question) Answer {
	b.Helper()
	return b.Answer(b.Context(), b.me, q)
}

func (b *bench) expect(q Question, want Phase) Answer {
	b.Helper()
	a := b.ask(q)
	if a.Refusal != "" || a.Phase != want {
		b.Errorf("%s, want %s: %+v", a.Phase, want, a)
	}
	return a
}

func TestACommitOnItsWay(t *testing.T) {
	b := open(t)
	b.publish(commit(1))
	first := b.expect(Question{}, Unseen)
	q := Question{Since: &first.Now}
	b.publish(commit(2))
	b.want()
	b.expect(q, Queued)
	serial := b.claim()
	b.expect(q, Running)
	b.finish(serial, syncspec.Report{State: syncspec.Succeeded, Commit: commit(2), Objects: 3})
	if a := b.expect(q, Applied); a.Result.Summary() != "3 objects" || a.Commit != commit(2) || a.Head != commit(2) || a.Ref != "the default branch" {
		t.Errorf("%+v", a)
	}
}

func TestANewerCommitCounts(t *testing.T) {
	b := open(t)
	b.publish(commit(2), commit(3))
	b.want()
	b.finish(b.claim(), syncspec.Report{State: syncspec.Succeeded, Commit: commit(3)})
	if a := b.expect(Question{}, Applied); a.Result.Commit != commit(3) {
		t.Errorf("%+v", a)
	}
	b.expect(Question{Commit: commit(4)}, Unseen)
	b.publish(commit(4))
	b.expect(Question{Commit: commit(4)}, Queued)
}

func TestFailuresFromBeforeDoNotCount(t *testing.T) {
	b := open(t)
	b.publish(commit(2))
	b.want()
	failed := syncspec.Report{State: syncspec.Failed, Commit: commit(2), Problems: []string{"a.yaml:1: wrong"}}
	for len(failed.Problems) < maxTold+3 {
		failed.Problems = append(failed.Problems, "b")
	}
	b.finish(b.claim(), failed)
	first := b.expect(Question{}, Failed)
	if len(first.Result.Problems) != maxTold || first.Result.More != 3 {
		t.Errorf("%d problems and %d more", len(first.Result.Problems), first.Result.More)
	}
	q := Question{Since: &first.Now}
	b.expect(q, Queued)
	b.want()
	b.finish(b.claim(), failed)
	again := b.expect(q, Failed)
	b.view.Refused, b.view.Refusals = &syncspec.Report{State: syncspec.Failed, Commit: commit(2), Problems: []string{"policy says no"}}, 1
	b.publish()
	if a := b.expect(Question{Since: &again.Now}, Failed); a.Result.Summary() != "policy says no" {
		t.Errorf("%+v", a)
	}
	b.want()
	b.finish(b.claim(), syncspec.Report{State: syncspec.Superseded, Commit: commit(2)})
	refused := b.ask(Question{})
	b.expect(Question{Since: &refused.Now}, Queued)
}

func TestJobsOfOtherProjectsWaitForTheHead(t *testing.T) {
	b := open(t)
	b.publish(commit(1))
	b.me = Asker{Project: "acme/deploy", Commit: commit(9)}
	first := b.ask(Question{Entry: entry})
	if !first.Floating || first.Commit != commit(1) || b.ask(Question{Entry: entry, Commit: commit(1)}).Floating {
		t.Errorf("%+v", first)
	}
	b.expect(Question{Entry: entry, Since: &first.Now, Wake: true}, Looking)
	b.view.Answered++
	b.publish(commit(5))
	if a := b.expect(Question{Entry: entry, Since: &first.Now}, Queued); a.Commit != commit(5) {
		t.Errorf("%+v", a)
	}
}

func TestStrangersLearnNothing(t *testing.T) {
	b := open(t)
	b.view.Note = "secret state"
	b.publish(commit(1))
	want := strings.ReplaceAll(b.Answer(t.Context(), Asker{Project: "evil/x"}, Question{Entry: "none"}).Refusal, `"none"`, `"`+entry+`"`)
	for _, who := range []string{"evil/x", "acme", "acme/shop/sub", "acme/shop2"} {
		a := b.Answer(t.Context(), Asker{Project: who, Commit: commit(1)}, Question{Entry: entry, Wake: true, Settings: true})
		if diff := cmp.Diff(Answer{Refusal: strings.ReplaceAll(want, "evil/x", who)}, a); diff != "" {
			t.Error(diff)
		}
	}
	if a := b.Answer(t.Context(), Asker{}, Question{}); a.Refusal == "" {
		t.Errorf("a job without a project is told %+v", a)
	}
}

func TestQuestionsThatNobodyMeans(t *testing.T) {
	b := open(t)
	b.publish(commit(1))
	for _, q := range []Question{{Entry: "a}:task"}, {Entry: strings.Repeat("x", 300)}, {Commit: "main"}, {Commit: "abc123"}} {
		if a := b.ask(q); a.Refusal == "" || a.Phase != "" {
			t.Errorf("%+v: %+v", q, a)
		}
	}
}

func TestAViewOfAnotherEntryIsNone(t *testing.T) {
	b := open(t)
	b.view.Entry.Name = "acme/other"
	b.publish(commit(1))
	if a := b.ask(Question{}); a.Refusal == "" || !a.Again {
		t.Errorf("%+v", a)
	}
}

func TestSettingsAreToldWithoutTheIdentity(t *testing.T) {
	b := open(t)
	b.view.Entry.AccessAs = agentconfig.AccessAs{Mode: agentconfig.AsImpersonate, Impersonate: &agentconfig.Impersonate{Username: "deployer"}}
	b.publish(commit(1))
	a := b.ask(Question{Settings: true})
	if a.Settings == nil || a.Settings.Inventory != "7-42" || a.Settings.Entry.Project != entry || a.Settings.Entry.AccessAs.Impersonate != nil {
		t.Errorf("%+v", a.Settings)
	}
	if b.ask(Question{}).Settings != nil {
		t.Error("settings that nobody has asked for")
	}
}

func TestAddressesOfValuesAreNotTold(t *testing.T) {
	b := open(t)
	b.view.Entry.Chart = &agentconfig.Chart{Release: "web", Path: "chart", Values: []agentconfig.ChartValues{
		{URL: &agentconfig.ValuesURL{URL: "https://h/v?token=geheim", MaxSize: 1}}, {Inline: "a: 1"}, {File: "v.yaml"},
	}}
	b.publish(commit(1))
	got := b.ask(Question{Settings: true}).Settings.Entry.Chart
	want := &agentconfig.Chart{Release: "web", Path: "chart", Values: []agentconfig.ChartValues{{URL: &agentconfig.ValuesURL{}}, {Inline: "a: 1"}, {File: "v.yaml"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAWishReachesTheTunnel(t *testing.T) {
	b := open(t)
	b.publish(commit(1))
	heard := make(chan string, 1)
	go func() {
		_ = b.Ledger.Wished(t.Context(), func(name, commit string) {
			select {
			case heard <- name + "@" + commit:
			default:
			}
		})
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 500 {
		b.ask(Question{Wake: true})
		select {
		case name := <-heard:
			if name != entry+"@"+b.me.Commit {
				t.Errorf("heard %q", name)
			}
			return
		case <-tick.C:
		}
	}
	t.Error("no wish is heard")
}
