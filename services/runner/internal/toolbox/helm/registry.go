package helm

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"helm.sh/helm/v3/pkg/action"
)

func (c *command) registryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "registry", Short: "login to or logout from a registry",
		Long: "This command consists of multiple subcommands to interact with registries.",
	}
	cmd.AddCommand(c.loginCommand(), c.logoutCommand())
	return cmd
}

// loginFlags are those of `helm registry login`.
type loginFlags struct {
	username, password        string
	certFile, keyFile, caFile string
	fromStdin                 bool
	insecure, plainHTTP       bool
}

func (l *loginFlags) addFlags(fs *pflag.FlagSet) {
	fs.StringVarP(&l.username, "username", "u", "", "registry username")
	fs.StringVarP(&l.password, "password", "p", "", "registry password or identity token")
	fs.BoolVar(&l.fromStdin, "password-stdin", false, "read password or identity token from stdin")
	fs.BoolVar(&l.insecure, "insecure", false, "allow connections to TLS registry without certs")
	fs.StringVar(&l.certFile, "cert-file", "", usageCert)
	fs.StringVar(&l.keyFile, "key-file", "", usageKey)
	fs.StringVar(&l.caFile, "ca-file", "", usageCA)
	fs.BoolVar(&l.plainHTTP, "plain-http", false, usagePlain)
}

func (c *command) loginCommand() *cobra.Command {
	l := new(loginFlags)
	cmd := &cobra.Command{
		Use: "login [host]", Short: "login to a registry", Long: "Authenticate to a remote registry.", Args: minimumArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := c.readPassword(l); err != nil {
				return err
			}
			client, err := c.registryClient(remote{})
			if err != nil {
				return err
			}
			return action.NewRegistryLogin(&action.Configuration{RegistryClient: client}).Run(
				c.out, args[0], l.username, l.password,
				action.WithCertFile(c.abs(l.certFile)), action.WithKeyFile(c.abs(l.keyFile)), action.WithCAFile(c.abs(l.caFile)),
				action.WithInsecure(l.insecure), action.WithPlainHTTPLogin(l.plainHTTP))
		},
	}
	l.addFlags(cmd.Flags())
	return cmd
}

// readPassword fills in what the flags left open. Nobody can be asked in a job.
func (c *command) readPassword(l *loginFlags) error {
	switch {
	case l.fromStdin:
		password, err := c.secretFromStdin()
		l.password = password
		return err
	case l.password != "":
		c.warnf("Using --password via the CLI is insecure. Use --password-stdin.")
		return nil
	case l.username == "":
		return errors.New("username and password are required: nobody can be asked in a job; use -u and --password-stdin")
	}
	return fmt.Errorf("password of %s is required: nobody can be asked in a job; use --password-stdin", l.username)
}

func (c *command) logoutCommand() *cobra.Command {
	return &cobra.Command{
		Use: "logout [host]", Short: "logout from a registry", Args: minimumArgs(1),
		Long: "Remove credentials stored for a remote registry.",
		RunE: func(_ *cobra.Command, args []string) error {
			client, err := c.registryClient(remote{})
			if err != nil {
				return err
			}
			return action.NewRegistryLogout(&action.Configuration{RegistryClient: client}).Run(c.out, args[0])
		},
	}
}
