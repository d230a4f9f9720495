package helm

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/lint/support"
)

func (c *command) lintCommand() *cobra.Command {
	var values valueFlags
	var version string
	a := action.NewLint()
	cmd := &cobra.Command{
		Use: "lint PATH", Short: "examine a chart for possible issues",
		Long: "Examine charts: [ERROR] for what keeps them from being installed, [WARNING] for what breaks with convention.",
	}
	flags := cmd.Flags()
	flags.BoolVar(&a.Strict, "strict", false, "fail on lint warnings")
	flags.BoolVar(&a.WithSubcharts, "with-subcharts", false, "lint dependent charts")
	flags.BoolVar(&a.Quiet, "quiet", false, "print only warnings and errors")
	flags.BoolVar(&a.SkipSchemaValidation, "skip-schema-validation", false, usageSchema)
	flags.StringVar(&version, "kube-version", "", "Kubernetes version used for capabilities and deprecation checks")
	values.addFlags(flags)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			args = []string{"."}
		}
		// The library's own default for deprecations is one that -ldflags set.
		current := chartutil.DefaultCapabilities.KubeVersion
		a.KubeVersion = &current
		if version != "" {
			parsed, err := chartutil.ParseKubeVersion(version)
			if err != nil {
				return fmt.Errorf("invalid kube version '%s': %w", version, err)
			}
			a.KubeVersion = parsed
		}
		if a.WithSubcharts {
			for _, chart := range args[:len(args):len(args)] {
				args = append(args, c.subcharts(chart)...)
			}
		}
		a.Namespace = c.namespace()
		merged, err := c.merge(&values)
		if err != nil {
			return err
		}
		return c.lint(a, args, merged)
	}
	return cmd
}

// subcharts lists what lies in the charts directory of a chart, at any depth.
func (c *command) subcharts(chart string) []string {
	var found []string
	root := filepath.Join(c.abs(chart), "charts")
	_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil //nolint:nilerr // what cannot be read is not linted, as in helm
		case entry.Name() == "Chart.yaml":
			found = append(found, filepath.Dir(path))
		case strings.HasSuffix(path, ".tgz") || strings.HasSuffix(path, ".tar.gz"):
			found = append(found, path)
		}
		return nil
	})
	return found
}

func (c *command) lint(a *action.Lint, charts []string, values map[string]any) error {
	var report strings.Builder
	failed, notable := 0, 0
	for _, chart := range charts {
		result := a.Run([]string{c.abs(chart)}, values)
		if action.HasWarningsOrErrors(result) {
			notable++
		} else if a.Quiet {
			continue
		}
		if len(result.Errors) > 0 {
			failed++
		}
		fmt.Fprintf(&report, "==> Linting %s\n", chart)
		if len(result.Messages) == 0 { // otherwise the messages say the same
			for _, err := range result.Errors {
				fmt.Fprintf(&report, "Error %s\n", err)
			}
		}
		for _, message := range result.Messages {
			if !a.Quiet || message.Severity > support.InfoSev {
				fmt.Fprintln(&report, message)
			}
		}
		fmt.Fprintln(&report)
	}
	fmt.Fprint(c.out, report.String())
	summary := fmt.Sprintf("%d chart(s) linted, %d chart(s) failed", len(charts), failed)
	if failed > 0 {
		return errors.New(summary)
	}
	if !a.Quiet || notable > 0 {
		fmt.Fprintln(c.out, summary)
	}
	return nil
}
