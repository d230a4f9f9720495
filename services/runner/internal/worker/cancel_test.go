package worker

import (
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/pkg/eventually"
	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
	"github.com/towline/towline/services/runner/internal/job"
	"github.com/towline/towline/services/runner/internal/joblog"
)

func TestCancellation(t *testing.T) {
	t.Parallel()
	canceled := failed(ledger.ReasonCanceled, 0)
	for name, c := range map[string]struct {
		word  string
		lines []string
		says  string
	}{
		"gracefully":          {ledger.CancelGraceful, []string{"until cancel", "print after_script", "result failed job_canceled"}, "told: canceled\nafter_script\n"},
		"and it still works":  {ledger.CancelGraceful, []string{"until cancel", "result success"}, "told: canceled\n"},
		"and it dies of it":   {ledger.CancelGraceful, []string{"until cancel", "die"}, "told: canceled\n\x1b[31;1mERROR: Job failed: canceled\x1b[0;m\n"},
		"aborted":             {ledger.CancelAbort, []string{"until cancel", "print after_script"}, "\x1b[31;1mERROR: Job failed: canceled\x1b[0;m\n"},
		"aborted and hanging": {ledger.CancelAbort, []string{"deaf", "hang"}, "\x1b[31;1mERROR: Job failed: canceled\x1b[0;m\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := run(t, redistest.New(t))
			b.put(id, append([]string{"start", "print started"}, c.lines...))
			b.says(id, "started")
			b.must(b.patient.Cancel(t.Context(), id, c.word))
			res, trace := b.finished(id)
			if res != canceled || trace != "started\n"+c.says {
				t.Errorf("%+v, %q", res, trace)
			}
		})
	}
}

func TestAnAbortOvertakesAGracefulCancel(t *testing.T) {
	t.Parallel()
	b := run(t, redistest.New(t))
	b.put(id, []string{"start", "until cancel", "deaf", "hang"})
	eventually.Is(t, "it runs", func() bool { return b.record(id).State == ledger.Running })
	b.must(b.patient.Cancel(t.Context(), id, ledger.CancelGraceful))
	b.says(id, "told: canceled")
	b.must(b.patient.Cancel(t.Context(), id, ledger.CancelAbort))
	if res, _ := b.finished(id); res != failed(ledger.ReasonCanceled, 0) {
		t.Errorf("result = %+v", res)
	}
}

func short(o *order) { o.payload["runner_info"] = map[string]any{"timeout": 2} }

// ample is enough for a job to have begun, on a busy machine too.
func ample(o *order) { o.payload["runner_info"] = map[string]any{"timeout": 20} }

// TestTheJobsTimeIsKept by several jobs at once; those with the shorter time
// come first.
func TestTheJobsTimeIsKept(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		lines []string
		time  func(*order)
		says  string
		least time.Duration
	}{
		{"it ignores it", []string{"start", "deaf", "hang"}, short, "\x1b[31;1mERROR: Job failed: execution took longer than 2s seconds\x1b[0;m\n", 2*time.Second + graceAfterTimeout},
		{"it never starts", []string{"deaf", "hang"}, short, "execution took longer than 2s seconds", 2*time.Second + graceAfterTimeout},
		{"it ends when told", []string{"start", "until cancel", "result failed job_execution_timeout"}, ample, "told: timeout\n", 20 * time.Second},
		{"it claims success", []string{"start", "until cancel", "result success"}, ample, "told: timeout\n", 20 * time.Second},
	}
	b := run(t, redistest.New(t), func(b *bench) { b.slots(len(cases)) })
	began := time.Now()
	for i, c := range cases {
		b.put(int64(i+1), c.lines, c.time)
	}
	for i, c := range cases {
		res, trace := b.finished(int64(i + 1))
		if res != failed(ledger.ReasonTimeout, 0) || !strings.Contains(trace, c.says) {
			t.Errorf("%s: %+v, %q", c.name, res, trace)
		}
		if took := time.Since(began); took < c.least {
			t.Errorf("%s: it took %s only", c.name, took)
		}
	}
}

