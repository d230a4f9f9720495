package helm

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/towline/towline/services/runner/internal/toolbox/kubectl"
)

// subcommands are built on demand, by name.
var subcommands = map[string]func(*command) *cobra.Command{
	"create":     (*command).createCommand,
	"dependency": (*command).dependencyCommand,
	"env":        (*command).envCommand,
	"get":        (*command).getCommand,
	"history":    (*command).historyCommand,
	"install":    (*command).installCommand,
	"lint":       (*command).lintCommand,
	"list":       (*command).listCommand,
	"package":    (*command).packageCommand,
	"pull":       (*command).pullCommand,
	"push":       (*command).pushCommand,
	"registry":   (*command).registryCommand,
	"repo":       (*command).repoCommand,
	"rollback":   (*command).rollbackCommand,
	"search":     (*command).searchCommand,
	"show":       (*command).showCommand,
	"status":     (*command).statusCommand,
	"template":   (*command).templateCommand,
	"test":       (*command).testCommand,
	"uninstall":  (*command).uninstallCommand,
	"upgrade":    (*command).upgradeCommand,
	"verify":     (*command).verifyCommand,
	"version":    (*command).versionCommand,
}

var aliases = map[string]string{
	"del": "uninstall", "delete": "uninstall", "un": "uninstall",
	"dep": "dependency", "dependencies": "dependency",
	"fetch": "pull", "hist": "history", "inspect": "show", "ls": "list",
}

// refused are commands of helm that cannot work in a job.
var refused = map[string]string{
	"completion": "there is no interactive shell in a job",
	"docs":       "there is no manual to generate in a job",
	"plugin":     "plugins are external programs, and nothing but the built-in commands is executed here",
}

// addSubcommands adds the one subcommand that the arguments name, or all of
// them for help and for unknown names.
func (c *command) addSubcommands(root *cobra.Command) {
	name := kubectl.Subcommand(root, c.inv.Args)
	if why, ok := refused[name]; ok {
		root.AddCommand(refusal(name, "helm "+name, why))
		return
	}
	if full, ok := aliases[name]; ok {
		name = full
	}
	if build, ok := subcommands[name]; ok {
		root.AddCommand(build(c))
		return
	}
	for _, build := range subcommands {
		root.AddCommand(build(c))
	}
}

// refusal explains why a command does not exist here.
func refusal(name, full, why string) *cobra.Command {
	return &cobra.Command{
		Use: name, Hidden: true, DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return fmt.Errorf("%s is not available in a job: %s", full, why)
		},
	}
}
