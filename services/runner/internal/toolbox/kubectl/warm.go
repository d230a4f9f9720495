package kubectl

import (
	"context"
	"io"
	"strings"

	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	kubescheme "k8s.io/kubectl/pkg/scheme"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// Warm does, before a job is known, what the first command would otherwise pay
// for: the tables of kinds, and one pass through the flags and templates of
// the commands that jobs use most.
func Warm() {
	setUpProcess()
	_ = scheme.Scheme.AllKnownTypes()
	_ = kubescheme.Scheme.AllKnownTypes()
	k := New("")
	for _, args := range [][]string{{"apply", "--help"}, {"get", "--help"}} {
		k.Run(context.Background(), tool.Invocation{
			Args: args, Dir: "/", Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard,
		})
	}
}

// Own tells which kubeconfig is the job's own, before the first command. With
// ahead it starts reading what that cluster can do, so that the first command
// finds it; errors are left to that command. Impersonation there is refused from
// now on.
func (k *Kubectl) Own(kubeconfig []byte, ahead bool) {
	cfg, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil || cfg.ExecProvider != nil || cfg.AuthProvider != nil {
		return
	}
	k.gate = cfg.Host
	if !ahead {
		return
	}
	if c, err := k.clients.get(normal(cfg)); err == nil {
		go func() { _, _, _ = c.kept.ServerGroupsAndResources() }()
	}
}

// normal sets what every configuration of ours has.
func normal(cfg *rest.Config) *rest.Config {
	cfg.QPS = -1 // the gate protects the server; a client's limit would only slow a job down
	cfg.UserAgent = userAgent()
	return cfg
}
