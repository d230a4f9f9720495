package worker

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
	"github.com/towline/towline/services/runner/internal/inquiry"
)

// desk answers with what it was asked, and keeps it.
type desk struct {
	mu     sync.Mutex
	asked  []inquiry.Asker
	wishes int
	large  bool // all answers but the first, which the job still reads
}

func (d *desk) Answer(_ context.Context, who inquiry.Asker, q inquiry.Question) inquiry.Answer {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, who)
	if q.Wake {
		d.wishes++
	}
	a := inquiry.Answer{Refusal: "about " + q.Entry}
	if d.large && len(d.asked) > 1 {
		a.Note = strings.Repeat("x", 1<<20)
	}
	return a
}

func TestWhoAsksIsWhatTheGrantSays(t *testing.T) {
	t.Parallel()
	d := &desk{}
	b := run(t, redistest.New(t), func(b *bench) { b.Desk = d })
	b.put(id, []string{"start", "ask 1 acme/other", "reply", "result success"}, func(o *order) { o.payload["git_info"] = map[string]any{"sha": "4f5e6d"} })
	if res, trace := b.finished(id); res != success || trace != "1: about acme/other\n" {
		t.Errorf("%+v, %q", res, trace)
	}
	if diff := cmp.Diff([]inquiry.Asker{{Project: "group/app", Commit: "4f5e6d", Agent: 5}}, d.asked); diff != "" {
		t.Error(diff)
	}
}

func TestManyQuestionsAtOnceAreNotAnswered(t *testing.T) {
	t.Parallel()
	d := &desk{}
	b := run(t, redistest.New(t), func(b *bench) { b.Desk = d })
	lines := []string{"start", "ask 5000 e"}
	for range maxQuestions {
		lines = append(lines, "reply")
	}
	b.put(id, append(lines, "result success"))
	begun := time.Now()
	if res, trace := b.finished(id); res != success || strings.Count(trace, "about e") != maxQuestions {
		t.Errorf("%+v, %q", res, trace)
	}
	took := time.Since(begun)
	most := maxQuestions * (2 + int(took/questionPace))
	if d.wishes < 1 || d.wishes > 1+int(took/wishPace) || len(d.asked) > most {
		t.Errorf("%d wishes and %d answers", d.wishes, len(d.asked))
	}
}

// TestAJobThatDoesNotReadItsAnswersCanBeCancelled: answers must not hold up what
// the supervisor has to say.
func TestAJobThatDoesNotReadItsAnswersCanBeCancelled(t *testing.T) {
	t.Parallel()
	d := &desk{large: true}
	b := run(t, redistest.New(t), func(b *bench) { b.Desk = d })
	b.put(id, []string{"start", "ask 1 e", "reply", "print started", "stop reading", "ask 100 e", "hang"})
	b.says(id, "started")
	b.must(b.patient.Cancel(t.Context(), id, ledger.CancelAbort))
	began := time.Now()
	if res, _ := b.finished(id); res != failed(ledger.ReasonCanceled, 0) {
		t.Errorf("result = %+v", res)
	}
	if took := time.Since(began); took > 40*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestWithoutADeskNobodyAnswers(t *testing.T) {
	t.Parallel()
	b := run(t, redistest.New(t))
	b.put(id, []string{"start", "ask 3 e", fmt.Sprintf("event %s", `{"type":"question"}`), "result success"})
	if res, _ := b.finished(id); res == success {
		t.Error("a question of no form is taken for one")
	}
}

func TestWishesOfOneJobAreBounded(t *testing.T) {
	var q questions
	now := time.Now()
	if !q.mayWish(now) || q.mayWish(now.Add(wishPace-1)) || !q.mayWish(now.Add(wishPace)) {
		t.Error("wishes are not bounded")
	}
}
