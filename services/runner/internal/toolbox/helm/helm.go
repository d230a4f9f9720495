package helm

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"sync"

	"github.com/towline/towline/services/runner/internal/toolbox/helm/library"
	"github.com/towline/towline/services/runner/internal/toolbox/kubectl"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// Exit codes.
const (
	exitFailure  = 1
	exitInternal = 70 // the command panicked (EX_SOFTWARE)
)

// Helm runs commands for one job. It is safe for concurrent use.
type Helm struct {
	kubectl      *kubectl.Kubectl
	scratch      string     // directory for standard input that the library wants as a file
	workDir      string     // of the process, "" when it is not known
	repositories sync.Mutex // one command at a time changes repositories.yaml
}

// New keeps temporary files in scratch, which must exist when a command runs,
// and reaches clusters as k does. The process must not change its working
// directory afterwards.
func New(k *kubectl.Kubectl, scratch string) *Helm {
	setUpProcess()
	workDir, err := os.Getwd()
	if err != nil {
		workDir = ""
	}
	return &Helm{kubectl: k, scratch: scratch, workDir: workDir}
}

// Run executes one command and returns its exit code. When ctx ends, install
// and upgrade leave the release as helm does on SIGTERM: failed, or rolled back
// with --atomic. Other commands may not notice the end of ctx; the caller must
// be able to leave them behind.
func (h *Helm) Run(ctx context.Context, inv tool.Invocation) (code int) {
	defer func() {
		if p := recover(); p != nil {
			_, _ = os.Stderr.Write(debug.Stack())
			fmt.Fprintf(inv.Stderr, "helm: internal error: %v\n", p)
			code = exitInternal
		}
	}()
	c := newCommand(h, inv)
	defer c.close()
	defer library.LogTo(inv.Stderr)()
	root := c.root()
	root.SetArgs(inv.Args)
	if err := root.ExecuteContext(ctx); err != nil {
		return exitFailure
	}
	return 0
}
