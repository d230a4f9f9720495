package helm

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/downloader"
)

func (c *command) dependencyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "dependency update|build|list", Aliases: []string{"dep", "dependencies"}, Args: noArgs,
		Short: "manage a chart's dependencies",
		Long:  "Manage the dependencies of a chart: what Chart.yaml declares, Chart.lock fixes and charts/ holds.",
	}
	update := c.downloadCommand("update", "update charts/ based on the contents of Chart.yaml",
		downloader.VerifyAlways, (*downloader.Manager).Update)
	update.Aliases = []string{"up"}
	build := c.downloadCommand("build", "rebuild the charts/ directory based on the Chart.lock file",
		downloader.VerifyIfPossible, (*downloader.Manager).Build)
	cmd.AddCommand(c.dependencyListCommand(), update, build)
	return cmd
}

// chartDir is the chart that an optional argument names.
func (c *command) chartDir(args []string) string {
	if len(args) == 0 {
		return c.abs(".")
	}
	return c.abs(filepath.Clean(args[0]))
}

func (c *command) dependencyListCommand() *cobra.Command {
	a := action.NewDependency()
	cmd := &cobra.Command{
		Use: "list CHART", Aliases: []string{"ls"}, Short: "list the dependencies for the given chart", Args: maximumArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.List(c.chartDir(args), c.out) },
	}
	cmd.Flags().UintVar(&a.ColumnWidth, "max-col-width", 80, "maximum column width for output table")
	return cmd
}

// downloadCommand is update or build, which fetches dependencies.
func (c *command) downloadCommand(
	name, short string, verification downloader.VerificationStrategy, fetch func(*downloader.Manager) error,
) *cobra.Command {
	var from remote
	var verify, skipRefresh bool
	var keyring string
	cmd := &cobra.Command{Use: name + " CHART", Short: short, Args: maximumArgs(1)}
	fs := cmd.Flags()
	from.addFlags(fs)
	fs.BoolVar(&verify, "verify", false, "verify the packages against signatures")
	fs.StringVar(&keyring, "keyring", c.defaultKeyring(), usageKeyring)
	fs.BoolVar(&skipRefresh, "skip-refresh", false, "do not refresh the local repository cache")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		client, err := c.registryClient(from)
		if err != nil {
			return err
		}
		m := c.manager(keyring, client)
		m.ChartPath, m.SkipUpdate = c.chartDir(args), skipRefresh
		if verify {
			m.Verify = verification
		}
		err = fetch(m)
		if unknown := (downloader.ErrRepoNotFound{}); name == "build" && errors.As(err, &unknown) {
			return fmt.Errorf("%w. Please add the missing repos via 'helm repo add'", err)
		}
		return err
	}
	return cmd
}
