package helm

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"
	"helm.sh/helm/v3/pkg/chartutil"
)

func (c *command) versionCommand() *cobra.Command {
	var short bool
	var text string
	cmd := &cobra.Command{Use: "version", Short: "print the client version information", Args: noArgs}
	cmd.Flags().BoolVar(&short, "short", false, "print the version number")
	cmd.Flags().StringVar(&text, "template", "", "template for version string format")
	cmd.Flags().BoolP("client", "c", true, "display client version information")
	_ = cmd.Flags().MarkHidden("client")
	cmd.RunE = func(*cobra.Command, []string) error {
		version := chartutil.DefaultCapabilities.HelmVersion
		switch {
		case text != "":
			return execute(c.out, text, version)
		case short:
			fmt.Fprintln(c.out, version.Version)
		default:
			fmt.Fprintf(c.out, "%#v\n", version)
		}
		return nil
	}
	return cmd
}

func (c *command) envCommand() *cobra.Command {
	return &cobra.Command{
		Use: "env", Short: "helm client environment information", Args: maximumArgs(1),
		Long: "Env prints out all the environment information in use by Helm.",
		RunE: func(_ *cobra.Command, args []string) error {
			vars := c.settings.Variables(c.inv.Name, c.namespace())
			if len(args) > 0 {
				fmt.Fprintln(c.out, vars[args[0]])
				return nil
			}
			for _, name := range slices.Sorted(maps.Keys(vars)) {
				fmt.Fprintf(c.out, "%s=\"%s\"\n", name, vars[name])
			}
			return nil
		},
	}
}
