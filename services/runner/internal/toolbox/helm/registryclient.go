package helm

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"

	"helm.sh/helm/v3/pkg/registry"
)

// errCredentialHelper refuses a file of credentials that wants a program to be
// run.
var errCredentialHelper = errors.New("credential helpers (credsStore, credHelpers) cannot be used in a job: " +
	"nothing but the built-in commands is executed here; use \"helm registry login\"")

// registryClient speaks to OCI registries.
func (c *command) registryClient(r remote) (*registry.Client, error) {
	if err := checkCredentials(c.settings.RegistryConfig); err != nil {
		return nil, err
	}
	options := []registry.ClientOption{
		registry.ClientOptEnableCache(true),
		registry.ClientOptWriter(c.inv.Stderr),
		registry.ClientOptCredentialsFile(c.settings.RegistryConfig),
		registry.ClientOptBasicAuth(r.username, r.password),
	}
	switch {
	case r.certFile != "" && r.keyFile != "" || r.caFile != "" || r.skipTLSVerify:
		config, err := c.tlsConfig(r)
		if err != nil {
			return nil, fmt.Errorf("missing registry client: can't create TLS config for client: %w", err)
		}
		options = append(options, registry.ClientOptHTTPClient(&http.Client{
			Transport: &http.Transport{TLSClientConfig: config, Proxy: http.ProxyFromEnvironment},
		}))
	case r.plainHTTP:
		options = append(options, registry.ClientOptPlainHTTP())
	}
	client, err := registry.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("missing registry client: %w", err)
	}
	return client, nil
}

// checkCredentials refuses files that name programs. Files that cannot be read
// are left to the library.
func checkCredentials(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil //nolint:nilerr // there is nothing to refuse
	}
	var config struct {
		Store   string            `json:"credsStore"`
		Helpers map[string]string `json:"credHelpers"`
	}
	if json.Unmarshal(text, &config) == nil && (config.Store != "" || len(config.Helpers) > 0) {
		return fmt.Errorf("%s: %w", file, errCredentialHelper)
	}
	return nil
}

func (c *command) tlsConfig(r remote) (*tls.Config, error) {
	config := &tls.Config{InsecureSkipVerify: r.skipTLSVerify} //nolint:gosec // the user asked for it by its name
	if r.certFile != "" && r.keyFile != "" {
		pair, err := tls.LoadX509KeyPair(c.abs(r.certFile), c.abs(r.keyFile))
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if r.caFile != "" {
		text, err := os.ReadFile(c.abs(r.caFile))
		if err != nil {
			return nil, fmt.Errorf("can't read CA file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("failed to append certificates from file: %s", r.caFile)
		}
	}
	return config, nil
}
