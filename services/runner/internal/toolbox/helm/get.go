package helm

import (
	"fmt"
	"io"
	"text/template"

	"github.com/spf13/cobra"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/cli/output"
	"helm.sh/helm/v3/pkg/release"

	"github.com/towline/towline/services/runner/internal/toolbox/helm/report"
)

func (c *command) getCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "get", Short: "download extended information of a named release", Args: noArgs,
		Long: "This command consists of multiple subcommands which can be used to get extended information about the release.",
	}
	all := c.getFromRelease("all", "download all information for a named release", nil)
	text := all.Flags().String("template", "", "go template for formatting the output, eg: {{.Release.Name}}")
	all.RunE = c.withRelease(all, func(r *release.Release) error {
		if *text != "" {
			return execute(c.out, *text, map[string]any{"Release": r})
		}
		return output.Table.Write(c.out, report.Status{Release: r, Debug: true, Metadata: true})
	})
	cmd.AddCommand(
		all,
		c.getFromRelease("hooks", "download all hooks for a named release", func(r *release.Release) error {
			for _, h := range r.Hooks {
				fmt.Fprintf(c.out, "---\n# Source: %s\n%s\n", h.Path, h.Manifest)
			}
			return nil
		}),
		c.getFromRelease("manifest", "download the manifest for a named release", func(r *release.Release) error {
			fmt.Fprintln(c.out, r.Manifest)
			return nil
		}),
		c.getFromRelease("notes", "download the notes for a named release", func(r *release.Release) error {
			if r.Info.Notes != "" {
				fmt.Fprintf(c.out, "NOTES:\n%s\n", r.Info.Notes)
			}
			return nil
		}),
		c.getMetadataCommand(),
		c.getValuesCommand(),
	)
	return cmd
}

// getFromRelease is a command that shows something of one revision.
func (c *command) getFromRelease(what, short string, show func(*release.Release) error) *cobra.Command {
	cmd := &cobra.Command{Use: what + " RELEASE_NAME", Short: short, Args: exactArgs(1)}
	cmd.Flags().Int("revision", 0, "get the named release with revision")
	cmd.RunE = c.withRelease(cmd, show)
	return cmd
}

func (c *command) withRelease(cmd *cobra.Command, show func(*release.Release) error) func(*cobra.Command, []string) error {
	return func(_ *cobra.Command, args []string) error {
		cfg, err := c.configuration()
		if err != nil {
			return err
		}
		a := action.NewGet(cfg)
		if a.Version, err = cmd.Flags().GetInt("revision"); err != nil {
			return err
		}
		rel, err := a.Run(args[0])
		if err != nil {
			return err
		}
		return show(rel)
	}
}

func execute(out io.Writer, text string, data any) error {
	t, err := template.New("_").Parse(text)
	if err != nil {
		return err
	}
	return t.Execute(out, data)
}

func (c *command) getMetadataCommand() *cobra.Command {
	var revision int
	cmd := &cobra.Command{Use: "metadata RELEASE_NAME", Short: "This command fetches metadata for a given release", Args: exactArgs(1)}
	cmd.Flags().IntVar(&revision, "revision", 0, "specify release revision")
	format := outputFlag(cmd)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		cfg, err := c.configuration()
		if err != nil {
			return err
		}
		a := action.NewGetMetadata(cfg)
		a.Version = revision
		metadata, err := a.Run(args[0])
		if err != nil {
			return err
		}
		return format.Write(c.out, report.Metadata{Metadata: metadata})
	}
	return cmd
}

func (c *command) getValuesCommand() *cobra.Command {
	var revision int
	var all bool
	cmd := &cobra.Command{Use: "values RELEASE_NAME", Short: "download the values file for a named release", Args: exactArgs(1)}
	cmd.Flags().IntVar(&revision, "revision", 0, "get the named release with revision")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "dump all (computed) values")
	format := outputFlag(cmd)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		cfg, err := c.configuration()
		if err != nil {
			return err
		}
		a := action.NewGetValues(cfg)
		a.Version, a.AllValues = revision, all
		values, err := a.Run(args[0])
		if err != nil {
			return err
		}
		return format.Write(c.out, report.Values{Values: values, Computed: all})
	}
	return cmd
}
