package kubectl

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// ErrPlugin refuses a kubeconfig whose user wants a program to be run.
var ErrPlugin = errors.New("credential plugins (exec, auth-provider) cannot be used in a job: nothing but the built-in commands is executed here")

// errImpersonation refuses what the gate would refuse, before anything is asked
// that would hide the reason.
var errImpersonation = errors.New("Towline decides as whom a job acts: --as, --as-group, --as-uid and their like " +
	"cannot be used with the job's own cluster; \"kubectl auth whoami\" says who the job is")

// getter is what one command learns about its cluster. It differs from
// upstream's ConfigFlags in that the kubeconfig is found through the shell's
// environment and that discovery is shared between the commands of the job.
type getter struct {
	flags *genericclioptions.ConfigFlags
	cmd   *command

	loaderOnce sync.Once
	loader     clientcmd.ClientConfig

	configOnce sync.Once
	config     *rest.Config
	configErr  error

	viewOnce sync.Once
	view     *view
	viewErr  error
}

// ToRawKubeConfigLoader implements genericclioptions.RESTClientGetter. Upstream
// asks for it with each object; the files are read once per command.
func (g *getter) ToRawKubeConfigLoader() clientcmd.ClientConfig {
	g.loaderOnce.Do(func() {
		g.loader = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(g.cmd.loadingRules(*g.flags.KubeConfig), g.overrides())
	})
	return g.loader
}

// ToRESTConfig implements genericclioptions.RESTClientGetter. The caller owns
// the result.
func (g *getter) ToRESTConfig() (*rest.Config, error) {
	cfg, err := g.shared()
	if err != nil {
		return nil, err
	}
	cfg = rest.CopyConfig(cfg)
	cfg.WarningHandler = g.cmd.warnings
	cfg.Wrap(g.cmd.bind)
	return cfg, nil
}

// shared is the configuration without what belongs to this one command.
func (g *getter) shared() (*rest.Config, error) {
	g.configOnce.Do(func() { g.config, g.configErr = g.load() })
	return g.config, g.configErr
}

func (g *getter) load() (*rest.Config, error) {
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
	as := cfg.Impersonate
	if cfg.Host == g.cmd.kubectl.gate && (as.UserName != "" || as.UID != "" || len(as.Groups) > 0 || len(as.Extra) > 0) {
		return nil, errImpersonation
	}
	return normal(cfg), nil
}

// discovery is this command's view of what it shares with others of the same
// credential.
func (g *getter) discovery() (*view, error) {
	g.viewOnce.Do(func() {
		cfg, err := g.shared()
		if err != nil {
			g.viewErr = err
			return
		}
		c, err := g.cmd.kubectl.clients.get(cfg)
		if err != nil {
			g.viewErr = err
			return
		}
		g.view = c.view()
	})
	return g.view, g.viewErr
}

// ToDiscoveryClient implements genericclioptions.RESTClientGetter.
func (g *getter) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	v, err := g.discovery()
	if err != nil {
		return nil, err
	}
	return v, nil
}

// ToRESTMapper implements genericclioptions.RESTClientGetter.
func (g *getter) ToRESTMapper() (meta.RESTMapper, error) {
	v, err := g.discovery()
	if err != nil {
		return nil, err
	}
	return v.mapper(func(text string) { fmt.Fprintln(g.cmd.streams.ErrOut, "Warning: "+text) }), nil
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
