package worker

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/pkg/eventually"
	"github.com/towline/towline/pkg/gate"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/joblines/linestest"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
	"github.com/towline/towline/pkg/outputtest"
	"github.com/towline/towline/pkg/seal"
	"github.com/towline/towline/services/runner/internal/job"
)

const jobToken = "glcbt-64_job-token"

// bench is one runner's worker with a real Redis, a real gate and an API server
// that the test answers for.
type bench struct {
	*Worker
	tb     testing.TB
	prefix string
	rdb    *redis.Client // looks behind the ledger's back
	box    *seal.Box
	signer *grant.Signer
	// patient is the tests' own way to what the worker's Ledger holds: on a busy
	// machine that of the worker gives up, and so it should.
	patient *ledger.Ledger
	api     func(path string) // called for each request to the API server
	log     *outputtest.Buffer
	stop    func() // ends the worker and waits for it
}

// run starts a worker on s with the usual settings, changed by change.
func run(tb testing.TB, s *redistest.Server, change ...func(*bench)) *bench {
	tb.Helper()
	b := prepare(tb, s)
	for _, f := range change {
		f(b)
	}
	b.pool = newPool(b.Command, b.Warm)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = b.Run(ctx)
	}()
	b.stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	tb.Cleanup(b.stop)
	return b
}

// prepare builds a worker and does not start it.
func prepare(tb testing.TB, s *redistest.Server) *bench {
	tb.Helper()
	b := &bench{tb: tb, prefix: redistest.Prefix(tb), rdb: s.Client(), log: &outputtest.Buffer{}}
	b.patient = ledger.New(b.rdb, b.prefix)
	var err error
	if b.box, err = seal.New(bytes.Repeat([]byte{7}, seal.KeySize)); err != nil {
		tb.Fatal(err)
	}
	_, key, _ := ed25519.GenerateKey(nil)
	if b.signer, err = grant.NewSigner(key); err != nil {
		tb.Fatal(err)
	}
	log := slog.New(slog.NewJSONHandler(b.log, nil))
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if b.api != nil {
			b.api(r.URL.Path)
		}
	}))
	tb.Cleanup(upstream.Close)
	g := newGate(tb, upstream.URL, grant.NewStaticKeys(b.signer.Public()), log)
	b.Worker = New(Config{
		Ledger: b.client(s), Seal: b.box, Gate: g, Endpoint: serveGate(tb, g),
		Runner: "r1", Name: "towline", Hostname: "host", Slots: 2,
		Command: []string{os.Args[0], fakeJob}, Dir: tb.TempDir(), Sandbox: "off", LogLimit: 1 << 20, Drain: time.Minute,
		Ready: func() bool { return true }, Metrics: NewMetrics(prometheus.NewRegistry()), Log: log,
	})
	return b
}

// slots changes the number of jobs at a time, before the worker runs.
func (b *bench) slots(n int) {
	b.Slots = n
	clear(b.free)
	for i := range n {
		b.free[i] = true
	}
}

