package kubectl

import (
	"context"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// Connection is the cluster as the invocation of another command means it: its
// kubeconfig found through the environment of inv, flags laid over it (all
// pointers set, as NewConfigFlags(false).WithDeprecatedPasswordFlag() does), and
// discovery shared with the kubectl commands of the job. Warnings of the server
// go to warnings. Configurations that want a program to be run are refused with
// ErrPlugin.
func (k *Kubectl) Connection(
	inv tool.Invocation, flags *genericclioptions.ConfigFlags, warnings rest.WarningHandler,
) genericclioptions.RESTClientGetter {
	streams := genericiooptions.IOStreams{In: inv.Stdin, Out: inv.Stdout, ErrOut: inv.Stderr}
	return &getter{flags: flags, cmd: &command{
		ctx: context.Background(), kubectl: k, inv: inv, streams: streams, warnings: handler{warnings},
	}}
}

// handler counts nothing: --warnings-as-errors is kubectl's own.
type handler struct{ rest.WarningHandler }

// WarningCount implements warnings.
func (handler) WarningCount() int { return 0 }
