package kubectl

import (
	"github.com/spf13/cobra"

	"github.com/towline/towline/services/runner/internal/toolbox/kustomize"
)

// kustomizeCommand is `kustomize build`. Upstream's keeps its flags in package
// variables, which two commands of a pipeline would share.
func (c *command) kustomizeCommand() *cobra.Command {
	cmd := kustomize.Build(c.inv.Dir)
	cmd.Use = "kustomize DIR"
	cmd.SetOut(c.streams.Out)
	return cmd
}
