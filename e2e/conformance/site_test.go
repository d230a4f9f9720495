package conformance

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/e2e/rig"
	"github.com/towline/towline/pkg/eventually"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/seal"
)

const (
	projectPath = "acme/apps/shop"
	tag         = "towline"
	longPoll    = 2 * time.Second
	within      = 2 * time.Minute
	leaseFor    = 20 * time.Second
	tickets     = 60
	holder      = "runner-1/0/x"
)

// site is a GitLab with one project and one tunnel. The test plays policy, which
// allows everything, and the runner.
type site struct {
	t      *testing.T
	gitlab *sim.Server
	runner sim.Runner
	tunnel *rig.Service
	ledger *ledger.Ledger
	box    *seal.Box
	args   []string

	mu     sync.Mutex
	queued map[int64]chan struct{}
	names  int
}

// newSite starts a site. A shared one may be used by parallel tests of t.
func newSite(t *testing.T, opts sim.Options, more ...string) *site {
	t.Helper()
	s := &site{t: t, queued: map[int64]chan struct{}{}}
	if opts.LongPoll == 0 {
		opts.LongPoll = longPoll
	}
	var err error
	s.gitlab, err = sim.Start(opts)
	must(t, err)
	t.Cleanup(func() { _ = s.gitlab.Close() })
	_, err = s.gitlab.CreateProject(sim.ProjectOptions{Path: projectPath})
	must(t, err)
	s.runner, err = s.gitlab.CreateRunner(sim.RunnerOptions{Tags: []string{tag}})
	must(t, err)
	dir := t.TempDir()
	key := filepath.Join(dir, "seal.key")
	must(t, os.WriteFile(key, []byte(base64.StdEncoding.EncodeToString(make([]byte, seal.KeySize))+"\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "service.token"), []byte("token"), 0o600))
	s.box, err = seal.Load(key)
	must(t, err)
	redis, prefix := redistest.New(t), redistest.Prefix(t)
	rdb, err := ledger.Open(redis.URL)
	must(t, err)
	t.Cleanup(func() { _ = rdb.Close() })
	s.ledger = ledger.New(rdb, prefix)
	s.args = append([]string{
		"--listen=127.0.0.1:0", "--egress-listen=127.0.0.1:0", "--gitlab-url=" + s.gitlab.URL(), "--agent=" + projectPath + ":main",
		"--redis-url=" + redis.URL, "--redis-prefix=" + prefix, "--seal-key-file=" + key, "--policy-url=" + policy(t),
		"--service-token-file=" + filepath.Join(dir, "service.token"), "--poll-interval=300ms", "--log-format=json",
	}, more...)
	return s
}

// start starts the tunnel and the part of the runner.
func (s *site) start() *site {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var playing sync.WaitGroup
	for i := range tickets {
		must(s.t, s.ledger.Offer(ctx, fmt.Sprintf("runner-1/%d", i), time.Hour))
	}
	s.tunnel = s.another()
	playing.Go(func() { s.dispatch(ctx) })
	s.t.Cleanup(func() {
		cancel()
		playing.Wait()
		for _, a := range s.gitlab.AnomaliesExcept() {
			s.t.Errorf("anomaly at %s, job %d: %s", a.Endpoint, a.Job, a.What)
		}
		if s.t.Failed() {
			for _, l := range s.tunnel.Lines() {
				s.t.Logf("tunnel: %v", l)
			}
		}
	})
	return s
}

// another starts one more tunnel of the same installation.
func (s *site) another() *rig.Service {
	s.t.Helper()
	tunnel, err := rig.Alone(context.Background(), "tunnel", os.Getenv(rig.EnvBinaries), s.args, []string{"AGENT_SECRET_KEY=" + s.runner.Token})
	must(s.t, err)
	s.t.Cleanup(func() {
		if err := tunnel.Stop(); err != nil {
			s.t.Errorf("stop: %v", err)
		}
	})
	return tunnel
}

// policy allows every job.
func policy(t *testing.T) string {
	p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != policyapi.PathDecide {
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(policyapi.Decision{Allow: true, Grant: "a.b.c", Rule: "the test", Identity: grant.Identity{User: "test", Mode: "ci_job"}})
	}))
	t.Cleanup(p.Close)
	return p.URL
}

// dispatch notes which jobs are queued for a runner.
func (s *site) dispatch(ctx context.Context) {
	for ctx.Err() == nil {
		id, err := s.ledger.Next(ctx, time.Second)
		if err != nil {
			continue
		}
		select {
		case <-s.arrival(id): // put into the queue again, since nobody has claimed it
		default:
			close(s.arrival(id))
		}
	}
}

func (s *site) arrival(id int64) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queued[id] == nil {
		s.queued[id] = make(chan struct{})
	}
	return s.queued[id]
}

