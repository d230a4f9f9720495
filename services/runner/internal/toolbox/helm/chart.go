package helm

import (
	"fmt"
	"os"
	"strings"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/downloader"
	"helm.sh/helm/v3/pkg/getter"
	"helm.sh/helm/v3/pkg/registry"
)

// locate finds the chart that ref names, downloading it if need be, and
// returns where it lies.
func (c *command) locate(o *action.ChartPathOptions, ref string) (string, error) {
	if local := c.abs(strings.TrimSpace(ref)); local != ref {
		if _, err := os.Stat(local); err == nil || strings.HasPrefix(ref, ".") {
			ref = local
		}
	}
	path, err := o.LocateChart(ref, c.librarySettings())
	if err == nil {
		c.debugf("CHART PATH: %s\n", path)
	}
	return path, err
}

// registrySetter is an action that may fetch from a registry.
type registrySetter interface {
	SetRegistryClient(client *registry.Client)
}

// useRegistry gives an action a registry client if ref or a dependency of the
// chart may need one, and returns it.
func (c *command) useRegistry(a registrySetter, r remote, ref string, dependencies bool) (*registry.Client, error) {
	if !dependencies && !registry.IsOCI(ref) {
		return nil, nil //nolint:nilnil // no client is needed
	}
	client, err := c.registryClient(c.withDockerLogin(r, ref))
	if err == nil {
		a.SetRegistryClient(client)
	}
	return client, err
}

// load reads a chart that check accepts, and sees to it that its dependencies
// are there: update, if it is not nil, fetches those that are missing.
func (c *command) load(path string, update *downloader.Manager, check func(*chart.Chart) error) (*chart.Chart, error) {
	ch, err := loader.Load(path)
	if err != nil {
		return nil, err
	}
	if err := check(ch); err != nil {
		return nil, err
	}
	want := ch.Metadata.Dependencies
	if want == nil {
		return ch, nil
	}
	if err := action.CheckDependencies(ch, want); err == nil {
		return ch, nil
	} else if update == nil {
		return nil, fmt.Errorf("An error occurred while checking for chart dependencies. "+ //nolint:staticcheck // helm's text
			"You may need to run `helm dependency build` to fetch missing dependencies: %w", err)
	}
	update.ChartPath = path
	if err := update.Update(); err != nil {
		return nil, err
	}
	if ch, err = loader.Load(path); err != nil {
		return nil, fmt.Errorf("failed reloading chart after repo update: %w", err)
	}
	return ch, nil
}

// manager downloads the dependencies of charts.
func (c *command) manager(keyring string, client *registry.Client) *downloader.Manager {
	return &downloader.Manager{
		Out: c.out, Keyring: c.abs(keyring), Getters: getter.Getters(), RegistryClient: client,
		RepositoryConfig: c.settings.RepositoryConfig, RepositoryCache: c.settings.RepositoryCache,
		Debug: c.settings.Debug,
	}
}

// checkForInstall refuses library charts.
func (c *command) checkForInstall(ch *chart.Chart) error {
	if kind := ch.Metadata.Type; kind != "" && kind != "application" {
		return fmt.Errorf("%s charts are not installable", kind)
	}
	c.warnDeprecated(ch)
	return nil
}

func (c *command) warnDeprecated(ch *chart.Chart) {
	if ch.Metadata.Deprecated {
		c.warnf("This chart is deprecated")
	}
}
