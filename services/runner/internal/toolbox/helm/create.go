package helm

import (
	"fmt"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// creating guards the library's variable for the warnings of Create.
var creating sync.Mutex

func (c *command) createCommand() *cobra.Command {
	var starter string
	cmd := &cobra.Command{
		Use: "create NAME", Short: "create a new chart with the given name", Args: exactArgs(1),
		Long: "Create a chart directory with the files and directories that charts usually have.",
	}
	cmd.Flags().StringVarP(&starter, "starter", "p", "", "the name or absolute path to Helm starter scaffold")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		fmt.Fprintf(c.out, "Creating %s\n", args[0])
		name, parent := filepath.Base(args[0]), filepath.Dir(c.inv.Path(args[0]))
		if starter != "" {
			if !filepath.IsAbs(starter) {
				starter = filepath.Join(c.settings.Starters(), starter)
			}
			return chartutil.CreateFrom(&chart.Metadata{
				Name: name, Description: "A Helm chart for Kubernetes", Type: "application",
				Version: "0.1.0", AppVersion: "0.1.0", APIVersion: chart.APIVersionV2,
			}, parent, starter)
		}
		creating.Lock()
		defer creating.Unlock()
		chartutil.Stderr = c.out
		_, err := chartutil.Create(name, parent)
		return err
	}
	return cmd
}

func (c *command) verifyCommand() *cobra.Command {
	a := action.NewVerify()
	cmd := &cobra.Command{
		Use: "verify PATH", Short: "verify that a chart at the given path has been signed and is valid", Args: exactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			a.Keyring = c.abs(a.Keyring)
			if err := a.Run(c.abs(args[0])); err != nil {
				return err
			}
			fmt.Fprint(c.out, a.Out)
			return nil
		},
	}
	cmd.Flags().StringVar(&a.Keyring, "keyring", c.defaultKeyring(), usageKeyring)
	return cmd
}
