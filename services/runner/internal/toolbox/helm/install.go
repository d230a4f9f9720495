package helm

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/downloader"
	"helm.sh/helm/v3/pkg/release"

	"github.com/towline/towline/services/runner/internal/toolbox/helm/report"
)

// deployment is the flags that install, upgrade and template have in common.
type deployment struct {
	source
	values       valueFlags
	postRenderer postRenderer

	dryRun, description                string
	timeout                            time.Duration
	labels                             map[string]string
	createNamespace, force, noHooks    bool
	wait, waitForJobs, atomic          bool
	skipCRDs, skipSchema, noValidation bool
	subNotes, hideNotes, hideSecret    bool
	dependencyUpdate, dns, own         bool
}

func (c *command) addDeploymentFlags(fs *pflag.FlagSet, d *deployment) {
	fs.BoolVar(&d.createNamespace, "create-namespace", false, "when installing, create the release namespace if not present")
	addDryRunFlag(fs, &d.dryRun)
	fs.BoolVar(&d.force, "force", false, "force resource updates through a replacement strategy")
	fs.BoolVar(&d.noHooks, "no-hooks", false, "do not run hooks")
	fs.DurationVar(&d.timeout, "timeout", operationTimeout, usageTimeout)
	fs.BoolVar(&d.wait, "wait", false, usageWait)
	fs.BoolVar(&d.waitForJobs, "wait-for-jobs", false, usageJobs)
	fs.BoolVar(&d.atomic, "atomic", false, "undo everything on failure; implies --wait")
	fs.StringVar(&d.description, "description", "", "add a custom description")
	fs.BoolVar(&d.dependencyUpdate, "dependency-update", false, "update dependencies if they are missing")
	fs.BoolVar(&d.noValidation, "disable-openapi-validation", false, "do not validate rendered templates against the OpenAPI Schema")
	fs.BoolVar(&d.skipCRDs, "skip-crds", false, "do not install CRDs; by default, they are installed if not already present")
	fs.BoolVar(&d.subNotes, "render-subchart-notes", false, "render subchart notes along with the parent")
	fs.BoolVar(&d.skipSchema, "skip-schema-validation", false, usageSchema)
	fs.StringToStringVarP(&d.labels, "labels", "l", nil, "labels of the release metadata, separated by comma")
	fs.BoolVar(&d.dns, "enable-dns", false, "enable DNS lookups when rendering templates")
	fs.BoolVar(&d.hideNotes, "hide-notes", false, "do not show notes in the output")
	fs.BoolVar(&d.own, "take-ownership", false, "take existing resources over, whatever their helm annotations say")
	d.values.addFlags(fs)
	d.postRenderer.addFlags(fs)
	c.addSourceFlags(fs, &d.source)
}

// installation is the flags of install and template.
type installation struct {
	deployment
	replace, generateName bool
	nameTemplate          string
}

func (c *command) addInstallationFlags(fs *pflag.FlagSet, i *installation) {
	c.addDeploymentFlags(fs, &i.deployment)
	fs.BoolVar(&i.replace, "replace", false, "re-use the name of a deleted release that remains in the history. This is unsafe in production")
	fs.BoolVarP(&i.generateName, "generate-name", "g", false, "generate the name (and omit the NAME parameter)")
	fs.StringVar(&i.nameTemplate, "name-template", "", "template used to name the release")
}

// install prepares the library's action.
func (c *command) install(cfg *action.Configuration, i *installation) *action.Install {
	a := action.NewInstall(cfg)
	a.ChartPathOptions = c.options(&i.source)
	a.Namespace, a.CreateNamespace, a.DryRunOption = c.namespace(), i.createNamespace, i.dryRun
	a.Force, a.DisableHooks, a.Replace, a.TakeOwnership = i.force, i.noHooks, i.replace, i.own
	a.Timeout, a.Wait, a.WaitForJobs, a.Atomic = i.timeout, i.wait, i.waitForJobs, i.atomic
	a.GenerateName, a.NameTemplate = i.generateName, i.nameTemplate
	a.Description, a.Labels, a.DependencyUpdate = i.description, i.labels, i.dependencyUpdate
	a.SkipCRDs, a.SkipSchemaValidation, a.DisableOpenAPIValidation = i.skipCRDs, i.skipSchema, i.noValidation
	a.SubNotes, a.HideNotes, a.HideSecret = i.subNotes, i.hideNotes, i.hideSecret
	a.EnableDNS, a.PostRenderer = i.dns, c.renderer(&i.postRenderer)
	return a
}

func (c *command) installCommand() *cobra.Command {
	i := new(installation)
	cmd := &cobra.Command{
		Use: "install [NAME] [CHART]", Short: "install a chart", Args: minimumArgs(1),
		Long: "Install a chart: a reference (repo/chart), an archive, a directory, a URL or an OCI reference.",
	}
	c.addInstallationFlags(cmd.Flags(), i)
	cmd.Flags().BoolVar(&i.hideSecret, "hide-secret", false, "hide Kubernetes Secrets in the output of --dry-run")
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := c.configuration()
		if err != nil {
			return err
		}
		if i.dryRun == "" {
			i.dryRun = "none"
		}
		rel, err := c.runInstall(cmd.Context(), c.install(cfg, i), i, args)
		if err != nil {
			return fmt.Errorf("INSTALLATION FAILED: %w", err)
		}
		return format.Write(c.out, report.Status{Release: rel, Debug: c.settings.Debug, HideNotes: i.hideNotes})
	}
	return cmd
}

// runInstall carries an installation out, or only renders it.
func (c *command) runInstall(ctx context.Context, a *action.Install, i *installation, args []string) (*release.Release, error) {
	name, ref, err := a.NameAndChart(args)
	if err != nil {
		return nil, err
	}
	a.ReleaseName = name
	client, err := c.useRegistry(a, i.remote, ref, i.dependencyUpdate)
	if err != nil {
		return nil, err
	}
	path, err := c.locate(&a.ChartPathOptions, ref)
	if err != nil {
		return nil, err
	}
	values, err := c.merge(&i.values)
	if err != nil {
		return nil, err
	}
	var update *downloader.Manager
	if i.dependencyUpdate {
		update = c.manager(i.keyring, client)
	}
	ch, err := c.load(path, update, c.checkForInstall)
	if err != nil {
		return nil, err
	}
	if err := checkDryRun(a.DryRunOption); err != nil {
		return nil, err
	}
	defer c.announceCancel(ctx, args[0])()
	return a.RunWithContext(ctx, ch, values)
}
