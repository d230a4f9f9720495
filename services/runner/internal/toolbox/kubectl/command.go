package kubectl

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
	cliflag "k8s.io/component-base/cli/flag"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// command is one invocation being carried out.
type command struct {
	ctx      context.Context
	cancel   context.CancelFunc
	failed   atomic.Pointer[exitCode] // of a goroutine of upstream's
	kubectl  *Kubectl
	inv      tool.Invocation
	streams  genericiooptions.IOStreams
	getter   *getter
	warnings warnings
	asErrors bool // --warnings-as-errors
	stdin    string
	cleanups []func()
}

// warnings is the server's warnings in the command's standard error.
type warnings interface {
	rest.WarningHandler
	WarningCount() int
}

func (c *command) close() {
	for _, fn := range c.cleanups {
		fn()
	}
}

// factory is upstream's with a Validator of our own.
type factory struct{ cmdutil.Factory }

// root builds the command tree. Only the subcommand that is asked for is
// built, since each one leaves something behind in package variables of cobra.
func (c *command) root() *cobra.Command {
	c.warnings = rest.NewWarningWriter(c.streams.ErrOut, rest.WarningWriterOptions{Deduplicate: true})
	root := &cobra.Command{
		Use:   "kubectl",
		Short: "kubectl controls the Kubernetes cluster manager",
		Long: templates.LongDesc(`
      kubectl controls the Kubernetes cluster manager.

      This is kubectl as it is built into the Towline runner.`),
		Run:                func(cmd *cobra.Command, _ []string) { _ = cmd.Help() },
		SilenceUsage:       true,
		SilenceErrors:      true,
		PersistentPreRunE:  c.beforeRun,
		PersistentPostRunE: c.afterRun,
	}
	root.SetIn(c.streams.In)
	root.SetOut(c.streams.Out)
	root.SetErr(c.streams.ErrOut)
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetGlobalNormalizationFunc(cliflag.WordSepNormalizeFunc)

	flags := genericclioptions.NewConfigFlags(false).WithDeprecatedPasswordFlag()
	flags.AddFlags(root.PersistentFlags())
	c.getter = &getter{flags: flags, cmd: c}
	match := cmdutil.NewMatchVersionFlags(c.getter)
	match.AddFlags(root.PersistentFlags())
	root.PersistentFlags().BoolVar(&c.asErrors, "warnings-as-errors", false,
		"Treat warnings received from the server as errors and exit with a non-zero exit code")
	// kubectl's log of its own requests would need klog, which is one per
	// process; the flag is taken and does nothing.
	root.PersistentFlags().IntP("v", "v", 0, "number for the log level verbosity (has no effect here)")

	f := factory{cmdutil.NewFactory(match)}
	c.addSubcommands(root, f)
	templates.ActsAsRootCommand(root, nil)
	return root
}

// beforeRun runs after the flags are parsed and before the command.
func (c *command) beforeRun(cmd *cobra.Command, args []string) error {
	return c.localise(cmd, args)
}

func (c *command) afterRun(*cobra.Command, []string) error {
	if n := c.warnings.WarningCount(); c.asErrors && n > 0 {
		if n == 1 {
			return fmt.Errorf("%d warning received", n)
		}
		return fmt.Errorf("%d warnings received", n)
	}
	return nil
}

// abs makes a path of the script absolute where the process has another working
// directory than the shell. Elsewhere it stays as it is, and so do the messages
// that quote it.
func (c *command) abs(path string) string {
	if path == "" || filepath.IsAbs(path) || c.inv.Dir == c.kubectl.workDir {
		return path
	}
	return filepath.Join(c.inv.Dir, path)
}

// stdinFile stores standard input in a file, once, and returns its path.
// Upstream would read the process's own standard input instead.
func (c *command) stdinFile() (string, error) {
	if c.stdin != "" {
		return c.stdin, nil
	}
	path, err := c.scratchFile("stdin-", c.inv.Stdin, maxStdin)
	if err != nil {
		return "", fmt.Errorf("standard input: %w", err)
	}
	c.stdin = path
	return path, nil
}

// scratchFile stores what it reads in a file that lives as long as the command.
func (c *command) scratchFile(pattern string, r io.Reader, limit int64) (string, error) {
	f, err := os.CreateTemp(c.kubectl.scratch, pattern)
	if err != nil {
		return "", err
	}
	c.cleanups = append(c.cleanups, func() { _ = os.Remove(f.Name()) })
	n, err := copyAtMost(f, r, limit)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil && n > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	return f.Name(), err
}
