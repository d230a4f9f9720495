package cluster

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// EnvKubeconfig is the environment variable that names the kubeconfig of a
// cluster to use instead of starting one.
const EnvKubeconfig = "TOWLINE_E2E_KUBECONFIG"

// Options says how to start a control plane. The zero value is fine.
type Options struct {
	// Dir keeps the cluster's data; starting again on the same Dir continues
	// with the same objects and the same ServiceAccount tokens, on another port
	// and with other certificates. Empty means a temporary one that Stop removes.
	Dir string
	// Log is a file the components' logs are appended to. Empty means that they
	// are discarded; a failure still carries the last errors.
	Log string
	// Progress gets a line now and then while the program is being built.
	Progress io.Writer
}

// Cluster is a running Kubernetes API with controllers and without nodes.
type Cluster struct {
	kubeconfig string
	process    *process // nil when the cluster is somebody else's

	clientOnce sync.Once
	clientSet  kubernetes.Interface
	clientErr  error
}

// Start starts a control plane and returns when it is ready; ctx limits that
// time, not the cluster's life. The plane ends with Stop, or with this process
// however it ends. When EnvKubeconfig is set, Start checks that cluster instead
// and ignores the options.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	if path := os.Getenv(EnvKubeconfig); path != "" {
		return attach(ctx, path)
	}
	binary, err := Binary(ctx, opts.Progress)
	if err != nil {
		return nil, err
	}
	var args []string
	if opts.Dir != "" {
		args = append(args, "--data-dir="+opts.Dir)
	}
	if opts.Log != "" {
		args = append(args, "--log-file="+opts.Log)
	}
	p, err := launch(binary, args...)
	if err != nil {
		return nil, err
	}
	ready, err := p.ready(ctx)
	if err != nil {
		_ = p.stop() // err says more
		return nil, err
	}
	return &Cluster{kubeconfig: ready.Kubeconfig, process: p}, nil
}

// attach uses a cluster that somebody else started.
func attach(ctx context.Context, path string) (*Cluster, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", EnvKubeconfig, err)
	}
	c := &Cluster{kubeconfig: path}
	client, err := c.client()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", EnvKubeconfig, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := client.CoreV1().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error(); err != nil {
		return nil, fmt.Errorf("%s: the cluster of %s is not ready: %w", EnvKubeconfig, path, err)
	}
	return c, nil
}

// Stop ends the control plane and removes its temporary files. It returns an
// error when the plane had failed before, or had to be killed. A cluster given
// by EnvKubeconfig is left alone. Stop may be called more than once.
func (c *Cluster) Stop() error {
	if c.process == nil {
		return nil
	}
	err := c.process.stop()
	if err != nil {
		removeLeftovers(c.kubeconfig)
	}
	return err
}

// Kubeconfig returns the path of the administrator's kubeconfig.
func (c *Cluster) Kubeconfig() string { return c.kubeconfig }

// RESTConfig returns a new administrator's client configuration, without
// client-side rate limits.
func (c *Cluster) RESTConfig() (*rest.Config, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", c.kubeconfig, err)
	}
	cfg.QPS = -1
	return cfg, nil
}

// KubeconfigFor returns a kubeconfig for this cluster with a bearer token in
// place of the administrator's certificate.
func (c *Cluster) KubeconfigFor(token string) ([]byte, error) {
	admin, err := c.RESTConfig()
	if err != nil {
		return nil, err
	}
	if err := rest.LoadTLSFiles(admin); err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", c.kubeconfig, err)
	}
	const name, user = "towline-e2e", "token"
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters[name] = &clientcmdapi.Cluster{
		Server:                   admin.Host,
		CertificateAuthorityData: admin.CAData,
		InsecureSkipTLSVerify:    admin.Insecure,
		TLSServerName:            admin.ServerName,
	}
	cfg.AuthInfos[user] = &clientcmdapi.AuthInfo{Token: token}
	cfg.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: user}
	cfg.CurrentContext = name
	encoded, err := clientcmd.Write(*cfg)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig with a token: %w", err)
	}
	return encoded, nil
}

// client returns the administrator's client, made once.
func (c *Cluster) client() (kubernetes.Interface, error) {
	c.clientOnce.Do(func() {
		cfg, err := c.RESTConfig()
		if err != nil {
			c.clientErr = err
			return
		}
		c.clientSet, c.clientErr = kubernetes.NewForConfig(cfg)
	})
	return c.clientSet, c.clientErr
}
