package kubelet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// maxLog bounds what a container may write.
const maxLog = 16 << 20

// Container is a log, and a directory in which commands run.
type Container struct {
	Name string
	Dir  string // where commands begin; must exist

	mu    sync.Mutex
	log   []byte
	more  chan struct{} // closed and replaced with each addition
	ended chan struct{}
	once  sync.Once
}

func (c *Container) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.more, c.ended = make(chan struct{}), make(chan struct{})
}

// Stop ends the container's main process, and with it logs that follow it and
// what is attached to it.
func (c *Container) Stop() { c.once.Do(func() { close(c.ended) }) }

// Write is output of the container's main process. It implements io.Writer.
func (c *Container) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.log)+len(p) > maxLog {
		return 0, fmt.Errorf("the log of %s is full", c.Name)
	}
	c.log = append(c.log, p...)
	if c.more != nil {
		close(c.more)
		c.more = make(chan struct{})
	}
	return len(p), nil
}

// since returns the log from an offset on, and what is closed with more.
func (c *Container) since(offset int) ([]byte, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.log[min(offset, len(c.log)):]), c.more
}

// follow copies the log from an offset on until the container or ctx ends.
func (c *Container) follow(ctx context.Context, w io.Writer, offset int) error {
	for {
		text, more := c.since(offset)
		if _, err := w.Write(text); err != nil {
			return err
		}
		offset += len(text)
		select {
		case <-more:
		case <-c.ended:
			rest, _ := c.since(offset)
			_, err := w.Write(rest)
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// exec runs a command. It ends with the connection, the container or its time
// limit.
func (c *Container) exec(ctx context.Context, command []string, in io.Reader, out, errs io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, CommandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir, cmd.Env = c.Dir, []string{"PATH=/usr/bin:/bin", "HOME=" + c.Dir}
	cmd.Stdout, cmd.Stderr = out, errs
	cmd.WaitDelay = 15 * time.Second // its last output may take its time
	if in != nil {
		// Wait must not wait for a client that has nothing to say.
		stdin, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		go func() {
			_, _ = io.Copy(stdin, in)
			_ = stdin.Close()
		}()
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return utilexec.CodeExitError{Err: err, Code: exit.ExitCode()}
	}
	return err
}

// streams connects the containers of a Kubelet to k8s.io/cri-streaming.
type streams struct{ c *Container }

// ExecInContainer implements remotecommand.Executor.
func (s streams) ExecInContainer(ctx context.Context, _, _, _ string, cmd []string, in io.Reader, out, errs io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize, _ time.Duration) error {
	return s.c.exec(ctx, cmd, in, writer(out), writer(errs))
}

// AttachContainer implements remotecommand.Attacher: what is read becomes
// output of the container, as if its main process were cat.
func (s streams) AttachContainer(ctx context.Context, _, _, _ string, in io.Reader, out, _ io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize) error {
	now, _ := s.c.since(0)
	if in != nil {
		go func() { _, _ = io.Copy(s.c, in) }()
	}
	return s.c.follow(ctx, writer(out), len(now))
}

// writer makes a missing stream one that swallows everything.
func writer(w io.WriteCloser) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}
