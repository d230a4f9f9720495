package helm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"helm.sh/helm/v3/pkg/cli"

	"github.com/towline/towline/services/runner/internal/toolbox/helm/settings"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// maxStdin bounds values, passwords and passphrases on standard input.
const maxStdin = 64 << 20

// command is one invocation being carried out.
type command struct {
	helm     *Helm
	inv      tool.Invocation
	out      io.Writer
	settings *settings.Settings
	cluster  *connection // nil until it is asked for
	cleanups []func()
}

func newCommand(h *Helm, inv tool.Invocation) *command {
	return &command{helm: h, inv: inv, out: inv.Stdout, settings: settings.FromEnvironment(inv.Getenv)}
}

func (c *command) close() {
	for _, fn := range c.cleanups {
		fn()
	}
}

// root builds the command tree. Only the subcommand that is asked for is
// built: the whole tree has some 600 flags.
func (c *command) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "helm",
		Short: "The Helm package manager for Kubernetes.",
		Long: `The Kubernetes package manager, as it is built into the Towline runner.

Common actions for Helm:

- helm pull:      download a chart to your local directory to view
- helm install:   upload the chart to Kubernetes
- helm upgrade:   upgrade a release, with --install also if there is none
- helm list:      list releases of charts`,
		SilenceUsage:     true,
		PersistentPreRun: func(*cobra.Command, []string) { c.localise() },
	}
	root.SetIn(c.inv.Stdin)
	root.SetOut(c.inv.Stdout)
	root.SetErr(c.inv.Stderr)
	root.CompletionOptions.DisableDefaultCmd = true
	c.settings.AddFlags(root.PersistentFlags())
	addLogFlags(root.PersistentFlags())
	c.addSubcommands(root)
	return root
}

// addLogFlags takes the flags of klog, which is one per process and silent here.
func addLogFlags(fs *pflag.FlagSet) {
	fs.StringP("v", "v", "0", "number for the log level verbosity (has no effect here)")
	for _, name := range strings.Fields("log-backtrace-at log-dir log-file log-file-max-size stderrthreshold vmodule") {
		fs.String(name, "", "has no effect here")
	}
	for _, name := range strings.Fields("add-dir-header alsologtostderr logtostderr one-output skip-headers skip-log-headers") {
		fs.Bool(name, false, "has no effect here")
	}
	for _, name := range strings.Fields("v log-backtrace-at log-dir log-file log-file-max-size stderrthreshold vmodule " +
		"add-dir-header alsologtostderr logtostderr one-output skip-headers skip-log-headers") {
		fs.Lookup(name).Hidden = true
	}
}

// localise makes the paths of the settings absolute once the flags are known.
func (c *command) localise() {
	s := c.settings
	for _, p := range []*string{&s.KubeConfig, &s.KubeCAFile, &s.RegistryConfig, &s.RepositoryConfig, &s.RepositoryCache} {
		*p = c.abs(*p)
	}
}

// moved says whether the shell is in another directory than the process.
func (c *command) moved() bool { return c.inv.Dir != c.helm.workDir }

// abs makes a path of the script absolute where the process has another working
// directory than the shell. Elsewhere it stays as it is, and so do the messages
// that quote it.
func (c *command) abs(path string) string {
	if path == "" || filepath.IsAbs(path) || !c.moved() {
		return path
	}
	return filepath.Join(c.inv.Dir, path)
}

// librarySettings are what the library needs of ours. It finds no plugins.
func (c *command) librarySettings() *cli.EnvSettings {
	return &cli.EnvSettings{
		RepositoryConfig: c.settings.RepositoryConfig,
		RepositoryCache:  c.settings.RepositoryCache,
		RegistryConfig:   c.settings.RegistryConfig,
	}
}

// debugf is helm's log of its own work, shown with --debug.
func (c *command) debugf(format string, args ...any) {
	if c.settings.Debug {
		fmt.Fprintf(c.inv.Stderr, time.Now().String()+" [debug] "+format+"\n", args...)
	}
}

func (c *command) warnf(format string, args ...any) {
	fmt.Fprintf(c.inv.Stderr, "WARNING: "+format+"\n", args...)
}

// stdin reads standard input to its end.
func (c *command) stdin() ([]byte, error) {
	if c.inv.Stdin == nil {
		return nil, nil
	}
	text, err := io.ReadAll(io.LimitReader(c.inv.Stdin, maxStdin+1))
	if err == nil && len(text) > maxStdin {
		err = fmt.Errorf("more than %d bytes", maxStdin)
	}
	if err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	return text, nil
}

// secretFromStdin is standard input without its last line break.
func (c *command) secretFromStdin() (string, error) {
	text, err := c.stdin()
	return strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"), err
}

// secretFile keeps text in a file until the command ends.
func (c *command) secretFile(text []byte) (string, error) {
	f, err := os.CreateTemp(c.helm.scratch, "helm-")
	if err != nil {
		return "", err
	}
	c.cleanups = append(c.cleanups, func() { _ = os.Remove(f.Name()) })
	_, err = f.Write(text)
	return f.Name(), errors.Join(err, f.Close())
}

// announceCancel writes what helm writes on SIGTERM, until stop is called.
func (c *command) announceCancel(ctx context.Context, release string) (stop func() bool) {
	return context.AfterFunc(ctx, func() { fmt.Fprintf(c.out, "Release %s has been cancelled.\n", release) })
}
