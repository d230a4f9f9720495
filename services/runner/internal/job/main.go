package job

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/towline/towline/pkg/joblines"
	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/services/runner/internal/sandbox"
	"github.com/towline/towline/services/runner/internal/shell"
	"github.com/towline/towline/services/runner/internal/toolbox"
	"github.com/towline/towline/services/runner/internal/toolbox/tmpdir"
)

// Exit codes of a job process. The result of the job is in its last frame.
const (
	ExitDone     = 0 // a result was written
	ExitProtocol = 3 // no Spec could be read, or no frame be written
	ExitOrphaned = 4 // the supervisor closed the pipe: it is gone
)

// Main is a job process: it prepares what needs no job, waits on stdin for one
// Spec, runs the job and writes its frames to frames. The process ends at once
// when stdin ends, so the supervisor keeps it open until it has the result.
func Main(ctx context.Context, stdin, frames *os.File) int {
	// Libraries that reach for the process's standard input must not find the
	// supervisor's messages there.
	null, err := os.Open(os.DevNull)
	if err != nil {
		fmt.Fprintf(os.Stderr, "job process: %v\n", err)
		return ExitProtocol
	}
	os.Stdin = null
	// What the job starts must not be able to write frames.
	unix.CloseOnExec(int(frames.Fd()))
	written := newFrameWriter(frames)
	if err := takeStderr(written); err != nil {
		fmt.Fprintf(os.Stderr, "job process: %v\n", err)
		return ExitProtocol
	}
	p := &process{
		frames:  written,
		asking:  asking{frames: written},
		orphan:  func() { os.Exit(ExitOrphaned) },
		now:     time.Now,
		proceed: make(chan struct{}),
	}
	warm()
	return p.serve(ctx, stdin)
}

// warm loads what every job will need.
func warm() {
	toolbox.Warm()
	_ = time.Local.String()
}

// process is one job process.
type process struct {
	frames  *frameWriter
	asking  asking
	orphan  func()
	now     func() time.Time
	proceed chan struct{} // closed when the supervisor has recorded the start
}

func (p *process) serve(ctx context.Context, stdin io.Reader) int {
	var spec Spec
	collect := rest()
	err := readMessage(stdin, &spec)
	collect()
	if err != nil {
		if errors.Is(err, io.EOF) {
			return ExitDone // a warm process that was not needed
		}
		fmt.Fprintf(os.Stderr, "job process: %v\n", err)
		return ExitProtocol
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	canceled, stop := context.WithCancel(context.Background())
	defer stop()
	go p.listen(stdin, stop, func() { cancel(errJobTimeout) })

	res := p.guarded(ctx, canceled, &spec, p.confined)
	if err := p.frames.event(Event{Type: EventResult, Result: &res}); err != nil {
		return ExitProtocol
	}
	return ExitDone
}

// listen follows the supervisor's messages.
func (p *process) listen(stdin io.Reader, canceled, timeout func()) {
	proceed := sync.OnceFunc(func() { close(p.proceed) })
	for {
		var c Control
		if err := readMessage(stdin, &c); err != nil {
			p.orphan()
			return
		}
		if c.Proceed {
			proceed()
		}
		if c.Reply != nil {
			p.asking.hear(*c.Reply)
		}
		switch c.Cancel {
		case CancelCanceled:
			canceled()
		case CancelTimeout:
			timeout()
		}
	}
}

// builder makes a job out of its description.
type builder func(*Spec, *logger) (*run, error)

// guarded runs the job; a fault of ours still ends in a result.
func (p *process) guarded(ctx, canceled context.Context, spec *Spec, build builder) (res Result) {
	log := &logger{w: p.frames.stream(KindRunner), sections: spec.Job.Features.TraceSections, now: p.now}
	system := func(text string) Result {
		text = shorten(plain(text))
		log.failed(joblines.System, text)
		return Result{State: StateFailed, FailureReason: ReasonSystem, Message: text}
	}
	defer func() {
		if v := recover(); v != nil {
			_, _ = os.Stderr.Write(debug.Stack())
			res = system(fmt.Sprintf("internal error: %v", v))
		}
	}()
	r, err := build(spec, log)
	if err != nil {
		return system(err.Error())
	}
	defer r.env.temp.Close()
	r.canceled = canceled
	return r.all(ctx)
}

// confined confines the process and builds the job.
func (p *process) confined(spec *Spec, log *logger) (*run, error) {
	err := sandbox.Enter(sandbox.Config{
		Mode: spec.Sandbox, ProjectDir: spec.ProjectDir, TempDir: spec.TempDir, Ports: spec.Ports,
		Toolbox: spec.Toolbox, Limits: spec.Limits,
	})
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	return p.build(spec, log)
}

// build prepares the stages.
func (p *process) build(spec *Spec, log *logger) (*run, error) {
	temp, err := openTemp(spec)
	if err != nil {
		return nil, err
	}
	tools, err := toolbox.New(toolbox.Config{
		TempDir: spec.TempDir, Proxy: spec.Proxy, Kubeconfig: spec.Kubeconfig, Folders: spec.Toolbox,
		Ahead: namesCluster(&spec.Job), Ask: p.asking.ask,
		GitCA: spec.GitCA, Repository: spec.Job.GitInfo.RepoURL,
		Tmp: tmpdir.New(filepath.Join(spec.TempDir, scratchName), append([]string{spec.ProjectDir, spec.TempDir}, spec.Toolbox...)...),
	})
	if err != nil {
		temp.Close()
		return nil, err
	}
	sh, err := shell.New(tools)
	if err != nil {
		temp.Close()
		return nil, err
	}
	return &run{
		spec: spec, env: newEnvironment(spec, temp), shell: sh, log: log,
		stdout: p.frames.stream(KindStdout), stderr: p.frames.stream(KindStderr),
		started: p.start,
	}, nil
}

// clusterCommands are those that begin by asking the cluster what it can do.
var clusterCommands = []string{"kubectl", "helm", "towline", ".sh"}

// namesCluster guesses whether a job's scripts will use the cluster. A wrong
// guess costs a few milliseconds, of the first command or of a processor.
func namesCluster(j *jobspec.Job) bool {
	for _, step := range j.Steps {
		for _, line := range step.Script {
			if slices.ContainsFunc(clusterCommands, func(name string) bool { return strings.Contains(line, name) }) {
				return true
			}
		}
	}
	return false
}

// start tells the supervisor that commands of the job are about to run, and
// waits until it has recorded that: from then on the job is never run again.
func (p *process) start(ctx context.Context) error {
	if err := p.frames.event(Event{Type: EventScriptStarted}); err != nil {
		return err
	}
	select {
	case <-p.proceed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
