package helm

import (
	"github.com/spf13/cobra"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/release"

	"github.com/towline/towline/services/runner/internal/toolbox/helm/report"
)

// listing is the flags of list.
type listing struct {
	short, noHeaders, byDate, reverse, all bool
	uninstalled, superseded, uninstalling  bool
	deployed, failed, pending, everywhere  bool
	timeFormat, filter, selector           string
	limit, offset                          int
}

func (c *command) listCommand() *cobra.Command {
	l := new(listing)
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "list releases", Args: noArgs,
		Long: "List the releases of a namespace: those deployed or failed, unless flags say otherwise.",
	}
	fs := cmd.Flags()
	fs.BoolVarP(&l.short, "short", "q", false, "output short (quiet) listing format")
	fs.BoolVar(&l.noHeaders, "no-headers", false, "don't print headers when using the default output format")
	fs.StringVar(&l.timeFormat, "time-format", "", `format of times as Go's time package has them, e.g. "2006-01-02 15:04:05Z0700"`)
	fs.BoolVarP(&l.byDate, "date", "d", false, "sort by release date")
	fs.BoolVarP(&l.reverse, "reverse", "r", false, "reverse the sort order")
	fs.BoolVarP(&l.all, "all", "a", false, "show all releases without any filter applied")
	fs.BoolVar(&l.uninstalled, "uninstalled", false, "show uninstalled releases whose history was kept")
	fs.BoolVar(&l.superseded, "superseded", false, "show superseded releases")
	fs.BoolVar(&l.uninstalling, "uninstalling", false, "show releases that are currently being uninstalled")
	fs.BoolVar(&l.deployed, "deployed", false, "show deployed releases")
	fs.BoolVar(&l.failed, "failed", false, "show failed releases")
	fs.BoolVar(&l.pending, "pending", false, "show pending releases")
	fs.BoolVarP(&l.everywhere, "all-namespaces", "A", false, "list releases across all namespaces")
	fs.IntVarP(&l.limit, "max", "m", 256, "maximum number of releases to fetch")
	fs.IntVar(&l.offset, "offset", 0, "index of the first release to show")
	fs.StringVarP(&l.filter, "filter", "f", "", "regular expression that the names must match")
	fs.StringVarP(&l.selector, "selector", "l", "", "label selector, supports '=', '==' and '!='; not with every storage driver")
	format := outputFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		releases, err := c.list(l)
		if err != nil {
			return err
		}
		if l.short {
			return format.Write(c.out, report.Names(releases))
		}
		return format.Write(c.out, report.NewReleases(releases, l.timeFormat, l.noHeaders))
	}
	return cmd
}

func (c *command) list(l *listing) ([]*release.Release, error) {
	namespace := c.namespace()
	if l.everywhere {
		namespace = ""
	}
	cfg, err := c.configurationFor(namespace)
	if err != nil {
		return nil, err
	}
	a := action.NewList(cfg)
	a.All, a.AllNamespaces, a.ByDate, a.SortReverse = l.all, l.everywhere, l.byDate, l.reverse
	a.Uninstalled, a.Superseded, a.Uninstalling = l.uninstalled, l.superseded, l.uninstalling
	a.Deployed, a.Failed, a.Pending = l.deployed, l.failed, l.pending
	a.Limit, a.Offset, a.Filter, a.Selector = l.limit, l.offset, l.filter, l.selector
	a.SetStateMask()
	return a.Run()
}
