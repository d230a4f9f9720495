package worker

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towline/towline/pkg/eventually"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
	"github.com/towline/towline/services/runner/internal/job"
)

// TestAScriptWaitsForRedisAsLongAsItsProcessLives: nothing has run yet, and
// whatever ends the job ends its process.
func TestAScriptWaitsForRedisAsLongAsItsProcessLives(t *testing.T) {
	for name, end := range map[string]func(p *process, interrupt context.CancelFunc){
		"until its process ends": func(p *process, _ context.CancelFunc) { close(p.exited) },
		"until the runner stops": func(_ *process, interrupt context.CancelFunc) { interrupt() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				t.Cleanup(func() { time.Sleep(time.Minute) }) // so that the closed client has stopped dialling
				rdb, err := ledger.Open("redis://127.0.0.1:1")
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = rdb.Close() })
				w := &Worker{Config: Config{Ledger: ledger.New(rdb, "nowhere"), Log: slog.New(slog.DiscardHandler)}}
				r := &running{w: w, a: &assignment{id: id, holder: "h"}, proc: &process{exited: make(chan struct{})}}
				ctx, interrupt := context.WithCancel(t.Context())
				defer interrupt()
				ended := make(chan error, 1)
				go func() { ended <- r.begin(ctx) }()
				time.Sleep(time.Hour)
				if len(ended) != 0 {
					t.Fatalf("given up: %v", <-ended)
				}
				end(r.proc, interrupt)
				if err := <-ended; err == nil || r.begun {
					t.Errorf("begun %v, %v", r.begun, err)
				}
			})
		})
	}
}

// TestAScriptWaitsForALeaseThatRanOut: it did so while Redis was away, and nobody
// else has the job.
func TestAScriptWaitsForALeaseThatRanOut(t *testing.T) {
	t.Parallel()
	b := prepare(t, redistest.New(t))
	p, err := b.pool.take(&job.Spec{Job: jobOf("start", "exit 7")})
	b.must(err)
	defer p.discard()
	b.put(id, nil)
	claim, err := b.patient.Claim(t.Context(), id, "h", time.Millisecond)
	b.must(err)
	eventually.Is(t, "the lease has run out", func() bool { return !b.record(id).Leased })
	grant, err := ledger.OpenJSON[ledger.Warrant](b.box, id, claim.Grant)
	b.must(err)
	session, err := b.Gate.Open(t.Context(), grant.Grant)
	b.must(err)
	defer session.Close()
	r := &running{w: b.Worker, a: &assignment{id: id, holder: "h", claim: claim, session: session}, proc: p}
	ended := make(chan error, 1)
	go func() { ended <- r.begin(t.Context()) }()
	eventually.Is(t, "it waits", func() bool { return strings.Contains(b.log.String(), "script waits") })
	select {
	case err := <-ended:
		t.Fatalf("given up: %v", err)
	default:
	}
	_, err = b.patient.Renew(t.Context(), id, "h", time.Minute)
	b.must(err)
	b.must(<-ended)
	<-p.exited
	if code := p.cmd.ProcessState.ExitCode(); b.record(id).State != ledger.Running || code != 7 {
		t.Errorf("the job is %s, its process ended with %d", b.record(id).State, code)
	}
	// And never a second time.
	if err := r.begin(t.Context()); !errors.Is(err, errSpent) {
		t.Errorf("begun again: %v", err)
	}
}
