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

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// Exit codes that are not kubectl's own.
const (
	exitFailure  = 1
	exitInternal = 70 // the command panicked (EX_SOFTWARE)
)

// Kubectl runs commands for one job. It is safe for concurrent use.
type Kubectl struct {
	scratch string // directory for standard input that a command wants as a file
	workDir string // of the process, "" when it is not known
	clients clientCache
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

// exitCode is what BehaviorOnFatal turns an error into.
type exitCode struct {
	code int
	msg  string
}

// errExit ends a command without a message of its own.
var errExit = errors.New("exit")

var setUpProcess = sync.OnceFunc(func() {
	cmdutil.BehaviorOnFatal(func(msg string, code int) { panic(exitCode{code, msg}) })
	// klog is global to the process and would write next to the log instead of
	// into the command's standard error. What it reports (failed discovery of
	// one group, watch retries) comes back as an error where it matters.
	var fs flag.FlagSet
	klog.InitFlags(&fs)
	_ = fs.Set("logtostderr", "false")
	_ = fs.Set("stderrthreshold", "FATAL")
	klog.SetOutput(io.Discard)
})

// Run executes one command and returns its exit code. The command itself may
// not notice the end of ctx (get --watch and exec do not); the caller must be
// able to leave it behind.
func (k *Kubectl) Run(ctx context.Context, inv tool.Invocation) (code int) {
	var crash *exitCode
	defer func() {
		switch p := recover().(type) {
		case nil:
		case exitCode:
			crash = &p
		default:
			_, _ = os.Stderr.Write(debug.Stack())
			crash = &exitCode{exitInternal, fmt.Sprintf("kubectl: internal error: %v", p)}
		}
		if crash != nil {
			code = crash.code
			if crash.msg != "" {
				fmt.Fprintln(inv.Stderr, strings.TrimSuffix(crash.msg, "\n"))
			}
		}
	}()
	c := &command{kubectl: k, inv: inv, streams: genericiooptions.IOStreams{In: inv.Stdin, Out: inv.Stdout, ErrOut: inv.Stderr}}
	defer c.close()
	root := c.root()
	root.SetArgs(inv.Args)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errExit):
		return exitFailure
	}
	// As cli.RunNoErrOutput and kubectl's main do.
	cmdutil.CheckErr(err)
	return exitFailure
}
