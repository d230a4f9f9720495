package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/towline/towline/e2e/cluster/controlplane/internal/pki"
)

const (
	serviceRange = "10.96.0.0/16"
	issuer       = "https://kubernetes.default.svc.cluster.local"
	mastersGroup = "system:masters"
)

// identity is every file by which the components know each other.
type identity struct {
	caCert, caKey         string
	servingCert, servKey  string
	signingKey            string
	controllersKubeconfig string
	schedulerKubeconfig   string
	admin                 *rest.Config
}

// newIdentity makes certificates and kubeconfigs in dir for an API server at
// the given URL, and writes the administrator's kubeconfig to adminKubeconfig.
func newIdentity(dir, server, adminKubeconfig string) (*identity, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	ca, err := pki.NewAuthority("towline-e2e-ca")
	if err != nil {
		return nil, err
	}
	id := &identity{
		controllersKubeconfig: filepath.Join(dir, "controller-manager.kubeconfig"),
		schedulerKubeconfig:   filepath.Join(dir, "scheduler.kubeconfig"),
	}
	if id.caCert, id.caKey, err = ca.WriteFiles(dir, "ca"); err != nil {
		return nil, err
	}
	serving, err := ca.Server("kube-apiserver", []string{
		"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
	}, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 96, 0, 1)})
	if err != nil {
		return nil, err
	}
	if id.servingCert, id.servKey, err = serving.WriteFiles(dir, "apiserver"); err != nil {
		return nil, err
	}
	if id.signingKey, err = pki.SigningKey(dir, "service-accounts"); err != nil {
		return nil, err
	}
	if err := id.writeKubeconfigs(ca, server, adminKubeconfig); err != nil {
		return nil, err
	}
	return id, nil
}

// writeKubeconfigs gives the administrator and each component a client
// certificate of its own. All of them are in system:masters: the controllers
// need what a real installation grants to thirty separate ServiceAccounts.
func (id *identity) writeKubeconfigs(ca *pki.Authority, server, adminKubeconfig string) error {
	for _, client := range []struct{ user, path string }{
		{"towline-admin", adminKubeconfig},
		{"system:kube-controller-manager", id.controllersKubeconfig},
		{"system:kube-scheduler", id.schedulerKubeconfig},
	} {
		pair, err := ca.Client(client.user, mastersGroup)
		if err != nil {
			return err
		}
		if err := writeKubeconfig(client.path, server, ca.Cert, client.user, pair); err != nil {
			return err
		}
	}
	admin, err := clientcmd.BuildConfigFromFlags("", adminKubeconfig)
	if err != nil {
		return fmt.Errorf("kubeconfig %s: %w", adminKubeconfig, err)
	}
	id.admin = admin
	return nil
}

func writeKubeconfig(path, server string, ca []byte, user string, pair pki.Pair) error {
	const name = "towline-e2e"
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters[name] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: ca}
	cfg.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: pair.Cert, ClientKeyData: pair.Key}
	cfg.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: user}
	cfg.CurrentContext = name
	encoded, err := clientcmd.Write(*cfg)
	if err != nil {
		return fmt.Errorf("kubeconfig of %s: %w", user, err)
	}
	// An existing file keeps its mode when it is written, so replace it.
	temporary := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.WriteFile(temporary, encoded, 0o600); err != nil {
		return fmt.Errorf("kubeconfig of %s: %w", user, err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("kubeconfig of %s: %w", user, err)
	}
	return nil
}
