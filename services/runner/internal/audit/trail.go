package audit

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/towline/towline/pkg/gate"
	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/pkg/service"
)

// Limits of a destination.
const (
	// MaxQueue is how many records wait while a destination is slow or away.
	MaxQueue = 4096
	// MaxBatch is how many go there at once.
	MaxBatch = 100
	// sendTimeout bounds one attempt.
	sendTimeout = 10 * time.Second
	// partingTimeout is how long the last records have when the runner ends.
	partingTimeout = 5 * time.Second
	// reportEvery is the least time between two log lines about one destination.
	reportEvery = 10 * time.Second
)

// Destination takes records, each as JSON. An error means that none has arrived
// for certain; they are sent again.
type Destination interface {
	Send(ctx context.Context, records []json.RawMessage) error
}

// Trail is a gate.Audit with destinations. It is safe for concurrent use.
type Trail struct {
	log   *slog.Logger
	lines []*line
}

// line is the queue in front of one destination.
type line struct {
	name    string
	to      Destination
	queue   chan gate.Record
	dropped atomic.Int64 // since the last log line
	lost    prometheus.Counter
	sent    prometheus.Counter
}

// New returns a Trail without destinations.
func New(log *slog.Logger) *Trail { return &Trail{log: log} }

// To adds a destination. It is not to be called once records come.
func (t *Trail) To(name string, to Destination, m *Metrics) {
	t.lines = append(t.lines, &line{
		name: name, to: to, queue: make(chan gate.Record, MaxQueue),
		lost: m.dropped.WithLabelValues(name), sent: m.sent.WithLabelValues(name),
	})
}

// Record implements gate.Audit.
func (t *Trail) Record(r gate.Record) {
	for _, l := range t.lines {
		select {
		case l.queue <- r:
		default:
			l.drop(1)
		}
	}
}

func (l *line) drop(n int) {
	l.dropped.Add(int64(n))
	l.lost.Add(float64(n))
}

// Run sends records until ctx ends, and those that are left for a few seconds
// more.
func (t *Trail) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for _, l := range t.lines {
		all.Go(func() { t.serve(ctx, l) })
	}
	all.Wait()
	return nil
}

func (t *Trail) serve(ctx context.Context, l *line) {
	report := time.NewTicker(reportEvery)
	defer report.Stop()
	defer t.report(l)
	for {
		select {
		case <-ctx.Done():
			t.part(ctx, l)
			return
		case <-report.C:
			t.report(l)
		case r := <-l.queue:
			batch := l.batch(r)
			if !t.send(ctx, l, batch) {
				t.part(ctx, l, batch...)
				return
			}
		}
	}
}

// report logs what was dropped.
func (t *Trail) report(l *line) {
	if n := l.dropped.Swap(0); n > 0 {
		t.log.Error("audit records dropped: the destination is slow or away; the log has their lines", "destination", l.name, "records", n)
	}
}

// batch is a record with those that wait behind it.
func (l *line) batch(first ...gate.Record) []gate.Record {
	for len(first) < MaxBatch {
		select {
		case r := <-l.queue:
			first = append(first, r)
		default:
			return first
		}
	}
	return first
}

// send tries until the records have arrived, or ctx ends.
func (t *Trail) send(ctx context.Context, l *line, batch []gate.Record) bool {
	if len(batch) == 0 {
		return true
	}
	records := make([]json.RawMessage, len(batch))
	for i, r := range batch {
		records[i], _ = json.Marshal(r) // a struct of texts and numbers
	}
	var told time.Time
	return retry.Policy{Min: 200 * time.Millisecond, Max: 15 * time.Second}.Loop(ctx, func(ctx context.Context) retry.Result {
		sending, cancel := context.WithTimeout(ctx, sendTimeout)
		defer cancel()
		err := l.to.Send(sending, records)
		if err == nil {
			l.sent.Add(float64(len(batch)))
			return retry.Result{Outcome: retry.Done}
		}
		if time.Since(told) >= reportEvery {
			told = time.Now()
			t.log.Warn("audit records wait: the destination does not take them", "destination", l.name, "waiting", len(batch)+len(l.queue), service.Err(err))
		}
		t.report(l)
		return retry.Result{Outcome: retry.Failed}
	})
}

// part sends what is left when the runner ends.
func (t *Trail) part(ctx context.Context, l *line, left ...gate.Record) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), partingTimeout)
	defer cancel()
	for {
		left = l.batch(left...)
		if len(left) == 0 {
			return
		}
		if !t.send(ctx, l, left) {
			l.drop(len(left) + len(l.queue))
			return
		}
		left = nil
	}
}
