package helm

import (
	"fmt"

	"github.com/spf13/cobra"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/pusher"
	"helm.sh/helm/v3/pkg/registry"
	"helm.sh/helm/v3/pkg/uploader"
)

func (c *command) pullCommand() *cobra.Command {
	var from source
	var untar, provenance bool
	var untarDir, destination string
	cmd := &cobra.Command{
		Use: "pull [chart URL | repo/chartname] [...]", Aliases: []string{"fetch"}, Args: minimumArgs(1),
		Short: "download a chart from a repository and (optionally) unpack it in local directory",
		Long:  "Download charts from repositories or registries, and unpack them with --untar.",
	}
	fs := cmd.Flags()
	c.addSourceFlags(fs, &from)
	fs.BoolVar(&untar, "untar", false, "untar the chart after downloading it")
	fs.BoolVar(&provenance, "prov", false, "fetch the provenance file, but don't perform verification")
	fs.StringVar(&untarDir, "untardir", ".", "with --untar, the directory into which the chart is expanded")
	fs.StringVarP(&destination, "destination", "d", ".", "location to write the chart; --untardir is below it")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		a := action.NewPullWithOpts(action.WithConfig(new(action.Configuration)))
		a.ChartPathOptions, a.Settings = c.options(&from), c.librarySettings()
		a.Untar, a.UntarDir, a.VerifyLater, a.DestDir = untar, untarDir, provenance, c.abs(destination)
		for _, ref := range args {
			if _, err := c.useRegistry(a, from.remote, ref, false); err != nil {
				return err
			}
			text, err := a.Run(ref)
			if err != nil {
				return err
			}
			fmt.Fprint(c.out, text)
		}
		return nil
	}
	return cmd
}

func (c *command) pushCommand() *cobra.Command {
	var to remote
	cmd := &cobra.Command{
		Use: "push [chart] [remote]", Short: "push a chart to remote", Args: minimumArgs(2),
		Long: "Upload a chart to a registry, with its provenance file if there is one.",
	}
	to.addFlags(cmd.Flags())
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		client, err := c.registryClient(c.withDockerLogin(to, args[1]))
		if err != nil {
			return err
		}
		up := uploader.ChartUploader{
			Out: c.out, Pushers: pusher.All(c.librarySettings()),
			Options: []pusher.Option{
				pusher.WithTLSClientConfig(c.abs(to.certFile), c.abs(to.keyFile), c.abs(to.caFile)),
				pusher.WithInsecureSkipTLSVerify(to.skipTLSVerify),
				pusher.WithPlainHTTP(to.plainHTTP),
			},
		}
		if registry.IsOCI(args[1]) {
			up.Options = append(up.Options, pusher.WithRegistryClient(client))
		}
		return up.UploadTo(c.abs(args[0]), args[1])
	}
	return cmd
}
