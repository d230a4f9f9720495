package report

import (
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

// timed does a step; due says whether the next piece is due so long after it.
func (b *bench) timed(td *tender) (due func(time.Duration) bool) {
	b.tb.Helper()
	began := time.Now()
	b.step(td)
	ended := time.Now()
	return func(every time.Duration) bool {
		return !td.nextPatch.Before(began.Add(every)) && !td.nextPatch.After(ended.Add(every))
	}
}

func TestPiecesFollowTheInterval(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.running()
	td := b.tender()
	var due func(every time.Duration) bool
	step := func() { due = b.timed(td) }
	b.write("a")
	step()
	if b.git.trace() != "a" || !due(firstInterval) {
		t.Fatalf("log %q, next in %s", b.git.trace(), time.Until(td.nextPatch))
	}
	td.nextPatch = time.Now().Add(time.Hour)
	b.write("b")
	b.step(td)
	if b.git.trace() != "a" {
		t.Error("the second piece did not wait")
	}
	b.git.every, td.nextPatch = time.Minute, time.Time{}
	step()
	if b.git.trace() != "ab" || !due(time.Minute) {
		t.Errorf("log %q, next in %s", b.git.trace(), time.Until(td.nextPatch))
	}
	b.git.every, td.nextPatch = 0, time.Time{}
	b.write("c")
	step()
	if !due(time.Minute) {
		t.Errorf("without a word the interval stays, got %s", time.Until(td.nextPatch))
	}
	// The end does not wait for the interval.
	b.write("d")
	b.finish(ledger.Result{State: ledger.Success})
	if !b.step(td) || b.git.trace() != "abcd" {
		t.Errorf("log %q", b.git.trace())
	}
}

// What GitLab asks for once, because it is busy, is no new interval.
func TestBusyGitLabIsLeftAloneOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.running()
	b.write("a")
	td := b.tender()
	b.git.patch = func(int64, []byte) gitlab.PatchResult {
		return gitlab.PatchResult{Outcome: gitlab.PatchRetry, Interval: time.Minute, Why: errors.New("429")}
	}
	if due := b.timed(td); !due(time.Minute) || td.interval != firstInterval {
		t.Errorf("next piece in %s, then every %s", time.Until(td.nextPatch), td.interval)
	}
	b.git.patch, td.nextPatch = nil, time.Time{}
	if due := b.timed(td); !due(firstInterval) || b.git.trace() != "a" {
		t.Errorf("next piece in %s, log %q", time.Until(td.nextPatch), b.git.trace())
	}
	if td.asked = 5 * time.Second; td.failures != 0 {
		t.Errorf("%d failures", td.failures)
	}
}

func TestRewindsWhileTheJobRuns(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.running()
	b.write("0123456789")
	td := b.tender()
	b.step(td)
	b.git.set(func() { b.git.log = b.git.log[:3] }) // GitLab's Redis lost the rest
	b.write("ab")
	td.nextPatch = time.Time{}
	b.step(td)
	if td.acked != 3 || b.record().Acked != 3 {
		t.Errorf("acked %d, in the record %d", td.acked, b.record().Acked)
	}
	td.nextPatch = time.Time{}
	b.step(td)
	if b.git.trace() != "0123456789ab" {
		t.Errorf("log %q", b.git.trace())
	}
	if diff := cmp.Diff([]int64{0, 10, 3}, b.git.offsets); diff != "" {
		t.Error(diff)
	}
}

func TestAnAnswerThatWasLostDoublesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.running()
	b.write("0123456789")
	b.git.log = []byte("0123456789")
	td := b.tender()
	b.step(td)
	if td.acked != 10 || b.git.trace() != "0123456789" {
		t.Errorf("acked %d, log %q", td.acked, b.git.trace())
	}
}

func TestLargeLogsGoInPieces(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.running()
	line := strings.Repeat("0123456789abcde\n", 1<<14)
	for range 10 { // 2.5 MiB
		b.write(line)
	}
	b.finish(ledger.Result{State: ledger.Success})
	if !b.step(b.tender()) {
		t.Fatal("not done")
	}
	if diff := cmp.Diff([]int{1 << 20, 1 << 20, 1 << 19}, b.git.pieces); diff != "" {
		t.Error(diff)
	}
	want := gitlab.Update{State: "success", Size: 10 << 18, Checksum: fmt.Sprintf("crc32:%08x", crc32.ChecksumIEEE([]byte(strings.Repeat(line, 10))))}
	if diff := cmp.Diff(want, *b.git.ended()); diff != "" {
		t.Error(diff)
	}
}

// finals plays answers to the final state; then strict answers.
func finals(answers ...gitlab.UpdateResult) func(gitlab.Update) gitlab.UpdateResult {
	return func(u gitlab.Update) gitlab.UpdateResult {
		if u.State == "running" || len(answers) == 0 {
			return gitlab.UpdateResult{}
		}
		r := answers[0]
		answers = answers[1:]
		return r
	}
}

