package kubectl

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// ErrPlugin refuses a kubeconfig whose user wants a program to be run.
var ErrPlugin = errors.New("credential plugins (exec, auth-provider) cannot be used in a job: nothing but the built-in commands is executed here")

// getter is what one command learns about its cluster. It differs from
// upstream's ConfigFlags in that the kubeconfig is found through the shell's
// environment and that discovery is shared between the commands of the job.
type getter struct {
	flags *genericclioptions.ConfigFlags
	cmd   *command
}

// ToRawKubeConfigLoader implements genericclioptions.RESTClientGetter.
func (g *getter) ToRawKubeConfigLoader() clientcmd.ClientConfig {
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(g.cmd.loadingRules(*g.flags.KubeConfig), g.overrides())
}

// ToRESTConfig implements genericclioptions.RESTClientGetter.
func (g *getter) ToRESTConfig() (*rest.Config, error) {
	cfg, err := g.ToRawKubeConfigLoader().ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, genericclioptions.ErrEmptyConfig
	}
	if err != nil {
		return nil, err
	}
	if cfg.ExecProvider != nil || cfg.AuthProvider != nil {
		return nil, ErrPlugin
	}
	cfg.WarningHandler = g.cmd.warnings
	return normal(cfg), nil
}

// ToDiscoveryClient implements genericclioptions.RESTClientGetter.
func (g *getter) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	cfg, err := g.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	c, err := g.cmd.kubectl.clients.get(cfg)
	if err != nil {
		return nil, err
	}
	return c.discovery, nil
}

// ToRESTMapper implements genericclioptions.RESTClientGetter.
func (g *getter) ToRESTMapper() (meta.RESTMapper, error) {
	cfg, err := g.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	c, err := g.cmd.kubectl.clients.get(cfg)
	if err != nil {
		return nil, err
	}
	return c.expander(func(text string) { fmt.Fprintln(g.cmd.streams.ErrOut, "Warning: "+text) }), nil
}

// overrides are the connection flags of the command line.
func (g *getter) overrides() *clientcmd.ConfigOverrides {
	f := g.flags
	o := &clientcmd.ConfigOverrides{ClusterDefaults: clientcmd.ClusterDefaults, Timeout: *f.Timeout, CurrentContext: *f.Context}
	o.AuthInfo = clientcmdapi.AuthInfo{
		ClientCertificate: *f.CertFile, ClientKey: *f.KeyFile, Token: *f.BearerToken,
		Impersonate: *f.Impersonate, ImpersonateUID: *f.ImpersonateUID, ImpersonateGroups: *f.ImpersonateGroup,
		Username: *f.Username, Password: *f.Password,
	}
	if f.ImpersonateUserExtra != nil && len(*f.ImpersonateUserExtra) > 0 {
		o.AuthInfo.ImpersonateUserExtra = map[string][]string{}
		for _, extra := range *f.ImpersonateUserExtra {
			if key, value, ok := strings.Cut(extra, "="); ok {
				o.AuthInfo.ImpersonateUserExtra[key] = append(o.AuthInfo.ImpersonateUserExtra[key], value)
			}
		}
	}
	o.ClusterInfo = clientcmdapi.Cluster{
		Server: *f.APIServer, TLSServerName: *f.TLSServerName, CertificateAuthority: *f.CAFile,
		InsecureSkipTLSVerify: *f.Insecure, DisableCompression: *f.DisableCompression, ProxyURL: *f.ProxyURL,
	}
	o.Context = clientcmdapi.Context{Cluster: *f.ClusterName, AuthInfo: *f.AuthInfoName, Namespace: *f.Namespace}
	return o
}

// loadingRules say which kubeconfig files count: the flag, else the shell's
// KUBECONFIG, else its HOME.
func (c *command) loadingRules(explicit string) *clientcmd.ClientConfigLoadingRules {
	return &clientcmd.ClientConfigLoadingRules{
		ExplicitPath: explicit,
		Precedence:   c.kubeconfigFiles(),
		// As upstream: what holds where no file says otherwise.
		DefaultClientConfig: &clientcmd.DefaultClientConfig,
	}
}

func (c *command) kubeconfigFiles() []string {
	if list, ok := c.inv.Getenv(clientcmd.RecommendedConfigPathEnvVar); ok && list != "" {
		var files []string
		for _, file := range filepath.SplitList(list) {
			if file != "" {
				files = append(files, c.abs(file))
			}
		}
		return files
	}
	home, _ := c.inv.Getenv("HOME")
	return []string{filepath.Join(home, clientcmd.RecommendedHomeDir, clientcmd.RecommendedFileName)}
}

// configAccess is what `kubectl config` reads and writes.
func (c *command) configAccess() *clientcmd.PathOptions {
	files := c.kubeconfigFiles()
	rules := c.loadingRules("")
	o := &clientcmd.PathOptions{
		GlobalFile:       files[0],
		ExplicitFileFlag: clientcmd.RecommendedConfigPathFlag,
		LoadingRules:     rules,
	}
	if len(files) > 1 {
		// PathOptions takes several files only from a variable of the process.
		o.EnvVar = fmt.Sprintf("TOWLINE_KUBECONFIG_%p", c)
		_ = os.Setenv(o.EnvVar, strings.Join(files, string(filepath.ListSeparator)))
		c.cleanups = append(c.cleanups, func() { _ = os.Unsetenv(o.EnvVar) })
	}
	return o
}
