package worker

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/services/runner/internal/inquiry"
	"github.com/towline/towline/services/runner/internal/job"
)

// Limits of what one job may ask; its script can ask without the command.
const (
	// maxQuestions are answered at a time; more get no answer.
	maxQuestions = 4
	// questionPace is how long each of them takes at least.
	questionPace = 250 * time.Millisecond
	// wishPace is how often a job may have a source looked at.
	wishPace = 2 * time.Second
	// answerWithin bounds one look at the ledger.
	answerWithin = 10 * time.Second
	// replyWithin is how long a job process may leave an answer unread. It is
	// told nothing more afterwards.
	replyWithin = time.Second
)

// Desk answers questions about entries of gitops.
type Desk interface {
	Answer(ctx context.Context, who inquiry.Asker, q inquiry.Question) inquiry.Answer
}

// questions are those of one job.
type questions struct {
	asked sync.WaitGroup
	open  atomic.Int64
	deaf  atomic.Bool // it does not read its answers

	mu     sync.Mutex
	wished time.Time
}

// take answers a question beside the reading of frames. ctx ends with the
// process.
func (r *running) take(ctx context.Context, e job.Event) {
	q := &r.questions
	if r.w.Desk == nil || q.deaf.Load() {
		return
	}
	if q.open.Add(1) > maxQuestions {
		q.open.Add(-1)
		return
	}
	q.asked.Go(func() {
		defer q.open.Add(-1)
		question := *e.Question
		question.Wake = question.Wake && q.mayWish(time.Now())
		r.reply(ctx, e.Number, question)
		retry.Sleep(ctx, questionPace)
	})
}

func (q *questions) mayWish(now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if now.Sub(q.wished) < wishPace {
		return false
	}
	q.wished = now
	return true
}

// reply answers one question. Who asks is what policy has signed.
func (r *running) reply(ctx context.Context, number int64, question inquiry.Question) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	claims := r.a.session.Claims()
	who := inquiry.Asker{Project: claims.Job.ProjectPath, Commit: r.a.job.GitInfo.SHA, Agent: claims.Agent.ID}
	c := job.Control{Reply: &job.Reply{Number: number, Answer: r.w.Desk.Answer(ctx, who, question)}}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.questions.deaf.Load() {
		return
	}
	if r.proc.tell(replyWithin, func(w io.Writer) error { return job.WriteControl(w, c) }) != nil {
		r.questions.deaf.Store(true)
	}
}
