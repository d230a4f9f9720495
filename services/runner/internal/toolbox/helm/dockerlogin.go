package helm

import (
	"context"
	"path/filepath"
	"strings"

	"helm.sh/helm/v3/pkg/registry"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
)

// withDockerLogin falls back to the name and password that Docker's file has
// for the registry of ref, as helm does. The library would look for the file in
// the environment of the process.
func (c *command) withDockerLogin(r remote, ref string) remote {
	if r.username != "" || !registry.IsOCI(ref) {
		return r
	}
	host, _, _ := strings.Cut(strings.TrimPrefix(ref, registry.OCIScheme+"://"), "/")
	if login(c.settings.RegistryConfig, host) != auth.EmptyCredential {
		return r
	}
	dir, ok := c.inv.Getenv("DOCKER_CONFIG")
	if !ok || dir == "" {
		home, _ := c.inv.Getenv("HOME")
		dir = filepath.Join(home, ".docker")
	}
	found := login(filepath.Join(c.abs(dir), "config.json"), host)
	r.username, r.password = found.Username, found.Password
	return r
}

// login is what a file of credentials itself says of a host, whatever helper
// programs it names. A file that cannot be read says nothing.
func login(file, host string) auth.Credential {
	store, err := credentials.NewFileStore(file)
	if err != nil {
		return auth.EmptyCredential
	}
	found, err := store.Get(context.Background(), credentials.ServerAddressFromRegistry(host))
	if err != nil {
		return auth.EmptyCredential
	}
	return found
}
