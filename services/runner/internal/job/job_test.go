package job

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/services/runner/internal/sandbox"
)

// outcome is everything a job process said.
type outcome struct {
	log     string // every log frame in order
	runner  string
	stdout  string
	stderr  string
	started int
	result  Result
}

// testSpec is a job without sources.
func testSpec(t *testing.T, script ...string) *Spec {
	t.Helper()
	return testSpecIn(t.TempDir(), script...)
}

func testSpecIn(base string, script ...string) *Spec {
	spec := &Spec{
		ProjectDir: filepath.Join(base, "project"), TempDir: filepath.Join(base, "project.tmp"),
		Sandbox: sandbox.ModeOff, RunnerName: "unit", RunnerVersion: "1.2.3", SystemID: "s_1", Hostname: "host-1",
	}
	for _, dir := range []string{spec.ProjectDir, spec.TempDir} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			panic(err)
		}
	}
	spec.Job.Variables = jobspec.Variables{{Key: "GIT_STRATEGY", Value: "none"}}
	spec.Job.Steps = []jobspec.Step{{Name: "script", Script: script}}
	return spec
}

// with adds variables.
func (s *Spec) with(vars ...jobspec.Variable) *Spec {
	s.Job.Variables = append(s.Job.Variables, vars...)
	return s
}

// after adds an after_script.
func (s *Spec) after(script ...string) *Spec {
	s.Job.Steps = append(s.Job.Steps, jobspec.Step{Name: "after_script", Script: script})
	return s
}

// runJob runs a job in this process, without the parts that concern the whole
// process (sandbox, working directory).
func runJob(t *testing.T, spec *Spec) outcome {
	t.Helper()
	return runJobWith(t, spec, context.Background(), nil)
}

// runJobWith calls watch, if any, with everything written so far after each
// write, and lets it cancel the job.
func runJobWith(t *testing.T, spec *Spec, ctx context.Context, watch func(log string, cancel func())) outcome {
	t.Helper()
	wire, err := json.Marshal(spec) // a job only ever sees what the wire carries
	if err != nil {
		t.Fatal(err)
	}
	spec = &Spec{}
	if err := json.Unmarshal(wire, spec); err != nil {
		t.Fatal(err)
	}
	canceled, cancel := context.WithCancel(context.Background())
	defer cancel()
	var buf watched
	buf.after = func(log string) {
		if watch != nil {
			watch(log, cancel)
		}
	}
	p := &process{frames: newFrameWriter(&buf), proceed: make(chan struct{}), now: func() time.Time { return time.Unix(1700000000, 0) }}
	close(p.proceed)
	res := p.guarded(ctx, canceled, spec, p.build)
	if err := p.frames.event(Event{Type: EventResult, Result: &res}); err != nil {
		t.Fatal(err)
	}
	return decode(t, &buf.Buffer)
}

type watched struct {
	bytes.Buffer
	after func(string)
}

func (w *watched) Write(p []byte) (int, error) {
	n, err := w.Buffer.Write(p)
	w.after(w.String())
	return n, err
}

func decode(t *testing.T, r io.Reader) outcome {
	t.Helper()
	var o outcome
	var log, runner, stdout, stderr strings.Builder
	err := ReadFrames(r, func(f Frame) error {
		if f.Kind != KindEvent {
			log.Write(f.Data)
		}
		switch f.Kind {
		case KindRunner:
			runner.Write(f.Data)
		case KindStdout:
			stdout.Write(f.Data)
		case KindStderr:
			stderr.Write(f.Data)
		case KindEvent:
			e, err := f.Event()
			if err != nil {
				return err
			}
			if e.Type == EventScriptStarted {
				o.started++
			} else {
				o.result = *e.Result
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	o.log, o.runner, o.stdout, o.stderr = log.String(), runner.String(), stdout.String(), stderr.String()
	return o
}

// said removes the echoes of commands from standard output.
func (o outcome) said() string {
	var out []string
	for line := range strings.Lines(o.stdout) {
		if !strings.HasPrefix(line, ansiGreen+"$ ") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}
