package kubectl

import (
	"errors"

	"github.com/spf13/cobra"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// kustomizeCommand stands in for upstream's, which keeps its flags in package
// variables that two commands of a pipeline would share.
func (c *command) kustomizeCommand() *cobra.Command {
	var output, restrictor string
	var helm bool
	cmd := &cobra.Command{
		Use:   "kustomize DIR",
		Short: "Build a kustomization target from a directory",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if helm {
				return errors.New("--enable-helm is not available in a job: it runs an external helm")
			}
			dir := c.inv.Dir
			if len(args) > 0 {
				dir = args[0]
			}
			return c.kustomize(dir, output, restrictor)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "If specified, write output to this path.")
	cmd.Flags().StringVar(&restrictor, "load-restrictor", types.LoadRestrictionsRootOnly.String(),
		"if set to 'LoadRestrictionsNone', local kustomizations may load files from outside their root.")
	cmd.Flags().BoolVar(&helm, "enable-helm", false, "Enable use of the Helm chart inflator generator.")
	return cmd
}

func (c *command) kustomize(dir, output, restrictor string) error {
	opts := krusty.MakeDefaultOptions()
	opts.Reorder = krusty.ReorderOptionUnspecified
	switch restrictor {
	case types.LoadRestrictionsRootOnly.String():
	case types.LoadRestrictionsNone.String():
		opts.LoadRestrictions = types.LoadRestrictionsNone
	default:
		return errors.New("illegal flag value --load-restrictor " + restrictor)
	}
	disk := filesys.MakeFsOnDisk()
	resources, err := krusty.MakeKustomizer(opts).Run(disk, dir)
	if err != nil {
		return err
	}
	text, err := resources.AsYaml()
	if err != nil {
		return err
	}
	if output != "" {
		return disk.WriteFile(c.abs(output), text)
	}
	_, err = c.streams.Out.Write(text)
	return err
}
