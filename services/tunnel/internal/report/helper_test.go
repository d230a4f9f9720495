package report

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/towline/towline/pkg/eventually"
	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
	"github.com/towline/towline/pkg/outputtest"
	"github.com/towline/towline/pkg/seal"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

const (
	id       = int64(1001)
	jobToken = "glcbt-64_jobsecret"
	lease    = time.Minute
)

// strict is a GitLab that takes each byte once and in order, from one writer at
// a time. patch and put, if set, answer first; a zero outcome leaves it to the
// rules.
type strict struct {
	t     *testing.T
	patch func(offset int64, data []byte) gitlab.PatchResult
	put   func(u gitlab.Update) gitlab.UpdateResult

	mu      sync.Mutex
	busy    bool
	since   time.Time // of the call that makes it busy
	log     []byte
	status  gitlab.Status
	final   *gitlab.Update
	calls   []string
	at      []time.Time
	every   time.Duration
	pieces  []int
	offsets []int64
}

// enter notes a call. Two at once for one job would be two writers; only a pulse
// may come beside a call that takes long.
func (g *strict) enter(call string, token gitlab.JobToken) (leave func()) {
	g.mu.Lock()
	beside := g.busy && call == "PUT running" && time.Since(g.since) > pulse/2
	if g.busy && !beside {
		g.t.Error("two calls for one job at once")
	}
	if string(token) != jobToken {
		g.t.Errorf("%s with token %q", call, string(token))
	}
	if !beside {
		g.busy, g.since = true, time.Now()
	}
	g.calls, g.at = append(g.calls, call), append(g.at, time.Now())
	g.mu.Unlock()
	return func() {
		g.mu.Lock()
		g.busy = g.busy && beside
		g.mu.Unlock()
	}
}

func (g *strict) PatchTrace(_ context.Context, n int64, token gitlab.JobToken, offset int64, data []byte, _ bool) gitlab.PatchResult {
	defer g.enter(fmt.Sprintf("PATCH %d+%d", offset, len(data)), token)()
	if len(data) == 0 || len(data) > gitlab.MaxPatch || n != id {
		g.t.Errorf("job %d: a piece of %d bytes", n, len(data))
	}
	g.mu.Lock()
	g.pieces, g.offsets = append(g.pieces, len(data)), append(g.offsets, offset)
	g.mu.Unlock()
	if g.patch != nil {
		if r := g.patch(offset, data); r.Outcome != 0 {
			return r
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	size := int64(len(g.log))
	switch {
	case g.final != nil || g.status.Over():
		return gitlab.PatchResult{Outcome: gitlab.PatchJobGone, Status: g.status}
	case offset != size && offset+int64(len(data)) != size:
		return gitlab.PatchResult{Outcome: gitlab.PatchRewind, Size: size, Status: g.status}
	case offset == size:
		g.log = append(g.log, data...)
	}
	return gitlab.PatchResult{Outcome: gitlab.PatchAccepted, Size: int64(len(g.log)), Status: g.status, Interval: g.every}
}

func (g *strict) UpdateJob(_ context.Context, n int64, token gitlab.JobToken, u gitlab.Update) gitlab.UpdateResult {
	defer g.enter("PUT "+u.State, token)()
	if n != id {
		g.t.Errorf("PUT for job %d", n)
	}
	if g.put != nil {
		if r := g.put(u); r.Outcome != 0 {
			return r
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.final != nil || g.status.Over():
		return gitlab.UpdateResult{Outcome: gitlab.UpdateJobGone, Status: g.status}
	case u.State == "running":
		return gitlab.UpdateResult{Outcome: gitlab.UpdateAccepted, Status: g.status}
	}
	if want := fmt.Sprintf("crc32:%08x", crc32.ChecksumIEEE(g.log)); u.Checksum != want || u.Size != int64(len(g.log)) {
		g.t.Errorf("final state says %s of %d bytes, GitLab holds %s of %d", u.Checksum, u.Size, want, len(g.log))
	}
	g.final = &u
	return gitlab.UpdateResult{Outcome: gitlab.UpdateAccepted, Status: gitlab.Status(u.State)}
}

func (g *strict) set(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

func (g *strict) trace() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return string(g.log)
}

// told are the calls so far, without the pulses: one may come beside each call
// that takes long.
func (g *strict) told() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(g.calls), func(c string) bool { return c == "PUT running" })
}

func (g *strict) ended() *gitlab.Update {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.final
}

// count counts calls that begin so.
func (g *strict) count(prefix string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, c := range g.calls {
		if strings.HasPrefix(c, prefix) {
			n++
		}
	}
	return n
}

// admit is a decision: by default the job is queued.
type admit func(ctx context.Context, b *bench) error

// bench is a ledger on a real server, a GitLab and the runner's side of it.
type bench struct {
	*ledger.Ledger
	tb     *testing.T
	git    *strict
	box    *seal.Box
	redis  *redis.Client // a look behind the ledger's back
	prefix string
	server *redistest.Server
	decide admit
	lines  *lines
}

func newBench(t *testing.T) *bench { return benchOn(t, redistest.New(t)) }

func benchOn(t *testing.T, s *redistest.Server) *bench {
	t.Helper()
	box, err := seal.New(bytes.Repeat([]byte{7}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{tb: t, git: &strict{t: t}, box: box, redis: s.Client(), prefix: redistest.Prefix(t), server: s, lines: &lines{}}
	b.Ledger = b.client()
	b.decide = func(ctx context.Context, b *bench) error { return b.Enqueue(ctx, id, []byte("warrant")) }
	return b
}

func (b *bench) client() *ledger.Ledger {
	rdb, err := ledger.Open(b.server.URL + "?read_timeout=2s")
	b.must(err)
	b.tb.Cleanup(func() { _ = rdb.Close() })
	return ledger.New(rdb, b.prefix)
}

// Admit implements Admitter.
func (b *bench) Admit(ctx context.Context, job *jobspec.Job, _ []byte) error {
	if job.ID != id {
		b.tb.Errorf("job %d is to be admitted", job.ID)
	}
	return b.decide(ctx, b)
}

func (b *bench) keeper(name string) *Keeper {
	return NewKeeper(Config{
		GitLab: b.git, Ledger: b.client(), Seal: b.box, Admit: b, Tunnel: name, Wait: time.Minute,
		Log:     slog.New(slog.NewTextHandler(b.lines, &slog.HandlerOptions{Level: slog.LevelDebug})).With("tunnel", name),
		Metrics: NewMetrics(prometheus.NewRegistry()),
	})
}

// start runs a keeper; stop ends it and waits.
func (b *bench) start(k *Keeper) (stop func()) {
	ctx, cancel := context.WithCancel(b.tb.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := k.Run(ctx); err != nil {
			b.tb.Errorf("Run: %v", err)
		}
	}()
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); <-done }) }
	b.tb.Cleanup(stop)
	return stop
}

