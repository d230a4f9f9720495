package helm

import (
	"fmt"

	"github.com/spf13/cobra"
)

// Checks of the number of arguments, with helm's messages.

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("%q accepts no arguments\n\nUsage:  %s", cmd.CommandPath(), cmd.UseLine())
}

func exactArgs(n int) cobra.PositionalArgs { return argsBetween(n, n, "requires") }

func minimumArgs(n int) cobra.PositionalArgs { return argsBetween(n, -1, "requires at least") }

func maximumArgs(n int) cobra.PositionalArgs { return argsBetween(0, n, "accepts at most") }

// argsBetween wants at least least and, unless it is negative, at most most
// arguments; limit names the one of them that the message is about.
func argsBetween(least, most int, limit string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && (most < 0 || len(args) <= most) {
			return nil
		}
		n := max(least, most)
		plural := "s"
		if n == 1 {
			plural = ""
		}
		return fmt.Errorf("%q %s %d argument%s\n\nUsage:  %s", cmd.CommandPath(), limit, n, plural, cmd.UseLine())
	}
}
