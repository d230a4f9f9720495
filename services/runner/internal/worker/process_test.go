package worker

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/towline/towline/pkg/eventually"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
	"github.com/towline/towline/services/runner/internal/job"
)

func hook(o *order) {
	o.payload["hooks"] = []map[string]any{{"name": "pre_get_sources_script", "script": []string{"true"}}}
}

// TestWhomToBelieve is the table of verdict.go: what a job process says or does,
// and what becomes of it.
func TestWhomToBelieve(t *testing.T) {
	t.Parallel()
	script := func(code int) ledger.Result { return failed(ledger.ReasonScript, code) }
	for name, c := range map[string]struct {
		lines []string
		want  ledger.Result
		says  string // in the trace
	}{
		"success":                          {[]string{"start", "result success"}, success, ""},
		"success carries nothing else":     {[]string{"start", "result success runner_system_failure 7"}, success, ""},
		"a failed script":                  {[]string{"start", "result failed script_failure 42"}, script(42), ""},
		"a script that took too long":      {[]string{"start", "result failed job_execution_timeout"}, failed(ledger.ReasonTimeout, 0), ""},
		"before the start, ours":           {[]string{"result failed runner_system_failure"}, failed(ledger.ReasonSystem, 0), ""},
		"before the start, configuration":  {[]string{"result failed runner_configuration_error 1"}, failed(ledger.ReasonConfiguration, 1), ""},
		"a script cannot blame the runner": {[]string{"start", "result failed runner_system_failure"}, script(0), ""},
		"nor the configuration":            {[]string{"start", "result failed runner_configuration_error"}, script(0), ""},
		"nor cancel itself":                {[]string{"start", "result failed job_canceled"}, script(0), ""},
		"nor make reasons up":              {[]string{"result failed stuck_or_timeout_failure"}, script(0), ""},
		"a failure without a reason":       {[]string{"start", "result failed"}, script(0), ""},
		"an exit code that is none":        {[]string{"start", "result failed script_failure 99999999999"}, script(1), ""},
		"a negative exit code":             {[]string{"start", "result failed script_failure -1"}, script(1), ""},
		"only the first result counts":     {[]string{"start", "result failed script_failure 3", "result success"}, script(3), ""},
		"an announcement after the result": {[]string{"result success", `event {"type":"script_started"}`}, success, ""},

		"death before the start":  {[]string{"die"}, failed(ledger.ReasonSystem, 0), "the job's process ended unexpectedly (signal: killed)"},
		"death after the start":   {[]string{"start", "die"}, script(137), "ERROR: Job failed: the job's process ended unexpectedly (signal: killed)"},
		"an exit before":          {[]string{"exit 0"}, failed(ledger.ReasonSystem, 0), "(exit status 0)"},
		"an exit after the start": {[]string{"start", "exit 4"}, script(1), "(exit status 4)"},

		"a frame of no kind":     {[]string{"start", `bytes "x\x00\x00\x00\x00"`, "hang"}, script(137), "malformed frame"},
		"a frame too large":      {[]string{"start", `bytes "o\xff\xff\xff\xff"`, "hang"}, script(137), "malformed frame"},
		"half a frame":           {[]string{"start", `bytes "o\x00\x00"`, "exit 0"}, script(1), "unexpected EOF"},
		"garbage before":         {[]string{`bytes "\n\n\n\n\n"`, "hang"}, failed(ledger.ReasonSystem, 0), "malformed frame"},
		"an event that is none":  {[]string{"start", "event {", "hang"}, script(137), "event of job process"},
		"an event of no type":    {[]string{"start", `event {"type":"party"}`, "hang"}, script(137), "no known form"},
		"a result without state": {[]string{"start", `event {"type":"result","result":{"state":"pending"}}`, "hang"}, script(137), "no known form"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := run(t, redistest.New(t))
			b.put(id, c.lines)
			res, trace := b.finished(id)
			if res != c.want {
				t.Errorf("result = %+v, want %+v", res, c.want)
			}
			if c.says == "" && trace != "" || !strings.Contains(trace, c.says) {
				t.Errorf("trace = %q", trace)
			}
			b.clean()
		})
	}
}

// TestHooksRunBeforeTheStart: they are the author's, so the process is not
// believed from the beginning.
func TestHooksRunBeforeTheStart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		line string
		want ledger.Result
	}{
		"a claim": {"result failed runner_system_failure", failed(ledger.ReasonScript, 0)},
		"a death": {"die", failed(ledger.ReasonScript, 137)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := run(t, redistest.New(t))
			b.put(id, []string{c.line}, hook)
			if res, _ := b.finished(id); res != c.want {
				t.Errorf("result = %+v", res)
			}
		})
	}
}

