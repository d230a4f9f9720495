package kubectl

import (
	"context"
	"errors"
	"io"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/kubectl/pkg/cmd/cp"
	"k8s.io/kubectl/pkg/cmd/exec"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
)

// cpCommand is upstream's, except that it waits for tar in the container:
// upstream ends when the archive ends, and whether it has seen by then that tar
// failed is chance.
func cpCommand(c *command, f factory) *cobra.Command {
	cmd := cp.NewCmdCp(f, c.streams)
	cmd.Run = nil
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o := cp.NewCopyOptions(c.streams)
		o.Container = cmdutil.GetFlagString(cmd, "container")
		o.NoPreserve = cmdutil.GetFlagBool(cmd, "no-preserve")
		o.MaxTries = cmdutil.GetFlagInt(cmd, "retries")
		if err := o.Complete(f, cmd, args); err != nil {
			return err
		}
		remote := &awaited{RemoteExecutor: &exec.DefaultRemoteExecutor{}}
		o.Executor = remote
		if err := o.Validate(); err != nil {
			return err
		}
		err := o.Run()
		failed := remote.wait()
		if err == nil && strings.Contains(args[0], ":") { // from the pod; to the pod, upstream sees to it
			err = failed
		}
		return err
	}
	return cmd
}

// awaited remembers the commands that it runs.
type awaited struct {
	exec.RemoteExecutor
	running sync.WaitGroup
	over    atomic.Bool // nobody reads what they still write

	mu      sync.Mutex
	outputs []io.Writer
	failed  []error
}

// Execute implements exec.RemoteExecutor.
func (a *awaited) Execute(u *url.URL, config *rest.Config, stdin io.Reader, stdout, stderr io.Writer, tty bool, size remotecommand.TerminalSizeQueue) error {
	return a.ExecuteWithContext(context.Background(), u, config, stdin, stdout, stderr, tty, size)
}

// ExecuteWithContext implements exec.RemoteExecutor.
func (a *awaited) ExecuteWithContext(ctx context.Context, u *url.URL, config *rest.Config, stdin io.Reader, stdout, stderr io.Writer, tty bool, size remotecommand.TerminalSizeQueue) error {
	a.running.Add(1)
	defer a.running.Done()
	a.mu.Lock()
	a.outputs = append(a.outputs, stdout)
	a.mu.Unlock()
	if stdout != nil {
		stdout = drained{stdout, &a.over}
	}
	err := a.RemoteExecutor.ExecuteWithContext(ctx, u, config, stdin, stdout, stderr, tty, size)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed = append(a.failed, err)
	return err
}

// wait returns when all commands have ended, with what went wrong. What follows
// the end of an archive is of no use to anybody.
func (a *awaited) wait() error {
	a.over.Store(true)
	a.mu.Lock()
	for _, w := range a.outputs {
		if pipe, ok := w.(*io.PipeWriter); ok {
			_ = pipe.Close()
		}
	}
	a.mu.Unlock()
	a.running.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.failed) == 1 {
		return a.failed[0] // with its exit code
	}
	return errors.Join(a.failed...)
}

// drained is an output that swallows everything once nobody reads it.
type drained struct {
	io.Writer
	over *atomic.Bool
}

// Write implements io.Writer.
func (d drained) Write(p []byte) (int, error) {
	n, err := d.Writer.Write(p)
	if err != nil && d.over.Load() {
		return len(p), nil
	}
	return n, err
}