func newGate(tb testing.TB, url string, keys grant.Keys, log *slog.Logger) *gate.Gate {
	tb.Helper()
	g, err := gate.New(gate.Config{API: &rest.Config{Host: url}, Verifier: grant.NewVerifier(keys), Log: log})
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

func serveGate(tb testing.TB, g http.Handler) Endpoint {
	tb.Helper()
	cert, ca, err := gate.SelfSigned()
	if err != nil {
		tb.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	srv := &http.Server{Handler: g, ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	go func() {
		_ = srv.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", "http/1.1"}}))
	}()
	tb.Cleanup(func() { _ = srv.Close() })
	return Endpoint{GatePort: l.Addr().(*net.TCPAddr).AddrPort().Port(), EgressPort: 1, CA: ca}
}

// client is a ledger that notices an outage quickly.
func (b *bench) client(s *redistest.Server) *ledger.Ledger {
	b.tb.Helper()
	rdb, err := ledger.Open(s.URL + "?read_timeout=2s")
	if err != nil {
		b.tb.Fatal(err)
	}
	b.tb.Cleanup(func() { _ = rdb.Close() })
	return ledger.New(rdb, b.prefix)
}

// order is a job on its way into the queue.
type order struct {
	id      int64
	payload map[string]any
	claims  grant.Claims
	digest  func([]byte) string
	sealed  func(payload, warrant []byte) ([]byte, []byte) // changes what Redis holds
	signer  *grant.Signer
}

// put queues a job whose process does what the lines say.
func (b *bench) put(id int64, lines []string, change ...func(*order)) {
	b.tb.Helper()
	o := &order{
		id: id, digest: grant.Digest, signer: b.signer,
		payload: map[string]any{
			"id": id, "token": jobToken, "job_info": map[string]any{"project_full_path": "group/app"},
			"runner_info": map[string]any{"timeout": 60}, "steps": []map[string]any{{"name": "script", "script": lines}},
			"variables": []map[string]any{{"key": "SECRET", "value": "hunter2", "masked": true}},
		},
		claims: grant.Claims{
			RegisteredClaims: jwt.RegisteredClaims{ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))},
			Job:              grant.Job{ID: id, ProjectPath: "group/app"},
			Identity:         grant.Identity{Mode: grant.ModeCIJob, User: fmt.Sprintf("gitlab:ci_job:%d", id)},
			Agent:            grant.Agent{ID: 5, Project: "group/conf", Name: "prod"},
		},
		sealed: func(p, w []byte) ([]byte, []byte) { return p, w },
	}
	for _, f := range change {
		f(o)
	}
	payload, err := json.Marshal(o.payload)
	b.must(err)
	o.claims.PayloadDigest = o.digest(payload)
	token, err := o.signer.Sign(o.claims)
	b.must(err)
	sealedPayload, err := ledger.SealPayload(b.box, id, payload)
	b.must(err)
	warrant, err := ledger.SealJSON(b.box, id, ledger.Warrant{Grant: token, SystemID: "s_1"})
	b.must(err)
	sealedPayload, warrant = o.sealed(sealedPayload, warrant)
	b.must(b.patient.Accept(b.tb.Context(), id, sealedPayload, "r1/0"))
	b.must(b.patient.Enqueue(b.tb.Context(), id, warrant))
}

func (b *bench) must(err error) {
	b.tb.Helper()
	if err != nil {
		b.tb.Fatal(err)
	}
}

// record is what the ledger holds of a job; none while Redis is away.
func (b *bench) record(id int64) ledger.Record {
	b.tb.Helper()
	r, err := b.patient.Load(b.tb.Context(), id)
	if err != nil && !errors.Is(err, ledger.ErrUnknown) {
		return ledger.Record{}
	}
	return r
}

// finished waits for a job's result and returns it with the trace.
func (b *bench) finished(id int64) (ledger.Result, string) {
	b.tb.Helper()
	var r ledger.Record
	eventually.Is(b.tb, "the job is finished", func() bool {
		r = b.record(id)
		return r.State == ledger.Finished
	})
	res, err := ledger.OpenJSON[ledger.Result](b.box, id, r.Result)
	b.must(err)
	return res, b.trace(id)
}

func (b *bench) trace(id int64) string {
	b.tb.Helper()
	t, err := b.patient.Trace(b.tb.Context(), id, 0, 64<<20)
	b.must(err)
	return linestest.Bare(string(t))
}

// says waits until a job's trace holds a text.
func (b *bench) says(id int64, text string) {
	b.tb.Helper()
	eventually.Is(b.tb, "the trace says "+text, func() bool { return strings.Contains(b.trace(id), text) })
}

// clean checks that no directory of a job is left.
func (b *bench) clean() {
	b.tb.Helper()
	eventually.Is(b.tb, "the directories are removed", func() bool {
		left, err := os.ReadDir(b.Dir)
		b.must(err)
		return len(left) == 0
	})
}

func failed(reason string, code int) ledger.Result {
	return ledger.Result{State: job.StateFailed, FailureReason: reason, ExitCode: code}
}

var success = ledger.Result{State: job.StateSuccess}