func TestAProcessThatStaysAfterItsResultIsEnded(t *testing.T) {
	t.Parallel()
	b := run(t, redistest.New(t))
	began := time.Now()
	b.put(id, []string{"deaf", "result success", "hang"})
	if res, _ := b.finished(id); res != success {
		t.Errorf("result = %+v", res)
	}
	if took := time.Since(began); took > graceAfterResult+30*time.Second {
		t.Errorf("it took %s", took)
	}
}

// TestAProcessThatEscapes: it leaves the group and holds every pipe open, and
// the job ends all the same.
func TestAProcessThatEscapes(t *testing.T) {
	t.Parallel()
	for name, last := range map[string]string{"with a result": "result success", "without": "die"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := run(t, redistest.New(t))
			b.put(id, []string{"spawn", last})
			began := time.Now()
			_, trace := b.finished(id)
			if took := time.Since(began); took > lastWords+graceAfterResult+30*time.Second {
				t.Errorf("it took %s", took)
			}
			m := regexp.MustCompile(`pid=(\d+)`).FindStringSubmatch(trace)
			if m == nil {
				t.Fatalf("trace = %q", trace)
			}
			pid, _ := strconv.Atoi(m[1])
			_ = syscall.Kill(pid, syscall.SIGKILL)
		})
	}
}

func TestAFloodIsCutAndTheJobGoesOn(t *testing.T) {
	t.Parallel()
	const limit = 100_000
	b := run(t, redistest.New(t), func(b *bench) { b.LogLimit = limit })
	b.put(id, []string{"start", "flood 200", "result success"})
	res, trace := b.finished(id)
	size := b.record(id).TraceSize // with the timestamps, which count
	if res != success || size < limit || size > limit+200 || strings.Count(trace, "exceeded limit of 100000 bytes") != 1 {
		t.Errorf("%+v, %d bytes that end with %q", res, size, trace[max(0, len(trace)-150):])
	}
}

func TestAWarmProcessThatDiedIsReplaced(t *testing.T) {
	t.Parallel()
	p := newPool([]string{os.Args[0], fakeJob}, 2)
	var dead []*process
	for range 2 {
		w, err := start(p.command)
		if err != nil {
			t.Fatal(err)
		}
		p.warm <- w
		dead = append(dead, w)
	}
	dead[0].kill()
	<-dead[0].exited
	_ = dead[1].frames.Close() // it lives, but cannot be told anything
	_ = dead[1].stdin.Close()
	w, err := p.take(&job.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.discard()
	if w == dead[0] || w == dead[1] {
		t.Error("the job was given to a process that cannot do it")
	}
	if len(p.refill) != 1 {
		t.Error("the pool is not filled again")
	}
}

func TestThePoolIsFilledAndEmptied(t *testing.T) {
	t.Parallel()
	b := run(t, redistest.New(t), func(b *bench) { b.Warm = 3 })
	eventually.Is(t, "three are warm", func() bool { return len(b.pool.warm) == 3 })
	w := <-b.pool.warm
	b.pool.warm <- w
	b.stop()
	if len(b.pool.warm) != 0 || w.alive() {
		t.Error("warm processes are left behind")
	}
}

func TestKillingADeadProcessHitsNobody(t *testing.T) {
	t.Parallel()
	w, err := start([]string{os.Args[0], fakeJob})
	if err != nil {
		t.Fatal(err)
	}
	w.discard()
	if !w.gone {
		t.Error("its number may be another's, and would be killed")
	}
	w.kill()
	w.discard() // twice is harmless
	if how, code := w.how(); how != "signal: killed" || code != 137 {
		t.Errorf("it ended by %s, code %d", how, code)
	}
}

// TestNothingLeaksOverManyJobs runs many of them, in every way a job can end.
func TestNothingLeaksOverManyJobs(t *testing.T) {
	const slots = 4
	b := run(t, redistest.New(t), func(b *bench) { b.slots(slots); b.Warm = 2 })
	ends := [][]string{
		{"start", "print x", "result success"}, {"start", "die"}, {"exit 0"}, {"get /api", "result failed script_failure 1"}, {`bytes "x"`, "exit 0"},
	}
	batch := func(from, n int) {
		for i := range n {
			b.put(int64(from+i), ends[i%len(ends)])
		}
		for i := range n {
			b.finished(int64(from + i))
		}
		b.clean()
		eventually.Is(t, "all slots are free", func() bool { return len(b.freeSlots()) == slots && len(b.pool.warm) == 2 })
	}
	batch(1, 20) // what is opened once and kept
	before := descriptors(t)
	batch(1001, manyJobs)
	eventually.Is(t, "the descriptors are closed", func() bool { return descriptors(t) <= before+4 })
}

func descriptors(tb testing.TB) int {
	tb.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		tb.Fatal(err)
	}
	return len(entries)
}
