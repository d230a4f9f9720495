package helm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"helm.sh/helm/v3/pkg/getter"
	"helm.sh/helm/v3/pkg/repo"
)

// indexMode is for everybody: an index is published.
const indexMode = 0o644

func (c *command) repoIndexCommand() *cobra.Command {
	var address, merge string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "index [DIR]", Short: "generate an index file given a directory containing packaged charts", Args: exactArgs(1),
		Long: "Write index.yaml for the charts in a directory; with --merge, add those of another index.",
	}
	cmd.Flags().StringVar(&address, "url", "", "url of chart repository")
	cmd.Flags().StringVar(&merge, "merge", "", "merge the generated index into the given index")
	cmd.Flags().BoolVar(&asJSON, "json", false, "output in JSON format")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		dir := filepath.Clean(c.inv.Path(args[0]))
		index, err := repo.IndexDirectory(dir, address)
		if err != nil {
			return err
		}
		write := index.WriteFile
		if asJSON {
			write = index.WriteJSONFile
		}
		if merge != "" {
			if err := mergeIndex(index, c.inv.Path(merge), asJSON); err != nil {
				return err
			}
		}
		index.SortEntries()
		return write(filepath.Join(dir, "index.yaml"), indexMode)
	}
	return cmd
}

// mergeIndex adds the charts of the index in file, which is begun if there is
// none.
func mergeIndex(index *repo.IndexFile, file string, asJSON bool) error {
	other := repo.NewIndexFile()
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		write := other.WriteFile
		if asJSON {
			write = other.WriteJSONFile
		}
		if err := write(file, indexMode); err != nil {
			return err
		}
	} else if other, err = repo.LoadIndexFile(file); err != nil {
		return fmt.Errorf("merge failed: %w", err)
	}
	index.Merge(other)
	return nil
}

// errNoRepositories is helm's.
var errNoRepositories = errors.New("no repositories found. You must add one before updating")

func (c *command) repoUpdateCommand() *cobra.Command {
	var timeout time.Duration
	var strict bool
	cmd := &cobra.Command{
		Use: "update [REPO1 [REPO2 ...]]", Aliases: []string{"up"},
		Short: "update information of available charts locally from chart repositories",
		Long:  "Get the latest indexes of all repositories, or of those named.",
	}
	cmd.Flags().DurationVar(&timeout, "timeout", getter.DefaultHTTPTimeout*time.Second, "time to wait for the index file download to complete")
	cmd.Flags().BoolVar(&strict, "fail-on-repo-update-fail", false, "update fails if any of the repository updates fail")
	cmd.RunE = func(_ *cobra.Command, names []string) error {
		file, err := loadRepositories(c.settings.RepositoryConfig)
		if err != nil {
			return fmt.Errorf("failed loading file: %s: %w", c.settings.RepositoryConfig, err)
		}
		if len(file.Repositories) == 0 {
			return errNoRepositories
		}
		for _, name := range names {
			if !file.Has(name) {
				return fmt.Errorf("no repositories found matching '%s'.  Nothing will be updated", name)
			}
		}
		var repositories []*repo.ChartRepository
		for _, entry := range file.Repositories {
			if len(names) > 0 && !slices.Contains(names, entry.Name) {
				continue
			}
			r, err := c.repository(entry, timeout)
			if err != nil {
				return err
			}
			repositories = append(repositories, r)
		}
		return c.repoUpdate(repositories, strict)
	}
	return cmd
}

// repoUpdate downloads the indexes side by side and reports them one by one.
func (c *command) repoUpdate(repositories []*repo.ChartRepository, strict bool) error {
	fmt.Fprintln(c.out, "Hang tight while we grab the latest from your chart repositories...")
	var mu sync.Mutex
	var failed []string
	var all sync.WaitGroup
	for _, r := range repositories {
		all.Go(func() {
			_, err := r.DownloadIndexFile()
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				fmt.Fprintf(c.out, "...Unable to get an update from the %q chart repository (%s):\n\t%s\n", r.Config.Name, r.Config.URL, err)
				failed = append(failed, r.Config.URL)
				return
			}
			fmt.Fprintf(c.out, "...Successfully got an update from the %q chart repository\n", r.Config.Name)
		})
	}
	all.Wait()
	if len(failed) > 0 && strict {
		return fmt.Errorf("Failed to update the following repositories: %s", failed) //nolint:staticcheck // helm's text
	}
	fmt.Fprintln(c.out, "Update Complete. ⎈Happy Helming!⎈")
	return nil
}
