package helm

import (
	"github.com/spf13/cobra"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/cli/output"

	"github.com/towline/towline/services/runner/internal/toolbox/helm/report"
)

func (c *command) statusCommand() *cobra.Command {
	var revision int
	var describe, resources bool
	cmd := &cobra.Command{
		Use: "status RELEASE_NAME", Short: "display the status of the named release", Args: exactArgs(1),
		Long: "Show the status of a release: when and where it was deployed, its state, revision, tests and notes.",
	}
	fs := cmd.Flags()
	fs.IntVar(&revision, "revision", 0, "display the status of this revision")
	fs.BoolVar(&describe, "show-desc", false, "display the description message of the release")
	fs.BoolVar(&resources, "show-resources", false, "display the resources of the release")
	format := outputFlag(cmd)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		cfg, err := c.configuration()
		if err != nil {
			return err
		}
		a := action.NewStatus(cfg)
		a.Version, a.ShowDescription, a.ShowResources = revision, describe, resources
		a.ShowResourcesTable = *format == output.Table
		rel, err := a.Run(args[0])
		if err != nil {
			return err
		}
		rel.Chart = nil // helm does not show it here
		return format.Write(c.out, report.Status{Release: rel, Description: describe, Resources: resources})
	}
	return cmd
}