// tender is a tender of the job in its present state, without a keeper's loop.
func (b *bench) tender() *tender {
	b.tb.Helper()
	t, err := b.keeper("t1").tenderOf(b.tb.Context(), id)
	b.must(err)
	awake := make(chan struct{})
	close(awake) // steps do not rest
	t.wake = awake
	t.started, t.interval = true, firstInterval
	return t
}

// step lets a tender do one step with the present record.
func (b *bench) step(t *tender) bool {
	b.tb.Helper()
	rec, err := b.Load(b.tb.Context(), id)
	b.must(err)
	t.canceled = rec.Cancel
	return t.step(b.tb.Context(), rec)
}

func payload() []byte {
	b, err := json.Marshal(jobspec.Job{ID: id, Token: jobToken, JobInfo: jobspec.JobInfo{ProjectID: 20, ProjectFullPath: "acme/app"}, Features: jobspec.Features{FailureReasons: []string{"runner_external_dependency_failure"}}})
	if err != nil {
		panic(err)
	}
	return b
}

// accept records the job as the poller does.
func (b *bench) accept() {
	b.tb.Helper()
	sealed, err := ledger.SealPayload(b.box, id, payload())
	b.must(err)
	b.must(b.Accept(b.tb.Context(), id, sealed, "r1/0"))
}

// claim takes the job as a runner does, and starts its script.
func (b *bench) claim(runner string) {
	b.tb.Helper()
	b.eventually("the job is queued", func() bool { return b.state() == ledger.Queued })
	_, err := b.Claim(b.tb.Context(), id, runner, lease)
	b.must(err)
}

func (b *bench) running() {
	b.tb.Helper()
	b.accept()
	b.must(b.Enqueue(b.tb.Context(), id, []byte("warrant")))
	b.claim("r1")
	b.must(b.Start(b.tb.Context(), id, "r1"))
}

// write appends to the trace as the runner does.
func (b *bench) write(text string) {
	b.tb.Helper()
	b.must(b.Append(b.tb.Context(), id, "r1", b.record().TraceSize, []byte(text)))
}

func (b *bench) finish(r ledger.Result) {
	b.tb.Helper()
	sealed, err := ledger.SealJSON(b.box, id, r)
	b.must(err)
	b.must(b.Finish(b.tb.Context(), id, "r1", sealed, b.record().TraceSize))
}

// waited makes a job look as if it had been in its state for so long.
func (b *bench) waited(d time.Duration) {
	b.tb.Helper()
	b.must(b.redis.HSet(b.tb.Context(), b.prefix+":{1001}", "since", time.Now().Add(-d).Unix()).Err())
}

func (b *bench) loseLease() {
	b.tb.Helper()
	b.must(b.redis.Del(b.tb.Context(), b.prefix+":{1001}:lease").Err())
}

func (b *bench) record() ledger.Record {
	b.tb.Helper()
	r, err := b.Load(b.tb.Context(), id)
	if errors.Is(err, ledger.ErrUnknown) {
		return ledger.Record{State: "unknown"}
	}
	b.must(err)
	return r
}

func (b *bench) state() ledger.State { b.tb.Helper(); return b.record().State }

// full is the whole trace in the ledger.
func (b *bench) full() string {
	b.tb.Helper()
	data, err := b.Trace(b.tb.Context(), id, 0, ledger.MaxTrace)
	b.must(err)
	return string(data)
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

// lines keeps what was logged.
type lines struct{ outputtest.Buffer }

func (l *lines) count(text string) int { return strings.Count(l.String(), text) }