func TestFinalStateIsSentUntilGitLabHasIt(t *testing.T) {
	t.Parallel()
	busy := gitlab.UpdateResult{Outcome: gitlab.UpdateRetry, Why: errors.New("500")}
	for name, tt := range map[string]struct {
		answers []gitlab.UpdateResult
		calls   []string
		least   time.Duration
	}{
		"wait":           {[]gitlab.UpdateResult{{Outcome: gitlab.UpdateWait, Interval: 1200 * time.Millisecond}}, []string{"PATCH 0+4", "PUT success", "PUT success"}, 1200 * time.Millisecond},
		"wait, no pause": {[]gitlab.UpdateResult{{Outcome: gitlab.UpdateWait}}, []string{"PATCH 0+4", "PUT success", "PUT success"}, time.Second},
		"busy":           {[]gitlab.UpdateResult{busy}, []string{"PATCH 0+4", "PUT success", "PUT success"}, 500 * time.Millisecond},
		"asked to wait":  {[]gitlab.UpdateResult{{Outcome: gitlab.UpdateRetry, Interval: 1500 * time.Millisecond, Why: errors.New("429")}}, []string{"PATCH 0+4", "PUT success", "PUT success"}, 1500 * time.Millisecond},
		"gone":           {[]gitlab.UpdateResult{{Outcome: gitlab.UpdateJobGone}}, []string{"PATCH 0+4", "PUT success"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.git.put = finals(tt.answers...)
			b.running()
			b.write("log\n")
			b.finish(ledger.Result{State: ledger.Success})
			td, began := b.tender(), time.Now()
			td.run(t.Context())
			if took := time.Since(began); took < tt.least || b.state() != ledger.Reported {
				t.Errorf("job is %s after %s", b.state(), took)
			}
			if diff := cmp.Diff(tt.calls, b.git.told()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFinalStateWithTheWholeLogAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.running()
	b.write("first\n")
	td := b.tender()
	b.step(td)
	b.write("last\n")
	b.finish(ledger.Result{State: ledger.Success})
	n := 0
	b.git.put = func(u gitlab.Update) gitlab.UpdateResult {
		if u.State == "running" {
			return gitlab.UpdateResult{}
		}
		if n++; n > 2 {
			return gitlab.UpdateResult{}
		}
		b.git.set(func() { b.git.log = nil })
		return gitlab.UpdateResult{Outcome: gitlab.UpdateResend}
	}
	began := time.Now()
	td.run(t.Context())
	if b.git.trace() != "first\nlast\n" || b.state() != ledger.Reported {
		t.Errorf("log %q, job is %s", b.git.trace(), b.state())
	}
	if took := time.Since(began); took < 1400*time.Millisecond {
		t.Errorf("two rejections within %s: that is a hot loop", took)
	}
}

func TestJobGoneAtTheEndIsDropped(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.running()
	b.write("log\n")
	b.finish(ledger.Result{State: ledger.Success})
	b.git.status = gitlab.StatusCanceled
	if !b.step(b.tender()) || b.state() != ledger.Reported {
		t.Errorf("job is %s", b.state())
	}
	if diff := cmp.Diff([]string{"PATCH 0+4"}, b.git.told()); diff != "" {
		t.Error(diff)
	}
}

func TestRestOfALogThatGitLabNeverTakes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.running()
	b.write("log\n")
	b.finish(ledger.Result{State: ledger.Failed, FailureReason: ledger.ReasonScript, ExitCode: 3})
	b.git.patch = func(int64, []byte) gitlab.PatchResult {
		return gitlab.PatchResult{Outcome: gitlab.PatchRefused, Why: errors.New("404")}
	}
	b.git.put = func(gitlab.Update) gitlab.UpdateResult { return gitlab.UpdateResult{Outcome: gitlab.UpdateAccepted} }
	td := b.tender()
	td.refused = logTries - 1 // pieces before
	if !b.step(td) || b.state() != ledger.Reported {
		t.Errorf("job is %s", b.state())
	}
	told := b.git.told()
	if diff := cmp.Diff([]string{"PATCH 0+4", "PUT failed"}, told[len(told)-2:]); diff != "" {
		t.Error(diff)
	}
}

func TestTamperedResultFailsTheJob(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.running()
	b.write("log\n")
	b.must(b.Finish(t.Context(), id, "r1", []byte(`{"state":"success"}`), 4))
	if !b.step(b.tender()) {
		t.Fatal("not done")
	}
	if got := b.git.ended(); got.State != "failed" || got.FailureReason != ledger.ReasonSystem || b.git.trace() != "log\n" {
		t.Errorf("final %+v, log %q", got, b.git.trace())
	}
}

// A ledger that can be read but not written must not make the tunnel tell GitLab
// the same again and again.
func TestFinalStateIsToldOnceWhenTheLedgerIsStuck(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.running()
	b.write("log\n")
	b.finish(ledger.Result{State: ledger.Success})
	td := b.tender()
	rec := b.record()
	b.must(b.redis.Set(t.Context(), b.prefix+":hold", "", 0).Err())
	b.must(b.redis.Rename(t.Context(), b.prefix+":jobs", b.prefix+":jobs-away").Err())
	b.must(b.redis.Set(t.Context(), b.prefix+":jobs", "of another type", 0).Err())
	if td.step(t.Context(), rec) {
		t.Fatal("done, though the ledger did not take it")
	}
	b.must(b.redis.Rename(t.Context(), b.prefix+":jobs-away", b.prefix+":jobs").Err())
	if !td.step(t.Context(), rec) {
		t.Fatal("not done")
	}
	if n := b.git.count("PUT success"); n != 1 {
		t.Errorf("told %d times", n)
	}
}
