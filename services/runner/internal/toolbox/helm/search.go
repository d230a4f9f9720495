package helm

import (
	"errors"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"helm.sh/helm/v3/pkg/helmpath"
	"helm.sh/helm/v3/pkg/repo"

	"github.com/towline/towline/services/runner/internal/toolbox/helm/report"
	"github.com/towline/towline/services/runner/internal/toolbox/helm/search"
)

func (c *command) searchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "search [keyword]", Short: "search for a keyword in charts",
		Long: "Search for charts in the repositories that were added.",
	}
	cmd.AddCommand(
		refusal("hub", "helm search hub", "it asks a public service; use \"helm search repo\" for repositories that were added"),
		c.searchRepoCommand(),
	)
	return cmd
}

// searching is the flags of `helm search repo`.
type searching struct {
	expression, versions, devel, mustFind bool
	version                               string
	width                                 uint
}

func (c *command) searchRepoCommand() *cobra.Command {
	s := new(searching)
	cmd := &cobra.Command{Use: "repo [keyword]", Short: "search repositories for a keyword in charts"}
	flags := cmd.Flags()
	flags.BoolVarP(&s.expression, "regexp", "r", false, "the keyword is a regular expression")
	flags.BoolVarP(&s.versions, "versions", "l", false, "show each version of each chart on its own line")
	flags.BoolVar(&s.devel, "devel", false, usageDevel)
	flags.StringVar(&s.version, "version", "", "search using semantic versioning constraints")
	flags.UintVar(&s.width, "max-col-width", 50, "maximum column width for output table")
	flags.BoolVar(&s.mustFind, "fail-on-no-result", false, "search fails if no results are found")
	format := outputFlag(cmd)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		found, err := c.search(s, strings.Join(args, " "))
		if err != nil {
			return err
		}
		if len(found) == 0 && s.mustFind {
			return errors.New("no results found")
		}
		return format.Write(c.out, report.NewCharts(found, s.width))
	}
	return cmd
}

func (c *command) search(s *searching, term string) ([]search.Chart, error) {
	switch {
	case s.version != "":
	case s.devel:
		s.version = develVersion
	default:
		s.version = ">0.0.0"
	}
	repositories, err := loadRepositories(c.settings.RepositoryConfig)
	if err != nil {
		return nil, err
	}
	if len(repositories.Repositories) == 0 {
		return nil, errors.New("no repositories configured")
	}
	var index search.Index
	for _, entry := range repositories.Repositories {
		file, err := repo.LoadIndexFile(filepath.Join(c.settings.RepositoryCache, helmpath.CacheIndexFile(entry.Name)))
		if err != nil {
			c.warnf("Repo %q is corrupt or missing. Try 'helm repo update'.", entry.Name)
			c.warnf("%s", err)
			continue
		}
		index.Add(entry.Name, file)
	}
	found, err := index.Find(term, s.expression)
	if err != nil {
		return nil, err
	}
	return search.Within(found, s.version, s.versions)
}
