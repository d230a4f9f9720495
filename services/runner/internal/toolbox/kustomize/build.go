package kustomize

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

var (
	errHelm    = errors.New("--enable-helm is not available in a job: it runs an external helm. Use `helm template` and add its output as a resource")
	errPlugins = errors.New("plugins are not available in a job: they are programs, and nothing but the built-in commands is executed here")
	errRemote  = errors.New("bases in other repositories are not available in a job: kustomize would run git. Fetch them first (git clone, or curl) and name the directory")
)

// build is the flags of one build.
type build struct {
	output, restrictor, reorder    string
	helm, plugins, exec, managedBy bool
}

// Build is the subcommand build for a script in a directory. It writes to the
// command's output, and returns errors instead of printing them.
func Build(dir string) *cobra.Command {
	b, disk := &build{}, newDisk(dir)
	cmd := &cobra.Command{
		Use:   "build DIR",
		Short: "Build a kustomization target from a directory",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := filesys.SelfDir
			if len(args) > 0 {
				dir = args[0]
			}
			return b.run(cmd, disk, dir)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&b.output, "output", "o", "", "If specified, write output to this path.")
	f.StringVar(&b.restrictor, "load-restrictor", types.LoadRestrictionsRootOnly.String(),
		"if set to 'LoadRestrictionsNone', local kustomizations may load files from outside their root.")
	f.StringVar(&b.reorder, "reorder", string(krusty.ReorderOptionUnspecified), "'legacy' or 'none': the order of the output")
	f.BoolVar(&b.managedBy, "enable-managedby-label", false, "add the label app.kubernetes.io/managed-by")
	f.BoolVar(&b.helm, "enable-helm", false, "not available in a job")
	f.BoolVar(&b.plugins, "enable-alpha-plugins", false, "not available in a job")
	f.BoolVar(&b.exec, "enable-exec", false, "not available in a job")
	return cmd
}

func (b *build) run(cmd *cobra.Command, disk filesys.FileSystem, dir string) error {
	opts := krusty.MakeDefaultOptions()
	opts.AddManagedbyLabel = b.managedBy
	switch {
	case b.helm:
		return errHelm
	case b.plugins || b.exec:
		return errPlugins
	case remote(dir):
		return errRemote
	}
	switch krusty.ReorderOption(b.reorder) {
	case krusty.ReorderOptionUnspecified, krusty.ReorderOptionLegacy, krusty.ReorderOptionNone:
		opts.Reorder = krusty.ReorderOption(b.reorder)
	default:
		return fmt.Errorf("illegal flag value --reorder %s; legal values: [legacy none]", b.reorder)
	}
	switch b.restrictor {
	case types.LoadRestrictionsRootOnly.String():
	case types.LoadRestrictionsNone.String():
		opts.LoadRestrictions = types.LoadRestrictionsNone
	default:
		return fmt.Errorf("illegal flag value --load-restrictor %s; legal values: [%s %s]", b.restrictor, types.LoadRestrictionsRootOnly, types.LoadRestrictionsNone)
	}
	resources, err := krusty.MakeKustomizer(opts).Run(disk, dir)
	if err != nil {
		return explained(err)
	}
	return b.write(cmd, disk, resources)
}

// remote says whether kustomize would take an address for a repository.
func remote(dir string) bool {
	return strings.Contains(dir, "://") || strings.HasPrefix(dir, "git@") || strings.HasPrefix(dir, "github.com/")
}

// explained adds the reason where kustomize wanted to run a program.
func explained(err error) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "git fetch") || strings.Contains(text, "git init") || strings.Contains(text, "no 'git' program"):
		return fmt.Errorf("%w (%w)", err, errRemote)
	case strings.Contains(text, "must specify --enable-helm"):
		return fmt.Errorf("%w (%w)", err, errHelm)
	}
	return err
}

// write puts the result to standard output, into a file, or into a directory
// with one file for each object.
func (b *build) write(cmd *cobra.Command, disk filesys.FileSystem, resources resmap.ResMap) error {
	if b.output != "" && disk.IsDir(b.output) {
		return writeEach(disk, b.output, resources)
	}
	text, err := resources.AsYaml()
	if err != nil {
		return err
	}
	if b.output != "" {
		return disk.WriteFile(b.output, text)
	}
	_, err = cmd.OutOrStdout().Write(text)
	return err
}

func writeEach(disk filesys.FileSystem, dir string, resources resmap.ResMap) error {
	namespaces := resources.GroupedByCurrentNamespace()
	for namespace, list := range namespaces {
		prefix := ""
		if len(namespaces) > 1 {
			prefix = strings.ToLower(namespace) + "_"
		}
		if err := writeFiles(disk, dir, prefix, list); err != nil {
			return err
		}
	}
	return writeFiles(disk, dir, "", resources.ClusterScoped())
}

func writeFiles(disk filesys.FileSystem, dir, prefix string, list []*resource.Resource) error {
	for _, res := range list {
		object, err := res.Map()
		if err != nil {
			return err
		}
		text, err := yaml.Marshal(object)
		if err != nil {
			return err
		}
		name := prefix + strings.ToLower(res.GetGvk().StringWoEmptyField()) + "_" + strings.ToLower(res.GetName()) + ".yaml"
		if err := disk.WriteFile(filepath.Join(dir, name), text); err != nil {
			return err
		}
	}
	return nil
}
