package kubectl

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"sync"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/klog/v2"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"

	_ "github.com/towline/towline/services/runner/internal/toolbox/kubectl/english" // before any command
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// Exit codes that are not kubectl's own.
const (
	exitFailure  = 1
	exitNotFound = 127
	exitInternal = 70 // the command panicked (EX_SOFTWARE)
)

// Kubectl runs commands for one job. It is safe for concurrent use.
type Kubectl struct {
	scratch string // directory for standard input that a command wants as a file
	workDir string // of the process, "" when it is not known
	clients clientCache
	gate    string // address of the job's own cluster, "" when it has none
}

// New keeps temporary files in scratch, which must exist when a command runs.
// The process must not change its working directory afterwards.
func New(scratch string) *Kubectl {
	setUpProcess()
	workDir, err := os.Getwd()
	if err != nil {
		workDir = ""
	}
	return &Kubectl{scratch: scratch, workDir: workDir}
}

// errExit ends a command without a message of its own.
var errExit = errors.New("exit")

var setUpProcess = sync.OnceFunc(func() {
	cmdutil.BehaviorOnFatal(fatal)
	// klog is global to the process and would write next to the log instead of
	// into the command's standard error. What it reports (failed discovery of
	// one group, watch retries) comes back as an error where it matters.
	var fs flag.FlagSet
	klog.InitFlags(&fs)
	_ = fs.Set("logtostderr", "false")
	_ = fs.Set("stderrthreshold", "FATAL")
	klog.SetOutput(io.Discard)
})

// Run executes one command and returns its exit code. Its requests and its
// output end with ctx, and the command soon after; a caller that cannot wait
// must be able to leave it behind.
func (k *Kubectl) Run(parent context.Context, inv tool.Invocation) (code int) {
	ctx, cancel := context.WithCancel(parent)
	defer cancel() // nothing of the command goes on
	c := &command{ctx: ctx, cancel: cancel, kubectl: k, inv: inv, streams: genericiooptions.IOStreams{
		In: inv.Stdin, Out: boundWriter{inv.Stdout, ctx}, ErrOut: boundWriter{inv.Stderr, ctx},
	}}
	defer c.close()
	defer register(c)()
	end := c.execute()
	if failed := c.failed.Load(); failed != nil {
		end = *failed
	}
	if end.msg != "" && parent.Err() == nil {
		fmt.Fprintln(inv.Stderr, strings.TrimSuffix(c.clearer(end.msg), "\n"))
	}
	return end.code
}

// execute runs the command tree and turns every way out into an exit code.
func (c *command) execute() (end exitCode) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case exitCode:
			end = p
		default:
			_, _ = os.Stderr.Write(debug.Stack())
			end = exitCode{exitInternal, fmt.Sprintf("kubectl: internal error: %v", p)}
		}
	}()
	c.adoptFeatures()
	root := c.root()
	root.SetArgs(c.inv.Args)
	err := root.ExecuteContext(c.ctx)
	switch {
	case err == nil:
		return exitCode{}
	case errors.Is(err, errExit):
		return exitCode{code: exitFailure}
	}
	// As cli.RunNoErrOutput and kubectl's main do.
	cmdutil.CheckErr(err)
	return exitCode{code: exitFailure}
}

// clearer adds to upstream's messages what is special here.
func (c *command) clearer(msg string) string {
	if c.stdin != "" {
		msg = strings.ReplaceAll(msg, c.stdin, "STDIN")
	}
	if strings.Contains(msg, "no 'git' program on path") {
		msg += "\nremote bases and remote resources of a kustomization cannot be fetched in a job: add them to the repository"
	}
	return msg
}
