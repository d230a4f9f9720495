package towline

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/services/runner/internal/inquiry"
	"github.com/towline/towline/services/runner/internal/syncer"
	"github.com/towline/towline/services/runner/internal/toolbox/kubectl"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

const usage = `Usage:
  towline whoami [-o json]
      Who this job is for the cluster, and until when.
  towline wait [-n NAMESPACE] [--timeout 5m] [-f FILE|DIR]... [-k DIR] [-R] [kind/name]...
      Wait until all of these objects are rolled out.
  towline sync [NAME] [--wait] [--commit SHA] [--timeout 10m]
      Have an entry of gitops looked at now, and wait until the commit is applied.
      Exit code 0: applied, or not waited for. 1: failed. 2: usage. 124: not in time.
  towline diff [NAME] [--report FILE] [--exit-code] [--dir DIR]
      What the working tree would change as the next commit of an entry of gitops.
      Exit code 0: done. 1: something would change, with --exit-code. 2: an error.
  towline diff [-f FILE|DIR]... [-k DIR]
      What ` + "`kubectl apply`" + ` would change. Exit code 0: nothing, 1: something, more: an error.
`

// Exit codes.
const (
	exitFailure = 1
	exitUsage   = 2
	exitTimeout = 124 // as of timeout
)

// Towline runs commands for one job. It is safe for concurrent use.
type Towline struct {
	kubectl *kubectl.Kubectl
	ask     Ask
	outside syncer.Outside
}

// Ask asks the runner about an entry of gitops. The error means that there is no
// answer.
type Ask func(ctx context.Context, q inquiry.Question) (inquiry.Answer, error)

// New uses the connections of k. ask is nil outside of a job. Charts of
// repositories are fetched by way of outside.
func New(k *kubectl.Kubectl, ask Ask, outside syncer.Outside) *Towline {
	return &Towline{kubectl: k, ask: ask, outside: outside}
}

// Run is the command.
func (t *Towline) Run(ctx context.Context, inv tool.Invocation) int {
	name := ""
	if len(inv.Args) > 0 {
		name, inv.Args = inv.Args[0], inv.Args[1:]
	}
	switch name {
	case "whoami":
		return t.whoami(ctx, inv)
	case "wait":
		return t.wait(ctx, inv)
	case "sync":
		return t.sync(ctx, inv)
	case "diff":
		return t.diff(ctx, inv)
	case "help", "-h", "--help":
		fmt.Fprint(inv.Stdout, usage)
		return 0
	}
	if name != "" {
		fmt.Fprintf(inv.Stderr, "towline: unknown command %q\n", name)
	}
	fmt.Fprint(inv.Stderr, usage)
	return exitUsage
}

// connection adds the flags that say which cluster is meant.
func (t *Towline) connection(inv tool.Invocation, f *pflag.FlagSet) genericclioptions.RESTClientGetter {
	config := genericclioptions.NewConfigFlags(false).WithDeprecatedPasswordFlag()
	f.StringVarP(config.Namespace, "namespace", "n", "", "the namespace")
	f.StringVar(config.Context, "context", "", "the context of the kubeconfig")
	f.StringVar(config.KubeConfig, "kubeconfig", "", "the kubeconfig")
	return t.kubectl.Connection(inv, config, rest.NoWarnings{})
}

func newFlags(name string) *pflag.FlagSet {
	f := pflag.NewFlagSet("towline "+name, pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	return f
}

func fail(inv tool.Invocation, command string, err error) int {
	fmt.Fprintf(inv.Stderr, "towline %s: %v\n", command, err)
	return exitFailure
}
