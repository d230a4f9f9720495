package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"github.com/towline/towline/services/runner/internal/job"
)

// process is one job process, warm or at work.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	frames *os.File // read end of its descriptor 3
	output *os.File // read end of its standard output and error
	once   sync.Once
	exited chan struct{}
}

// start launches a process that waits for a job. It inherits nothing: no
// environment, no descriptor but its pipes, and it dies with this one.
func start(command []string) (*process, error) {
	framesR, framesW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, framesR.Close(), framesW.Close())
	}
	cmd := exec.Command(command[0], command[1:]...) //nolint:gosec,noctx // our own binary; its supervisor stops it in steps
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = outW, outW
	cmd.ExtraFiles = []*os.File{framesW}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	_, _ = framesW.Close(), outW.Close()
	if err != nil {
		_, _ = framesR.Close(), outR.Close()
		return nil, fmt.Errorf("start a job process: %w", err)
	}
	p := &process{cmd: cmd, stdin: stdin, frames: framesR, output: outR, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// kill ends the process and everything it started.
func (p *process) kill() {
	p.once.Do(func() {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		_ = p.cmd.Process.Kill()
	})
}

// discard kills the process and frees what belongs to it.
func (p *process) discard() {
	p.kill()
	<-p.exited
	_ = p.stdin.Close()
	_ = p.frames.Close()
	_ = p.output.Close()
}

// pool keeps a few processes warm, so that no job waits for one to start.
type pool struct {
	command []string
	warm    chan *process
	refill  chan struct{}
}

func newPool(command []string, size int) *pool {
	return &pool{command: command, warm: make(chan *process, size), refill: make(chan struct{}, 1)}
}

// run keeps the pool full until ctx ends.
func (p *pool) run(ctx context.Context, failed func(error)) {
	defer p.drain()
	for {
		for len(p.warm) < cap(p.warm) && ctx.Err() == nil {
			w, err := start(p.command)
			if err != nil {
				failed(err)
				break
			}
			p.warm <- w
		}
		select {
		case <-ctx.Done():
			return
		case <-p.refill:
		}
	}
}

func (p *pool) drain() {
	for {
		select {
		case w := <-p.warm:
			w.discard()
		default:
			return
		}
	}
}

// take returns a process that has been given its job; a warm one if there is
// one alive.
func (p *pool) take(spec *job.Spec) (*process, error) {
	defer func() {
		select {
		case p.refill <- struct{}{}:
		default:
		}
	}()
	for {
		select {
		case w := <-p.warm:
			if job.WriteSpec(w.stdin, spec) == nil {
				return w, nil
			}
			w.discard()
			continue
		default:
		}
		w, err := start(p.command)
		if err != nil {
			return nil, err
		}
		if err := job.WriteSpec(w.stdin, spec); err != nil {
			w.discard()
			return nil, err
		}
		return w, nil
	}
}
