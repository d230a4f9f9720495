package helm

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/cli/output"

	"github.com/towline/towline/services/runner/internal/toolbox/helm/report"
)

var notName = regexp.MustCompile(`^!\s?name=`)

func (c *command) testCommand() *cobra.Command {
	var timeout time.Duration
	var logs, hideNotes bool
	var filters []string
	cmd := &cobra.Command{
		Use: "test [RELEASE]", Short: "run tests for a release", Args: exactArgs(1),
		Long: "Run the tests that the chart of a deployed release defines.",
	}
	fs := cmd.Flags()
	fs.DurationVar(&timeout, "timeout", operationTimeout, usageTimeout)
	fs.BoolVar(&logs, "logs", false, "dump the logs from test pods, after all tests and before any cleanup")
	fs.StringSliceVar(&filters, "filter", nil, "run only these tests (name=test1,name=test2), or all but these (!name=test1)")
	fs.BoolVar(&hideNotes, "hide-notes", false, "do not show notes in the output")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		cfg, err := c.configuration()
		if err != nil {
			return err
		}
		a := action.NewReleaseTesting(cfg)
		a.Timeout, a.HideNotes, a.Namespace = timeout, hideNotes, c.namespace()
		for _, filter := range filters {
			if name, ok := strings.CutPrefix(filter, "name="); ok {
				a.Filters[action.IncludeNameFilter] = append(a.Filters[action.IncludeNameFilter], name)
			} else if notName.MatchString(filter) {
				a.Filters[action.ExcludeNameFilter] = append(a.Filters[action.ExcludeNameFilter], notName.ReplaceAllLiteralString(filter, ""))
			}
		}
		rel, failed := a.Run(args[0])
		if failed != nil && rel == nil {
			return failed
		}
		// A failed test is shown like one that passed, and then reported.
		if err := output.Table.Write(c.out, report.Status{Release: rel, Debug: c.settings.Debug, HideNotes: hideNotes}); err != nil {
			return err
		}
		if logs {
			fmt.Fprintln(c.out)
			if err := a.GetPodLogs(c.out, rel); err != nil {
				return err
			}
		}
		return failed
	}
	return cmd
}
