package helm

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/cli/output"
	"helm.sh/helm/v3/pkg/downloader"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"

	"github.com/towline/towline/services/runner/internal/toolbox/helm/report"
)

// upgrading is the flags of upgrade.
type upgrading struct {
	deployment
	install, recreate, cleanup               bool
	resetValues, reuseValues, resetThenReuse bool
	maxHistory                               int
}

func (c *command) upgradeCommand() *cobra.Command {
	u := new(upgrading)
	cmd := &cobra.Command{
		Use: "upgrade [RELEASE] [CHART]", Short: "upgrade a release", Args: exactArgs(2),
		Long: "Upgrade a release to a new version of a chart or to new values; with --install also if there is no such release.",
	}
	fs := cmd.Flags()
	c.addDeploymentFlags(fs, &u.deployment)
	fs.BoolVar(&u.hideSecret, "hide-secret", false, "hide Kubernetes Secrets in the output of --dry-run")
	fs.BoolVarP(&u.install, "install", "i", false, "if a release by this name doesn't already exist, run an install")
	fs.BoolVar(&u.recreate, "recreate-pods", false, "performs pods restart for the resource if applicable")
	_ = fs.MarkDeprecated("recreate-pods", "functionality will no longer be updated. Consult the documentation for other methods to recreate pods")
	fs.BoolVar(&u.resetValues, "reset-values", false, "reset the values to the ones built into the chart")
	fs.BoolVar(&u.reuseValues, "reuse-values", false, "reuse the last release's values and merge in those of the command line. Ignored with --reset-values")
	fs.BoolVar(&u.resetThenReuse, "reset-then-reuse-values", false,
		"reset the values to the ones built into the chart, then apply the last release's values and those of the command line. Ignored with --reset-values or --reuse-values")
	fs.IntVar(&u.maxHistory, "history-max", c.settings.MaxHistory, usageHistory)
	fs.BoolVar(&u.cleanup, "cleanup-on-fail", false, "delete new resources created in this upgrade when it fails")
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := c.configuration()
		if err != nil {
			return err
		}
		if u.dryRun == "" {
			u.dryRun = "none"
		}
		if u.install {
			missing, replace, err := missing(cfg, args[0])
			if err != nil {
				return err
			}
			if missing {
				return c.upgradeByInstall(cmd.Context(), cfg, u, args, replace, *format)
			}
		}
		rel, err := c.runUpgrade(cmd.Context(), cfg, u, args)
		if err != nil {
			return err
		}
		if *format == output.Table {
			fmt.Fprintf(c.out, "Release %q has been upgraded. Happy Helming!\n", args[0])
		}
		return format.Write(c.out, report.Status{Release: rel, Debug: c.settings.Debug, HideNotes: u.hideNotes})
	}
	return cmd
}

// missing says whether a release must be installed, and whether then in place
// of one that was uninstalled with its history kept.
func missing(cfg *action.Configuration, name string) (missing, replace bool, err error) {
	history := action.NewHistory(cfg)
	history.Max = 1
	revisions, err := history.Run(name)
	if n := len(revisions); n > 0 && revisions[n-1].Info.Status == release.StatusUninstalled {
		return true, true, nil
	}
	if errors.Is(err, driver.ErrReleaseNotFound) {
		return true, false, nil
	}
	return false, false, err
}

func (c *command) upgradeByInstall(
	ctx context.Context, cfg *action.Configuration, u *upgrading, args []string, replace bool, format output.Format,
) error {
	if format == output.Table {
		fmt.Fprintf(c.out, "Release %q does not exist. Installing it now.\n", args[0])
	}
	i := &installation{deployment: u.deployment, replace: replace}
	rel, err := c.runInstall(ctx, c.install(cfg, i), i, args)
	if err != nil {
		return err
	}
	return format.Write(c.out, report.Status{Release: rel, Debug: c.settings.Debug, HideNotes: u.hideNotes})
}

// upgrade prepares the library's action.
func (c *command) upgrade(cfg *action.Configuration, u *upgrading) *action.Upgrade {
	a := action.NewUpgrade(cfg)
	a.ChartPathOptions = c.options(&u.source)
	a.Namespace, a.Install, a.DryRunOption = c.namespace(), u.install, u.dryRun
	a.Force, a.DisableHooks, a.Recreate, a.TakeOwnership = u.force, u.noHooks, u.recreate, u.own
	a.Timeout, a.Wait, a.WaitForJobs, a.Atomic = u.timeout, u.wait, u.waitForJobs, u.atomic
	a.ResetValues, a.ReuseValues, a.ResetThenReuseValues = u.resetValues, u.reuseValues, u.resetThenReuse
	a.MaxHistory, a.CleanupOnFail = u.maxHistory, u.cleanup
	a.Description, a.Labels, a.DependencyUpdate = u.description, u.labels, u.dependencyUpdate
	a.SkipCRDs, a.SkipSchemaValidation, a.DisableOpenAPIValidation = u.skipCRDs, u.skipSchema, u.noValidation
	a.SubNotes, a.HideNotes, a.HideSecret = u.subNotes, u.hideNotes, u.hideSecret
	a.EnableDNS, a.PostRenderer = u.dns, c.renderer(&u.postRenderer)
	return a
}

func (c *command) runUpgrade(ctx context.Context, cfg *action.Configuration, u *upgrading, args []string) (*release.Release, error) {
	a := c.upgrade(cfg, u)
	client, err := c.useRegistry(a, u.remote, args[1], u.dependencyUpdate)
	if err != nil {
		return nil, err
	}
	path, err := c.locate(&a.ChartPathOptions, args[1])
	if err != nil {
		return nil, err
	}
	if err := checkDryRun(a.DryRunOption); err != nil {
		return nil, err
	}
	values, err := c.merge(&u.values)
	if err != nil {
		return nil, err
	}
	var update *downloader.Manager
	if u.dependencyUpdate {
		update = c.manager(u.keyring, client)
	}
	ch, err := c.load(path, update, func(*chart.Chart) error { return nil })
	if err != nil {
		return nil, err
	}
	c.warnDeprecated(ch)
	defer c.announceCancel(ctx, args[0])()
	rel, err := a.RunWithContext(ctx, args[0], ch, values)
	if err != nil {
		return nil, fmt.Errorf("UPGRADE FAILED: %w", err)
	}
	return rel, nil
}
