package intake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/towline/towline/pkg/eventually"
	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
	"github.com/towline/towline/pkg/outputtest"
	"github.com/towline/towline/pkg/seal"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

const (
	jobToken  = "glcbt-64_jobsecret"
	commitSHA = "714a629c0b401fdce83e847fc9589983fc6f46bc"
)

// payloadOf is a job as GitLab sends it, with variables of its author.
func payloadOf(id int64, vars ...jobspec.Variable) []byte {
	protected := true
	b, err := json.Marshal(jobspec.Job{
		ID: id, Token: jobToken, Variables: vars,
		JobInfo: jobspec.JobInfo{Name: "deploy", ProjectID: 20, PipelineID: 574, ProjectFullPath: "acme/app", UserID: 3},
		GitInfo: jobspec.GitInfo{Ref: "main", RefType: "branch", SHA: commitSHA, Protected: &protected}, Image: &jobspec.Image{Name: "kubectl:$VERSION"}, RunnerInfo: jobspec.RunnerInfo{Timeout: 600},
	})
	if err != nil {
		panic(err)
	}
	return b
}

func received(id int64) gitlab.RequestResult {
	p := payloadOf(id)
	job, err := jobspec.Decode(p)
	if err != nil {
		panic(err)
	}
	return gitlab.RequestResult{Outcome: gitlab.JobReceived, Job: job, Payload: p}
}

var nothing = gitlab.RequestResult{Outcome: gitlab.NoJob}

// source is a GitLab that plays answers to requests for a job; without any left
// it has no job. ask, if set, answers in their place.
type source struct {
	ask func(ctx context.Context, n int, cursor string) gitlab.RequestResult
	// patches and updates are played likewise; without any left all is accepted.
	patches []gitlab.PatchResult
	updates []gitlab.UpdateResult

	mu      sync.Mutex
	answers []gitlab.RequestResult
	at      []time.Time
	cursors []string
	open    int // requests under way
	most    int // the most of them at once
	calls   []string
	log     []byte
}

func (s *source) RequestJob(ctx context.Context, cursor string) gitlab.RequestResult {
	s.mu.Lock()
	s.at, s.cursors = append(s.at, time.Now()), append(s.cursors, cursor)
	n := len(s.at)
	s.open++
	s.most = max(s.most, s.open)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.open--
		s.mu.Unlock()
	}()
	if s.ask != nil {
		return s.ask(ctx, n, cursor)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.answers) == 0 {
		return nothing
	}
	r := s.answers[0]
	s.answers = s.answers[1:]
	return r
}

func (s *source) PatchTrace(_ context.Context, id int64, token gitlab.JobToken, offset int64, data []byte, _ bool) gitlab.PatchResult {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, fmt.Sprintf("PATCH %d@%d", id, offset))
	if string(token) != jobToken {
		return gitlab.PatchResult{Outcome: gitlab.PatchJobGone}
	}
	r := gitlab.PatchResult{Outcome: gitlab.PatchAccepted}
	if len(s.patches) > 0 {
		r, s.patches = s.patches[0], s.patches[1:]
	}
	if r.Outcome == gitlab.PatchAccepted {
		s.log = append(s.log[:offset], data...)
	}
	return r
}

func (s *source) UpdateJob(_ context.Context, id int64, _ gitlab.JobToken, u gitlab.Update) gitlab.UpdateResult {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, strings.TrimSpace(fmt.Sprintf("PUT %d %s %s", id, u.State, u.FailureReason)))
	if u.Checksum != "" && u.Size != int64(len(s.log)) {
		panic("final state with a wrong size")
	}
	r := gitlab.UpdateResult{Outcome: gitlab.UpdateAccepted}
	if len(s.updates) > 0 {
		r, s.updates = s.updates[0], s.updates[1:]
	}
	return r
}

func (s *source) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.at)
}

func (s *source) made() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

func (s *source) trace() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.log)
}

// bench is a ledger on a real server with a poller on it.
type bench struct {
	*Poller
	tb     testing.TB
	src    *source
	health *service.Health
	box    *seal.Box
	lines  *outputtest.Buffer
	redis  *redis.Client // a look behind the ledger's back
	prefix string

	mu    sync.Mutex
	taken []int64
}

func newBench(tb testing.TB, s *redistest.Server, src *source) *bench {
	tb.Helper()
	return benchOn(tb, s, redistest.Prefix(tb), "t1", src)
}

func benchOn(tb testing.TB, s *redistest.Server, prefix, tunnel string, src *source) *bench {
	tb.Helper()
	rdb, err := ledger.Open(s.URL + "?read_timeout=2s")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = rdb.Close() })
	box, err := seal.New(bytes.Repeat([]byte{7}, seal.KeySize))
	if err != nil {
		tb.Fatal(err)
	}
	b := &bench{tb: tb, src: src, box: box, lines: &outputtest.Buffer{}, redis: s.Client(), prefix: prefix}
	log := slog.New(slog.NewTextHandler(b.lines, &slog.HandlerOptions{Level: slog.LevelDebug}))
	b.health = service.NewHealth(slog.New(slog.DiscardHandler))
	b.Poller = &Poller{
		GitLab: src, Ledger: ledger.New(rdb, prefix), Seal: box, Tunnel: tunnel, Every: 20 * time.Millisecond,
		Ready: func() bool { return true }, Link: b.health.Link("gitlab"), Log: log,
		Taken: func(id int64) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.taken = append(b.taken, id)
		},
	}
	return b
}

// start runs the poller; stop ends it and waits.
func (b *bench) start() (stop func()) {
	ctx, cancel := context.WithCancel(b.tb.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := b.Run(ctx); err != nil {
			b.tb.Errorf("Run: %v", err)
		}
	}()
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); <-done }) }
	b.tb.Cleanup(stop)
	return stop
}

func (b *bench) offer(tickets ...string) {
	b.tb.Helper()
	for _, t := range tickets {
		b.must(b.Ledger.Offer(b.tb.Context(), t, time.Minute))
	}
}

// tickets counts those on offer.
func (b *bench) tickets() int64 {
	b.tb.Helper()
	n, err := b.Ledger.Tickets(b.tb.Context())
	b.must(err)
	return n
}

func (b *bench) state(id int64) ledger.State {
	b.tb.Helper()
	r, err := b.Ledger.Load(b.tb.Context(), id)
	if errors.Is(err, ledger.ErrUnknown) {
		return "unknown"
	}
	b.must(err)
	return r.State
}

func (b *bench) told() []int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.taken)
}

func (b *bench) must(err error) {
	b.tb.Helper()
	if err != nil {
		b.tb.Fatal(err)
	}
}

func (b *bench) eventually(what string, ok func() bool) {
	b.tb.Helper()
	eventually.Is(b.tb, what, ok, b.lines)
}