// TestAProcessThatIgnoresItsCancelIsKilled asks the supervisor directly: its
// patience is minutes otherwise.
func TestAProcessThatIgnoresItsCancelIsKilled(t *testing.T) {
	t.Parallel()
	b := prepare(t, redistest.New(t))
	p, err := b.pool.take(&job.Spec{Job: jobOf("deaf", "hang")})
	b.must(err)
	defer p.discard()
	spec := jobOf()
	b.put(id, nil)
	_, err = b.patient.Claim(t.Context(), id, "h", time.Minute)
	b.must(err)
	log := joblog.New(joblog.Config{Job: id, Runner: "h", Sink: b.patient, Limit: 1000})
	r := &running{w: b.Worker, a: &assignment{id: id, job: &spec}, proc: p, log: log}
	canceled := job.Result{State: job.StateFailed, FailureReason: ledger.ReasonCanceled}
	r.stop(canceled, job.CancelCanceled, 50*time.Millisecond)
	r.stop(job.Result{State: job.StateFailed, FailureReason: job.ReasonTimeout}, job.CancelTimeout, time.Hour) // too late
	select {
	case <-p.exited:
	case <-time.After(10 * time.Second):
		t.Fatal("it still runs")
	}
	if res := r.verdict(nil, nil); res != canceled {
		t.Errorf("verdict = %+v", res)
	}
	log.Close()
	b.must(log.Ship(t.Context()))
	want := "\x1b[0;33mWARNING: after_script, caches and artifacts took longer than 50ms after the cancel; they were stopped\x1b[0;m\n\x1b[31;1mERROR: Job failed: canceled\x1b[0;m\n"
	if got := b.trace(id); got != want {
		t.Errorf("log %q, want %q", got, want)
	}
}

// A cancelled job has as long as its after_script may take, and never longer than
// its own time.
func TestGraceAfterACancel(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		after   string
		timeout int64
		ran     time.Duration
		want    time.Duration
	}{
		"by default":                     {"", 3600, 0, 10 * time.Minute},
		"of its own":                     {"20m", 3600, time.Minute, 25 * time.Minute},
		"short":                          {"10s", 3600, 0, 5*time.Minute + 10*time.Second},
		"none":                           {"0s", 3600, 0, 10 * time.Minute},
		"malformed":                      {"soon", 3600, 0, 10 * time.Minute},
		"negative":                       {"-1m", 3600, 0, 10 * time.Minute},
		"longer than the job":            {"10h", 3600, 0, time.Hour + graceAfterTimeout},
		"longer than what is left of it": {"20m", 3600, 50 * time.Minute, 10*time.Minute + graceAfterTimeout},
		"nothing left":                   {"", 60, 2 * time.Minute, graceAfterTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			j := &jobspec.Job{RunnerInfo: jobspec.RunnerInfo{Timeout: tt.timeout}}
			if tt.after != "" {
				j.Variables = jobspec.Variables{{Key: "RUNNER_AFTER_SCRIPT_TIMEOUT", Value: tt.after}}
			}
			if got := graceAfterCancel(j, tt.ran); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// TestAProcessThatReadsNothingCannotHoldUpTheSupervisor fills its pipe.
func TestAProcessThatReadsNothingCannotHoldUpTheSupervisor(t *testing.T) {
	t.Parallel()
	p, err := start([]string{"/proc/self/exe", "sleeper"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.discard()
	pool := newPool([]string{"/proc/self/exe", fakeJob}, 1)
	pool.warm <- p
	began := time.Now()
	w, err := pool.take(&job.Spec{Kubeconfig: strings.Repeat("x", 1<<20)})
	if err != nil {
		t.Fatal(err)
	}
	defer w.discard()
	if w == p || time.Since(began) > tellWithin+30*time.Second {
		t.Errorf("after %s", time.Since(began))
	}
}
