package helm

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"helm.sh/helm/v3/pkg/action"
)

func (c *command) uninstallCommand() *cobra.Command {
	a := new(action.Uninstall) // what the flags say; the action is made when they are known
	cmd := &cobra.Command{
		Use: "uninstall RELEASE_NAME [...]", Aliases: []string{"del", "delete", "un"}, SuggestFor: []string{"remove", "rm"},
		Short: "uninstall a release", Args: minimumArgs(1),
		Long: "Uninstall releases: remove all objects of their last revision, and their history.",
	}
	fs := cmd.Flags()
	fs.BoolVar(&a.DryRun, "dry-run", false, "simulate a uninstall")
	fs.BoolVar(&a.DisableHooks, "no-hooks", false, "do not run hooks")
	fs.BoolVar(&a.IgnoreNotFound, "ignore-not-found", false, `Treat "release not found" as a successful uninstall`)
	fs.BoolVar(&a.KeepHistory, "keep-history", false, "mark the release as deleted, but retain the release history")
	fs.BoolVar(&a.Wait, "wait", false, "wait until all the resources are deleted, for as long as --timeout")
	fs.StringVar(&a.DeletionPropagation, "cascade", "background", `"background", "orphan", or "foreground"`)
	fs.DurationVar(&a.Timeout, "timeout", operationTimeout, usageTimeout)
	fs.StringVar(&a.Description, "description", "", "add a custom description")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		switch a.DeletionPropagation {
		case "background", "foreground", "orphan":
		default:
			return fmt.Errorf("invalid cascade value (%s). Must be \"background\", \"foreground\", or \"orphan\"", a.DeletionPropagation)
		}
		cfg, err := c.configuration()
		if err != nil {
			return err
		}
		return c.uninstall(cfg, a, args)
	}
	return cmd
}

func (c *command) uninstall(cfg *action.Configuration, flags *action.Uninstall, names []string) error {
	a := action.NewUninstall(cfg)
	a.DryRun, a.DisableHooks, a.IgnoreNotFound, a.KeepHistory = flags.DryRun, flags.DisableHooks, flags.IgnoreNotFound, flags.KeepHistory
	a.Wait, a.DeletionPropagation, a.Timeout, a.Description = flags.Wait, flags.DeletionPropagation, flags.Timeout, flags.Description
	for _, name := range names {
		result, err := a.Run(name)
		if err != nil {
			return err
		}
		if result != nil && result.Info != "" {
			fmt.Fprintln(c.out, result.Info)
		}
		fmt.Fprintf(c.out, "release \"%s\" uninstalled\n", name)
	}
	return nil
}

func (c *command) rollbackCommand() *cobra.Command {
	a := new(action.Rollback)
	cmd := &cobra.Command{
		Use: "rollback <RELEASE> [REVISION]", Short: "roll back a release to a previous revision", Args: minimumArgs(1),
		Long: "Roll a release back to a revision, or to the previous one if none or 0 is given.",
	}
	fs := cmd.Flags()
	fs.BoolVar(&a.DryRun, "dry-run", false, "simulate a rollback")
	fs.BoolVar(&a.Recreate, "recreate-pods", false, "performs pods restart for the resource if applicable")
	fs.BoolVar(&a.Force, "force", false, "force resource update through delete/recreate if needed")
	fs.BoolVar(&a.DisableHooks, "no-hooks", false, "do not run hooks")
	fs.DurationVar(&a.Timeout, "timeout", operationTimeout, usageTimeout)
	fs.BoolVar(&a.Wait, "wait", false, usageWait)
	fs.BoolVar(&a.WaitForJobs, "wait-for-jobs", false, usageJobs)
	fs.BoolVar(&a.CleanupOnFail, "cleanup-on-fail", false, "delete new resources created in this rollback when it fails")
	fs.IntVar(&a.MaxHistory, "history-max", c.settings.MaxHistory, usageHistory)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if len(args) > 1 {
			revision, err := strconv.Atoi(args[1])
			if err != nil {
				return fmt.Errorf("could not convert revision to a number: %w", err)
			}
			a.Version = revision
		}
		cfg, err := c.configuration()
		if err != nil {
			return err
		}
		run := action.NewRollback(cfg)
		run.DryRun, run.Recreate, run.Force, run.DisableHooks = a.DryRun, a.Recreate, a.Force, a.DisableHooks
		run.Timeout, run.Wait, run.WaitForJobs = a.Timeout, a.Wait, a.WaitForJobs
		run.CleanupOnFail, run.MaxHistory, run.Version = a.CleanupOnFail, a.MaxHistory, a.Version
		if err := run.Run(args[0]); err != nil {
			return err
		}
		fmt.Fprintln(c.out, "Rollback was a success! Happy Helming!")
		return nil
	}
	return cmd
}
