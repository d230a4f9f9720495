package helm

import (
	"fmt"

	"github.com/spf13/cobra"
	"helm.sh/helm/v3/pkg/action"
)

func (c *command) showCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show", Aliases: []string{"inspect"}, Short: "show information of a chart", Args: noArgs,
		Long: "This command consists of multiple subcommands to display information about a chart",
	}
	for _, part := range []struct {
		name, short string
		format      action.ShowOutputFormat
	}{
		{"all", "show all information of the chart", action.ShowAll},
		{"readme", "show the chart's README", action.ShowReadme},
		{"values", "show the chart's values", action.ShowValues},
		{"chart", "show the chart's definition", action.ShowChart},
		{"crds", "show the chart's CRDs", action.ShowCRDs},
	} {
		cmd.AddCommand(c.showPart(part.name, part.short, part.format))
	}
	return cmd
}

func (c *command) showPart(name, short string, format action.ShowOutputFormat) *cobra.Command {
	var from source
	var jsonPath string
	cmd := &cobra.Command{Use: name + " [CHART]", Short: short, Args: exactArgs(1)}
	c.addSourceFlags(cmd.Flags(), &from)
	if format == action.ShowValues {
		cmd.Flags().StringVar(&jsonPath, "jsonpath", "", "supply a JSONPath expression to filter the output")
	}
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		a := action.NewShowWithConfig(format, &action.Configuration{})
		a.ChartPathOptions, a.JSONPathTemplate = c.options(&from), jsonPath
		if _, err := c.useRegistry(a, from.remote, args[0], false); err != nil {
			return err
		}
		path, err := c.locate(&a.ChartPathOptions, args[0])
		if err != nil {
			return err
		}
		text, err := a.Run(path)
		if err != nil {
			return err
		}
		fmt.Fprint(c.out, text)
		return nil
	}
	return cmd
}
