package main

import (
	"context"
	"fmt"
	"net"

	"github.com/spf13/pflag"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/client-go/rest"
	cliflag "k8s.io/component-base/cli/flag"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	apiserveroptions "k8s.io/kubernetes/cmd/kube-apiserver/app/options"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	controllersoptions "k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	scheduleroptions "k8s.io/kubernetes/cmd/kube-scheduler/app/options"
)

// components holds the parsed options of the three Kubernetes components. The
// components are run through their option types, not their cobra commands: those
// install signal handlers, which a process may do only once.
type components struct {
	apiserver   *apiserveroptions.ServerRunOptions
	controllers *controllersoptions.KubeControllerManagerOptions
	scheduler   *scheduleroptions.Options
}

// newComponents parses the options of all components before any of them runs,
// since they share one registry of feature gates.
func newComponents(id *identity, etcdEndpoint string, listener net.Listener) (*components, error) {
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	k := &components{apiserver: apiserveroptions.NewServerRunOptions(), scheduler: scheduleroptions.NewOptions()}
	var err error
	if k.controllers, err = controllersoptions.NewKubeControllerManagerOptions(); err != nil {
		return nil, fmt.Errorf("kube-controller-manager: %w", err)
	}
	// The order matters: asking the API server for its flags first fixes defaults
	// that the controller manager's flags want to override, which panics.
	flags := k.controllers.Flags(controllers.KnownControllers(), controllers.ControllersDisabledByDefault(), controllers.ControllerAliases())
	k.controllers.ParsedFlags = &flags
	if err := parse("kube-controller-manager", flags, controllersArgs(id)); err != nil {
		return nil, err
	}
	if err := parse("kube-apiserver", k.apiserver.Flags(), apiserverArgs(id, etcdEndpoint)); err != nil {
		return nil, err
	}
	if err := parse("kube-scheduler", *k.scheduler.Flags, schedulerArgs(id)); err != nil {
		return nil, err
	}
	k.apiserver.SecureServing.Listener = listener
	k.apiserver.SecureServing.BindPort = listener.Addr().(*net.TCPAddr).Port
	if err := k.apiserver.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return nil, fmt.Errorf("feature gates: %w", err)
	}
	return k, nil
}

func apiserverArgs(id *identity, etcdEndpoint string) []string {
	return []string{
		"--etcd-servers=" + etcdEndpoint,
		"--bind-address=127.0.0.1",
		// Without an address the API server looks for a network interface that
		// is not the loopback one, and the machine may have none.
		"--advertise-address=127.0.0.1",
		"--endpoint-reconciler-type=none",
		"--tls-cert-file=" + id.servingCert,
		"--tls-private-key-file=" + id.servKey,
		"--client-ca-file=" + id.caCert,
		"--service-cluster-ip-range=" + serviceRange,
		"--service-account-issuer=" + issuer,
		"--service-account-signing-key-file=" + id.signingKey,
		"--service-account-key-file=" + id.signingKey,
		"--authorization-mode=Node,RBAC",
		"--allow-privileged=true",
		"--profiling=false",
	}
}

func controllersArgs(id *identity) []string {
	return []string{
		"--kubeconfig=" + id.controllersKubeconfig,
		"--secure-port=0",
		"--leader-elect=false",
		"--root-ca-file=" + id.caCert,
		"--service-account-private-key-file=" + id.signingKey,
		"--cluster-signing-cert-file=" + id.caCert,
		"--cluster-signing-key-file=" + id.caKey,
		"--profiling=false",
	}
}

func schedulerArgs(id *identity) []string {
	return []string{
		"--kubeconfig=" + id.schedulerKubeconfig,
		"--secure-port=0",
		"--leader-elect=false",
		"--profiling=false",
	}
}

func parse(component string, sets cliflag.NamedFlagSets, args []string) error {
	all := pflag.NewFlagSet(component, pflag.ContinueOnError)
	for _, set := range sets.FlagSets {
		all.AddFlagSet(set)
	}
	if err := all.Parse(args); err != nil {
		return fmt.Errorf("%s: %w", component, err)
	}
	return nil
}

func (k *components) runAPIServer(ctx context.Context) error {
	completed, err := k.apiserver.Complete(ctx)
	if err != nil {
		return err
	}
	if errs := completed.Validate(); len(errs) > 0 {
		return utilerrors.NewAggregate(errs)
	}
	return apiserver.Run(ctx, completed)
}

func (k *components) runControllers(ctx context.Context) error {
	cfg, err := k.controllers.Config(ctx, controllers.KnownControllers(), controllers.ControllersDisabledByDefault(), controllers.ControllerAliases())
	if err != nil {
		return err
	}
	return controllers.Run(ctx, cfg.Complete())
}

func (k *components) runScheduler(ctx context.Context) error {
	cfg, sched, err := scheduler.Setup(ctx, k.scheduler)
	if err != nil {
		return err
	}
	return scheduler.Run(ctx, cfg, sched)
}