// prepare makes a job that waits to be played, so that faults can be aimed at it.
// yaml is what its definition has beside tags and script.
func (s *site) prepare(t *testing.T, yaml ...string) int64 {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock() // one commit and one pipeline at a time
	s.names++
	text := fmt.Sprintf("job-%d:\n  tags: [%s]\n  when: manual\n", s.names, tag)
	if len(yaml) == 0 || !strings.Contains(yaml[0], "script:") {
		text += "  script: [\"true\"]\n"
	}
	for _, l := range yaml {
		text += "  " + strings.ReplaceAll(strings.TrimSpace(l), "\n", "\n  ") + "\n"
	}
	_, err := s.gitlab.Push(projectPath, "main", map[string]string{".gitlab-ci.yml": text})
	must(t, err)
	p, err := s.gitlab.RunPipeline(sim.PipelineOptions{Project: projectPath})
	must(t, err)
	return p.Jobs[0].ID
}

func (s *site) play(t *testing.T, id int64) {
	t.Helper()
	must(t, s.gitlab.PlayJob(id, nil, ""))
}

// work is a job whose runner the test is.
type work struct {
	*site
	t      *testing.T
	id     int64
	size   int64
	cancel func()
	word   chan string // why the job shall stop
}

// take waits until the job is queued, claims it and starts its script.
func (s *site) take(t *testing.T, id int64) *work {
	t.Helper()
	select {
	case <-s.arrival(id):
	case <-time.After(within):
		j, err := s.gitlab.Job(id)
		t.Fatalf("job %d is not queued; it is %s at GitLab (%v)", id, j.Status, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	_, err := s.ledger.Claim(ctx, id, holder, leaseFor)
	must(t, err)
	must(t, s.ledger.Start(ctx, id, holder))
	w := &work{site: s, t: t, id: id, word: make(chan string, 1)}
	var renewing sync.WaitGroup
	renewing.Go(func() { w.renew(ctx) })
	w.cancel = func() {
		cancel()
		renewing.Wait()
	}
	t.Cleanup(w.cancel)
	return w
}

// run prepares, plays and takes a job.
func (s *site) run(t *testing.T, yaml ...string) *work {
	t.Helper()
	id := s.prepare(t, yaml...)
	s.play(t, id)
	return s.take(t, id)
}

func (w *work) renew(ctx context.Context) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		word, err := w.ledger.Renew(ctx, w.id, holder, leaseFor)
		if err != nil {
			return
		}
		if word != "" {
			select {
			case w.word <- word:
			default:
			}
		}
	}
}

// write appends to the log.
func (w *work) write(text string) {
	w.t.Helper()
	must(w.t, w.ledger.Append(w.t.Context(), w.id, holder, w.size, []byte(text)))
	w.size += int64(len(text))
}

// finish reports the result.
func (w *work) finish(r ledger.Result) {
	w.t.Helper()
	sealed, err := ledger.SealJSON(w.box, w.id, r)
	must(w.t, err)
	must(w.t, w.ledger.Finish(w.t.Context(), w.id, holder, sealed, w.size))
	w.cancel()
}

var success = ledger.Result{State: ledger.Success}

func failed(reason string, exit int) ledger.Result {
	return ledger.Result{State: ledger.Failed, FailureReason: reason, ExitCode: exit}
}

// ends waits for the job's end at GitLab.
func (w *work) ends() sim.Job { w.t.Helper(); return w.waitJob(w.t, w.id) }

func (s *site) waitJob(t *testing.T, id int64, states ...sim.Status) sim.Job {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	j, err := s.gitlab.Wait(ctx, id, states...)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// told waits for the word that stops the script.
func (w *work) told() string {
	w.t.Helper()
	select {
	case word := <-w.word:
		return word
	case <-time.After(within):
		w.t.Fatal("the runner is not told to stop")
		return ""
	}
}

// forgotten waits until the tunnel has let go of the job.
func (w *work) forgotten() {
	w.t.Helper()
	eventually.Is(w.t, "the job is forgotten", func() bool {
		_, err := w.ledger.Load(w.t.Context(), w.id)
		if err == nil {
			r, _ := w.ledger.Load(w.t.Context(), w.id)
			return r.State == ledger.Reported
		}
		return errors.Is(err, ledger.ErrUnknown)
	})
}

// trace waits until GitLab has a text of the log.
func (w *work) trace(text string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	must(w.t, w.gitlab.WaitTrace(ctx, w.id, text))
}

// calls lists the requests to an endpoint, of one job or of all (0).
func (s *site) calls(ep sim.Endpoint, job int64) []sim.Call {
	var out []sim.Call
	for _, c := range s.gitlab.Calls() {
		if c.Endpoint == ep && (job == 0 || c.Job == job) {
			out = append(out, c)
		}
	}
	return out
}

// count counts the events of a job.
func (s *site) count(t *testing.T, id int64, what string) int {
	t.Helper()
	j, err := s.gitlab.Job(id)
	must(t, err)
	n := 0
	for _, e := range j.Timeline {
		if e.What == what {
			n++
		}
	}
	return n
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
