package helm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"helm.sh/helm/v3/pkg/cli/output"
	"helm.sh/helm/v3/pkg/getter"
	"helm.sh/helm/v3/pkg/helmpath"
	"helm.sh/helm/v3/pkg/repo"

	"github.com/towline/towline/services/runner/internal/toolbox/helm/report"
)

// deprecatedRepositories are gone for good.
var deprecatedRepositories = map[string]string{
	"//kubernetes-charts.storage.googleapis.com":           "https://charts.helm.sh/stable",
	"//kubernetes-charts-incubator.storage.googleapis.com": "https://charts.helm.sh/incubator",
}

func (c *command) repoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "repo add|remove|list|index|update [ARGS]", Args: noArgs,
		Short: "add, list, remove, update, and index chart repositories",
		Long:  "This command consists of multiple subcommands to interact with chart repositories.",
	}
	cmd.AddCommand(c.repoAddCommand(), c.repoListCommand(), c.repoRemoveCommand(), c.repoIndexCommand(), c.repoUpdateCommand())
	return cmd
}

// addition is the flags of `helm repo add`.
type addition struct {
	remote
	fromStdin, force, noUpdate, allowDeprecated, passCredentials bool
	timeout                                                      time.Duration
}

func (a *addition) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&a.username, "username", "", "chart repository username")
	flags.StringVar(&a.password, "password", "", "chart repository password")
	flags.BoolVar(&a.fromStdin, "password-stdin", false, "read chart repository password from stdin")
	flags.BoolVar(&a.force, "force-update", false, "replace (overwrite) the repo if it already exists")
	flags.BoolVar(&a.noUpdate, "no-update", false, "Ignored.")
	flags.StringVar(&a.certFile, "cert-file", "", usageCert)
	flags.StringVar(&a.keyFile, "key-file", "", usageKey)
	flags.StringVar(&a.caFile, "ca-file", "", usageCA)
	flags.BoolVar(&a.skipTLSVerify, "insecure-skip-tls-verify", false, usageTLS)
	flags.BoolVar(&a.allowDeprecated, "allow-deprecated-repos", false, "allow adding official repos that have been permanently deleted")
	flags.BoolVar(&a.passCredentials, "pass-credentials", false, "pass credentials to all domains")
	flags.DurationVar(&a.timeout, "timeout", getter.DefaultHTTPTimeout*time.Second, "time to wait for the index file download to complete")
}

func (c *command) repoAddCommand() *cobra.Command {
	a := new(addition)
	cmd := &cobra.Command{
		Use: "add [NAME] [URL]", Short: "add a chart repository", Args: exactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error { return c.repoAdd(a, args[0], args[1]) },
	}
	a.addFlags(cmd.Flags())
	return cmd
}

func (c *command) repoAdd(a *addition, name, address string) error {
	for gone, instead := range deprecatedRepositories {
		if !a.allowDeprecated && strings.Contains(address, gone) {
			return fmt.Errorf("repo %q is no longer available; try %q instead", address, instead)
		}
	}
	if err := c.repoPassword(a); err != nil {
		return err
	}
	c.helm.repositories.Lock()
	defer c.helm.repositories.Unlock()
	file, err := loadRepositories(c.settings.RepositoryConfig)
	if err != nil {
		return err
	}
	if strings.Contains(name, "/") {
		return fmt.Errorf("repository name (%s) contains '/', please specify a different name without '/'", name)
	}
	entry := repo.Entry{
		Name: name, URL: address, Username: a.username, Password: a.password, PassCredentialsAll: a.passCredentials,
		CertFile: c.abs(a.certFile), KeyFile: c.abs(a.keyFile), CAFile: c.abs(a.caFile), InsecureSkipTLSverify: a.skipTLSVerify,
	}
	if known := file.Get(name); known != nil && !a.force {
		if *known != entry {
			return fmt.Errorf("repository name (%s) already exists, please specify a different name", name)
		}
		fmt.Fprintf(c.out, "%q already exists with the same configuration, skipping\n", name)
		return nil
	}
	repository, err := c.repository(&entry, a.timeout)
	if err != nil {
		return err
	}
	if _, err := repository.DownloadIndexFile(); err != nil {
		return fmt.Errorf("looks like %q is not a valid chart repository or cannot be reached: %w", address, err)
	}
	file.Update(&entry)
	if err := file.WriteFile(c.settings.RepositoryConfig, 0o600); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%q has been added to your repositories\n", name)
	return nil
}

// repoPassword reads a password that only standard input has. Nobody can be
// asked in a job.
func (c *command) repoPassword(a *addition) error {
	if a.username == "" || a.password != "" {
		return nil
	}
	if !a.fromStdin {
		return fmt.Errorf("password of %s is required: nobody can be asked in a job; use --password-stdin", a.username)
	}
	password, err := c.secretFromStdin()
	a.password = password
	return err
}

// loadRepositories reads repositories.yaml; one that does not exist is empty.
func loadRepositories(path string) (*repo.File, error) {
	file, err := repo.LoadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return new(repo.File), nil
	}
	return file, err
}

// repository reaches one repository and keeps its index in the cache.
func (c *command) repository(entry *repo.Entry, timeout time.Duration) (*repo.ChartRepository, error) {
	r, err := repo.NewChartRepository(entry, getter.Getters(getter.WithTimeout(timeout)))
	if err == nil && c.settings.RepositoryCache != "" {
		r.CachePath = c.settings.RepositoryCache
	}
	return r, err
}

func (c *command) repoListCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Aliases: []string{"ls"}, Short: "list chart repositories", Args: noArgs}
	format := outputFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		var known []*repo.Entry
		if file, err := repo.LoadFile(c.settings.RepositoryConfig); err == nil {
			known = file.Repositories
		}
		if len(known) == 0 && *format == output.Table {
			return errors.New("no repositories to show")
		}
		return format.Write(c.out, report.NewRepositories(known))
	}
	return cmd
}

func (c *command) repoRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "remove [REPO1 [REPO2 ...]]", Aliases: []string{"rm"}, Short: "remove one or more chart repositories", Args: minimumArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			c.helm.repositories.Lock()
			defer c.helm.repositories.Unlock()
			file, err := loadRepositories(c.settings.RepositoryConfig)
			if err != nil || len(file.Repositories) == 0 {
				return errors.New("no repositories configured")
			}
			for _, name := range args {
				if err := c.repoRemove(file, name); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func (c *command) repoRemove(file *repo.File, name string) error {
	if !file.Remove(name) {
		return fmt.Errorf("no repo named %q found", name)
	}
	if err := file.WriteFile(c.settings.RepositoryConfig, 0o600); err != nil {
		return err
	}
	for _, cached := range []string{helmpath.CacheChartsFile(name), helmpath.CacheIndexFile(name)} {
		err := os.Remove(filepath.Join(c.settings.RepositoryCache, cached))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	fmt.Fprintf(c.out, "%q has been removed from your repositories\n", name)
	return nil
}
