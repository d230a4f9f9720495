package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// keepBuilds is how many builds of a program stay in the cache: the current one
// and the one before, for whoever switches between two branches.
const keepBuilds = 2

// program is something built from a module that is not of the workspace.
type program struct {
	name   string                 // file name
	what   string                 // for people, with how long it takes
	module []string               // where the module is, below the e2e module's directory
	pkg    string                 // what go build gets
	inputs func(path string) bool // the files of the module that decide the result
	static bool                   // runs without the libraries of this machine
}

var (
	kubernetesModule = []string{"cluster", "controlplane"}
	coreDNSModule    = []string{"node", "dns"}
	policiesModule   = []string{"node", "policies"}
)

var (
	controlPlane = program{
		name: "controlplane", module: kubernetesModule, pkg: ".", inputs: programFile,
		what: "the control plane (first time takes about 4 minutes)",
	}
	kubectl = program{
		name: "kubectl", module: kubernetesModule, pkg: "k8s.io/kubernetes/cmd/kubectl", inputs: moduleFile,
		what: "kubectl (first time takes about 2 minutes)",
	}
	kubelet = program{
		name: "kubelet", module: kubernetesModule, pkg: "k8s.io/kubernetes/cmd/kubelet", inputs: moduleFile,
		what: "kubelet (first time takes about 2 minutes)",
	}
	kubeProxy = program{
		name: "kube-proxy", module: kubernetesModule, pkg: "k8s.io/kubernetes/cmd/kube-proxy", inputs: moduleFile,
		what: "kube-proxy (first time takes about 1 minute)",
	}
	coreDNS = program{
		name: "coredns", module: coreDNSModule, pkg: ".", inputs: programFile, static: true,
		what: "coredns (first time takes about 1 minute)",
	}
	networkPolicies = program{
		name: "kube-network-policies", module: policiesModule, pkg: "sigs.k8s.io/kube-network-policies/cmd", inputs: moduleFile,
		what: "kube-network-policies (first time takes about 1 minute)",
	}
)

// Binary returns the path of the controlplane program and builds it when its
// sources, the Go version or the flags have changed. While it builds it writes a
// line to progress now and then; progress may be nil. Several processes may ask
// at once: one builds, the others wait.
func Binary(ctx context.Context, progress io.Writer) (string, error) {
	return cached(ctx, controlPlane, progress)
}

// Kubectl returns the path of the real kubectl, of the control plane's version,
// and builds it when needed, as Binary does. The file is called kubectl, so its
// folder can be put on a PATH.
func Kubectl(ctx context.Context, progress io.Writer) (string, error) {
	return cached(ctx, kubectl, progress)
}

// NodePrograms are the paths of what turns a machine into a node of the cluster.
type NodePrograms struct {
	Kubelet, KubeProxy string
	CoreDNS            string // statically linked, so that it runs in an image of its own
	NetworkPolicies    string // enforces NetworkPolicies between pods
}

// Node returns the programs of a node, of the control plane's version, and builds
// them when needed, as Binary does.
func Node(ctx context.Context, progress io.Writer) (NodePrograms, error) {
	var n NodePrograms
	for _, p := range []struct {
		program program
		path    *string
	}{{kubelet, &n.Kubelet}, {kubeProxy, &n.KubeProxy}, {coreDNS, &n.CoreDNS}, {networkPolicies, &n.NetworkPolicies}} {
		var err error
		if *p.path, err = cached(ctx, p.program, progress); err != nil {
			return n, err
		}
	}
	return n, nil
}

// cached builds p from source, unless the cache has it.
func cached(ctx context.Context, p program, progress io.Writer) (string, error) {
	if progress == nil {
		progress = io.Discard
	}
	src, err := findSource(ctx, p)
	if err != nil {
		return "", err
	}
	linker, err := linkerFlags(src.dir)
	if err != nil {
		return "", err
	}
	flags := []string{"-ldflags", linker, p.pkg}
	key, err := digest(ctx, src, p.inputs, flags)
	if err != nil {
		return "", err
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("cache directory: %w", err)
	}
	store := store{dir: filepath.Join(base, "towline", "e2e", p.name), name: p.name}
	return store.get(ctx, key, progress, func(ctx context.Context, output string) error {
		return goBuild(ctx, src, output, flags, p.what, progress)
	})
}

// goBuild compiles into output, with a sign of life every half minute.
func goBuild(ctx context.Context, src source, output string, flags []string, what string, progress io.Writer) error {
	var log bytes.Buffer
	cmd := src.command(ctx, append([]string{"build", "-o", output}, flags...)...)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	started := time.Now()
	fmt.Fprintf(progress, "building %s...\n", what)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("build %s: %w", filepath.Base(output), err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			fmt.Fprintf(progress, "building %s... %v\n", what, time.Since(started).Round(time.Second))
		case err := <-done:
			return buildResult(ctx, err, filepath.Base(output), &log, started, progress)
		}
	}
}

func buildResult(ctx context.Context, err error, name string, log *bytes.Buffer, started time.Time, progress io.Writer) error {
	const enough = 4 << 10
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("build %s: %w", name, context.Cause(ctx))
	case err != nil:
		output := bytes.TrimSpace(log.Bytes())
		if len(output) > enough {
			output = output[len(output)-enough:]
		}
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return fmt.Errorf("build %s: %w\n%s", name, err, output)
		}
		return fmt.Errorf("build %s: %w", name, err)
	}
	fmt.Fprintf(progress, "built %s in %v\n", name, time.Since(started).Round(100*time.Millisecond))
	return nil
}
