package kustomize

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/kustomize/v5/commands/create"
	"sigs.k8s.io/kustomize/kustomize/v5/commands/edit"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// version is that of the libraries.
const version = "v5.8.1"

// Run is the command.
func Run(ctx context.Context, inv tool.Invocation) int {
	root := &cobra.Command{
		Use:           "kustomize",
		Short:         "Manages declarative configuration of Kubernetes",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetArgs(inv.Args)
	root.SetIn(inv.Stdin)
	root.SetOut(inv.Stdout)
	root.SetErr(inv.Stderr)
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(subcommand(inv))
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintf(inv.Stderr, "Error: %v\n", err)
		return 1
	}
	return 0
}

// subcommand builds the subcommand that is asked for: each one built leaves
// something behind in package variables of cobra. Without one it is build,
// whose help the root command shows.
func subcommand(inv tool.Invocation) *cobra.Command {
	files := newDisk(inv.Dir)
	libraries := provider.NewDefaultDepProvider()
	name := ""
	if len(inv.Args) > 0 {
		name = inv.Args[0]
	}
	switch name {
	case "edit":
		return edit.NewCmdEdit(files, libraries.GetFieldValidator(), libraries.GetResourceFactory(), inv.Stdout)
	case "create":
		return create.NewCmdCreate(files, libraries.GetResourceFactory())
	case "version":
		cmd := &cobra.Command{Use: "version", Short: "Prints the kustomize version", Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintln(cmd.OutOrStdout(), version)
		}}
		cmd.Flags().Bool("short", false, "no effect")
		return cmd
	case "localize", "cfg", "fn", "openapi", "completion":
		return &cobra.Command{Use: name, DisableFlagParsing: true, RunE: func(*cobra.Command, []string) error {
			return fmt.Errorf("kustomize %s is not available in a job: build, edit, create and version are", name)
		}}
	}
	return Build(inv.Dir)
}
