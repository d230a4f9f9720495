package helm

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/kube"
	kubefake "helm.sh/helm/v3/pkg/kube/fake"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/services/runner/internal/toolbox/helm/library"
)

// errSQL refuses the storage driver that needs a database.
var errSQL = errors.New("HELM_DRIVER=sql is not available in a job: " +
	"it needs a connection to a database; leave HELM_DRIVER unset to keep releases in Secrets")

// connection is the cluster that the settings mean.
type connection struct {
	genericclioptions.RESTClientGetter
}

// ToRESTConfig implements genericclioptions.RESTClientGetter.
func (g connection) ToRESTConfig() (*rest.Config, error) {
	cfg, err := g.RESTClientGetter.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	library.Client(cfg)
	return cfg, nil
}

// connection is made once, when the flags are known.
func (c *command) connection() connection {
	if c.cluster != nil {
		return *c.cluster
	}
	flags := genericclioptions.NewConfigFlags(false).WithDeprecatedPasswordFlag()
	s := c.settings
	flags.KubeConfig, flags.Context, flags.Namespace = &s.KubeConfig, &s.KubeContext, &s.Namespace
	flags.APIServer, flags.CAFile, flags.Insecure, flags.TLSServerName = &s.KubeAPIServer, &s.KubeCAFile, &s.KubeInsecure, &s.KubeTLSServerName
	flags.BearerToken, flags.Impersonate, flags.ImpersonateGroup = &s.KubeToken, &s.KubeAsUser, &s.KubeAsGroups
	warnings := rest.NewWarningWriter(c.inv.Stderr, rest.WarningWriterOptions{Deduplicate: true})
	c.cluster = &connection{c.helm.kubectl.Connection(c.inv, flags, warnings)}
	return *c.cluster
}

// namespace is the namespace of the command: the flag, the kubeconfig's, or
// "default".
func (c *command) namespace() string {
	namespace, _, err := c.connection().ToRawKubeConfigLoader().Namespace()
	switch {
	case err == nil:
		return namespace
	case c.settings.Namespace != "":
		return c.settings.Namespace
	}
	return "default"
}

// configuration is what the library's actions work with. It connects to
// nothing yet.
func (c *command) configuration() (*action.Configuration, error) {
	return c.configurationFor(c.namespace())
}

func (c *command) configurationFor(namespace string) (*action.Configuration, error) {
	storage, _ := c.inv.Getenv("HELM_DRIVER")
	if storage == "sql" {
		return nil, errSQL
	}
	cfg := new(action.Configuration)
	g := c.connection()
	if err := cfg.Init(g, namespace, storage, c.debugf); err != nil {
		return nil, err
	}
	cfg.KubeClient = &kube.Client{Factory: library.Factory{Factory: cmdutil.NewFactory(g)}, Log: c.debugf}
	cfg.SetHookOutputFunc(func(_, _, _ string) io.Writer { return c.inv.Stderr })
	if memory, ok := cfg.Releases.Driver.(*driver.Memory); ok {
		cfg.KubeClient = &kubefake.PrintingKubeClient{Out: io.Discard}
		if err := c.loadReleases(cfg, memory, namespace); err != nil {
			return nil, err
		}
	}
	return cfg, nil
}

// loadReleases fills the memory driver from the files that
// HELM_MEMORY_DRIVER_DATA names.
func (c *command) loadReleases(cfg *action.Configuration, memory *driver.Memory, namespace string) error {
	list, _ := c.inv.Getenv("HELM_MEMORY_DRIVER_DATA")
	for _, name := range strings.Split(list, ":") {
		if name == "" {
			continue
		}
		text, err := os.ReadFile(c.abs(name))
		if err != nil {
			return fmt.Errorf("memory driver data: %w", err)
		}
		var releases []*release.Release
		if err := yaml.Unmarshal(text, &releases); err != nil {
			return fmt.Errorf("memory driver data %s: %w", name, err)
		}
		for _, r := range releases {
			if err := cfg.Releases.Create(r); err != nil {
				return fmt.Errorf("memory driver data %s: %w", name, err)
			}
		}
	}
	memory.SetNamespace(namespace) // Create has set that of the last release
	return nil
}
