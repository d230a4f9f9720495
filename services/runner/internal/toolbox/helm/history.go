package helm

import (
	"github.com/spf13/cobra"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/releaseutil"

	"github.com/towline/towline/services/runner/internal/toolbox/helm/report"
)

func (c *command) historyCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "history RELEASE_NAME", Aliases: []string{"hist"}, Short: "fetch release history", Args: exactArgs(1),
		Long: "Show the revisions of a release.",
	}
	cmd.Flags().IntVar(&limit, "max", 256, "maximum number of revision to include in history")
	format := outputFlag(cmd)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		cfg, err := c.configuration()
		if err != nil {
			return err
		}
		a := action.NewHistory(cfg)
		a.Max = limit
		revisions, err := a.Run(args[0])
		if err != nil {
			return err
		}
		releaseutil.SortByRevision(revisions)
		newest := revisions[max(0, len(revisions)-max(0, limit)):]
		return format.Write(c.out, report.NewRevisions(newest))
	}
	return cmd
}
