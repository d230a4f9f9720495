package helm

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/registry"
)

func (c *command) packageCommand() *cobra.Command {
	var from remote
	a := action.NewPackage()
	cmd := &cobra.Command{
		Use: "package [CHART_PATH] [...]", Short: "package a chart directory into a chart archive",
		Long: "Package chart directories into versioned archives, and sign them with --sign.",
	}
	flags := cmd.Flags()
	from.addFlags(flags)
	flags.BoolVar(&a.Sign, "sign", false, "use a PGP private key to sign this package")
	flags.StringVar(&a.Key, "key", "", "name of the key to use when signing")
	flags.StringVar(&a.Keyring, "keyring", c.defaultKeyring(), "location of a public keyring")
	flags.StringVar(&a.PassphraseFile, "passphrase-file", "", `file with the passphrase for the signing key, "-" for stdin`)
	flags.StringVar(&a.Version, "version", "", "set the version on the chart to this semver version")
	flags.StringVar(&a.AppVersion, "app-version", "", "set the appVersion on the chart to this version")
	flags.StringVarP(&a.Destination, "destination", "d", ".", "location to write the chart.")
	flags.BoolVarP(&a.DependencyUpdate, "dependency-update", "u", false, `update dependencies from "Chart.yaml" to dir "charts/" before packaging`)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return errors.New("need at least one argument, the path to the chart")
		}
		if a.Sign {
			if err := c.prepareSigning(a); err != nil {
				return err
			}
		}
		if c.moved() {
			a.Destination = c.abs(a.Destination)
		}
		client, err := c.registryClient(from)
		if err != nil {
			return err
		}
		for _, arg := range args {
			if err := c.packageChart(a, client, arg); err != nil {
				return err
			}
		}
		return nil
	}
	return cmd
}

// prepareSigning keeps the library from asking for a passphrase.
func (c *command) prepareSigning(a *action.Package) error {
	if a.Key == "" {
		return errors.New("--key is required for signing a package")
	}
	if a.Keyring == "" {
		return errors.New("--keyring is required for signing a package")
	}
	a.Keyring = c.abs(a.Keyring)
	passphrase := []byte("\n") // none: a key without one is used as it is
	switch a.PassphraseFile {
	case "":
	case "-":
		text, err := c.stdin()
		if err != nil {
			return err
		}
		passphrase = text
	default:
		a.PassphraseFile = c.abs(a.PassphraseFile)
		return nil
	}
	file, err := c.secretFile(passphrase)
	a.PassphraseFile = file
	return err
}

func (c *command) packageChart(a *action.Package, client *registry.Client, arg string) error {
	path := filepath.Clean(c.inv.Path(arg))
	if _, err := os.Stat(path); err != nil {
		if pathErr := new(fs.PathError); errors.As(err, &pathErr) {
			pathErr.Path = arg // as the script wrote it
		}
		return err
	}
	if a.DependencyUpdate {
		m := c.manager(a.Keyring, client)
		m.Out, m.ChartPath = io.Discard, path
		if err := m.Update(); err != nil {
			return err
		}
	}
	archive, err := a.Run(path, nil)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "Successfully packaged chart and saved it to: %s\n", archive)
	return nil
}
